"""DICOM to pixels, against windows and colours worked out by hand; pydicom's own test files as a proof."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from mermed_core.errors import (
    DamagedImageError,
    FrameError,
    ImageError,
    ImageTooLargeError,
    NoPixelsError,
    UnsupportedFormatError,
)
from mermed_core.imaging.kinds import image_kind
from mermed_core.imaging.reader import Limits, count_frames, read_image

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
OWN_FILES = sorted(FOLDER.rglob("*"))
VALUES = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
HOUNSFIELD = (VALUES.astype(int) - 1024).astype(np.int16)


def grey(data: bytes, **options) -> np.ndarray:
    pixels = read_image(data, **options).pixels
    assert (pixels[..., 0] == pixels[..., 1]).all()
    return pixels[..., 0].astype(int)


def linear(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    """The standard's LINEAR function, case by case (PS3.3 C.11.2.1.2.1)."""
    shown = ((values - (centre - 0.5)) / (width - 1) + 0.5) * 255
    shown = np.where(values <= centre - 0.5 - (width - 1) / 2, 0, shown)
    return np.where(values > centre - 0.5 + (width - 1) / 2, 255, shown)


def test_the_window_of_the_file_is_applied_after_the_rescale(make_dicom):
    data = make_dicom(VALUES, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    np.testing.assert_allclose(grey(data), linear(VALUES - 1024.0, 40, 400), atol=0.51)
    assert "centre 40, width 400" in read_image(data).notes[0]


def test_a_slope_that_is_not_one(make_dicom):
    data = make_dicom(VALUES, RescaleSlope=0.5, RescaleIntercept=10, WindowCenter=1000, WindowWidth=1500)
    np.testing.assert_allclose(grey(data), linear(VALUES * 0.5 + 10, 1000, 1500), atol=0.51)


def test_signed_values(make_dicom):
    data = make_dicom(HOUNSFIELD, WindowCenter=-600, WindowWidth=1500)
    np.testing.assert_allclose(grey(data), linear(HOUNSFIELD.astype(float), -600, 1500), atol=0.51)


def test_the_first_of_several_windows_counts(make_dicom):
    data = make_dicom(HOUNSFIELD, WindowCenter=[40, -600], WindowWidth=[400, 1500])
    np.testing.assert_allclose(grey(data), linear(HOUNSFIELD.astype(float), 40, 400), atol=0.51)


def test_the_other_window_functions(make_dicom):
    exact = make_dicom(VALUES, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_allclose(grey(exact), np.clip((VALUES - 1500.0) / 1000, 0, 1) * 255, atol=0.51)
    sigmoid = make_dicom(VALUES, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="SIGMOID")
    np.testing.assert_allclose(grey(sigmoid), 255 / (1 + np.exp(-4 * (VALUES - 2000.0) / 1000)), atol=0.51)


def test_inverted_grey(make_dicom):
    stated = {"WindowCenter": 2048, "WindowWidth": 4096}
    plain = grey(make_dicom(VALUES, **stated))
    inverted = grey(make_dicom(VALUES, PhotometricInterpretation="MONOCHROME1", **stated))
    np.testing.assert_array_equal(inverted, 255 - plain)


def test_without_a_window_the_values_are_stretched(make_dicom):
    low, high = np.percentile(VALUES, (0.5, 99.5))
    expected = np.clip((VALUES - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(grey(make_dicom(VALUES)), expected, atol=0.51)
    assert "no window" in read_image(make_dicom(VALUES)).notes[0]


def test_eight_bits_without_a_window_stay_as_they_are(make_dicom):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16) // 2
    np.testing.assert_array_equal(grey(make_dicom(values)), values)


def test_padding_is_black_and_does_not_count(make_dicom):
    values = HOUNSFIELD.copy()
    values[0] = -2000
    low, high = np.percentile(HOUNSFIELD[1:], (0.5, 99.5))
    shown = grey(make_dicom(values, PixelPaddingValue=-2000))
    assert shown[0].max() == 0
    np.testing.assert_allclose(shown[1:], np.clip((values[1:] - low) / (high - low), 0, 1) * 255, atol=0.51)


def test_a_grey_scale_table_of_the_file(make_dicom):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 16])
    item.add_new("LUTData", "OW", np.arange(4095, -1, -1).astype(np.uint16).tobytes())
    shown = grey(make_dicom(VALUES, VOILUTSequence=[item]))
    np.testing.assert_allclose(shown, (4095 - VALUES.astype(int)) / 4095 * 255, atol=0.51)


def test_rgb_interleaved_and_in_planes(make_dicom):
    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_image(make_dicom(rgb)).pixels, rgb)
    planes = make_dicom(rgb, PlanarConfiguration=1, PixelData=rgb.transpose(2, 0, 1).tobytes())
    np.testing.assert_array_equal(read_image(planes).pixels, rgb)


def test_ybr_becomes_rgb(make_dicom):
    rgb = np.random.default_rng(1).integers(20, 236, (6, 8, 3)).astype(float)
    matrix = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    ybr = np.clip(np.rint(rgb @ matrix.T + [0, 128, 128]), 0, 255).astype(np.uint8)
    shown = read_image(make_dicom(ybr, PhotometricInterpretation="YBR_FULL")).pixels
    np.testing.assert_allclose(shown.astype(int), rgb, atol=3)


def test_palette_colour(make_dicom):
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    table = np.random.default_rng(2).integers(0, 65536, (3, 256)).astype(np.uint16)
    stated: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, row in zip(("Red", "Green", "Blue"), table, strict=True):
        stated[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        stated[f"{name}PaletteColorLookupTableData"] = row.tobytes()
    expected = table.T[indices.ravel()].reshape(16, 16, 3) / 65535 * 255
    np.testing.assert_allclose(
        read_image(make_dicom(indices, **stated)).pixels.astype(float), expected, atol=0.51
    )


def test_a_frame_is_chosen(make_dicom):
    frames = np.stack([np.full((4, 4), 10 * i, np.uint8) for i in range(1, 4)])
    image = read_image(make_dicom(frames), frame=2)
    assert (image.frames, image.frame, image.pixels[0, 0, 0]) == (3, 2, 30)
    assert "Frame 3 of 3 is shown." in image.notes
    with pytest.raises(FrameError):
        read_image(make_dicom(frames), frame=3)


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1, HTJ2KLossless]
)
def test_compressed_and_plain_give_the_same(make_dicom, compress, syntax):
    plain = make_dicom(np.tile(VALUES, (4, 4)), WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_array_equal(grey(compress(plain, syntax)), grey(plain))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_without_preamble_it_is_known_by_its_first_element(make_dicom, syntax):
    little = syntax != ExplicitVRBigEndian
    stored = VALUES.astype("<u2" if little else ">u2").tobytes()
    data = make_dicom(VALUES, syntax=syntax, PixelData=stored)
    dataset = pydicom.dcmread(io.BytesIO(data))
    buffer = io.BytesIO()
    del dataset.file_meta
    dataset.preamble = None
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    implicit = syntax == ImplicitVRLittleEndian
    pydicom.dcmwrite(buffer, dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    assert image_kind(buffer.getvalue()) == "DICOM"
    np.testing.assert_array_equal(grey(buffer.getvalue()), grey(make_dicom(VALUES)))


def test_nothing_of_the_patient_leaves_the_reader(make_dicom, caplog):
    with warnings.catch_warnings(record=True) as told:
        image = read_image(
            make_dicom(
                VALUES,
                PatientName="Doe^Jane",
                PatientID="4711",
                StudyDescription="Doe",
                BurnedInAnnotation="YES",
            )
        )
    said = repr(image) + caplog.text + "".join(str(item.message) for item in told)
    assert "Doe" not in said
    assert "4711" not in said
    assert "may name the patient" in image.notes[-1]


def test_what_cannot_be_shown_is_a_sentence(make_dicom):
    with pytest.raises(NoPixelsError, match="no picture"):
        read_image(make_dicom(VALUES, Rows=None, Columns=None, PixelData=b""))
    data = make_dicom(VALUES)
    with pytest.raises(DamagedImageError):
        read_image(data[:-100])
    with pytest.raises(ImageTooLargeError):
        read_image(make_dicom(VALUES, Rows=60000, Columns=60000))
    with pytest.raises(ImageTooLargeError, match="frames"):
        read_image(make_dicom(np.zeros((3, 4, 4), np.uint8)), limits=Limits(max_frames=2))
    film = pydicom.dcmread(io.BytesIO(data))
    film.file_meta.TransferSyntaxUID = MPEG2MPML
    film.PixelData = encapsulate([b"film"])
    film["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    film.save_as(buffer, enforce_file_format=False)
    with pytest.raises(UnsupportedFormatError, match="film"):
        read_image(buffer.getvalue())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dicomdirtests/DICOMDIR", "Open the whole folder"),
        ("test-SR.dcm", "structured report"),
        ("rtstruct.dcm", "contours"),
        ("rtplan.dcm", "plan or a record of treatment"),
        ("waveform_ecg.dcm", "curves"),
        ("../palettes/hotiron.dcm", "how another image is to be shown"),
        ("UN_sequence.dcm", "it is a report or a plan, say"),
    ],
)
def test_a_file_without_a_picture_says_what_it_holds(name, words):
    for ask in (read_image, count_frames):
        with pytest.raises(NoPixelsError, match=words):
            ask((FOLDER / name).read_bytes())


def test_a_document_in_a_dicom_file_is_called_one():
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = EncapsulatedPDFStorage, "2.25.1"
    dataset.EncapsulatedDocument = b"%PDF-1.7"
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    with pytest.raises(NoPixelsError, match="document such as a PDF"):
        read_image(buffer.getvalue())


def test_pydicoms_own_files_decode_or_are_refused_in_a_sentence():
    read = refused = vague = 0
    for path in OWN_FILES:
        if not path.is_file():
            continue
        try:
            image = read_image(path)
            assert image.pixels.dtype == np.uint8
            assert image.pixels.shape[2] == 3
            read += 1
        except ImageError as error:
            refused += len(str(error)) > 20
            vague += len(str(error)) <= 20
    assert read >= 90
    assert refused > 0
    assert vague == 0


SPOILED = {
    name: (FOLDER / f"{name}.dcm").read_bytes()
    for name in (
        "MR_small",
        "MR_small_RLE",
        "MR_small_jpeg_ls_lossless",
        "MR_small_jp2klossless",
        "JPGExtended",
        "SC_rgb_small_odd_jpeg",
        "SC_rgb_rle_2frame",
    )
}


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(sorted(SPOILED)), st.data())
def test_changed_bytes_give_pixels_or_our_errors(name, data):
    spoiled = bytearray(SPOILED[name])
    # Half of the changes fall on the first bytes of the picture, which say how it is packed.
    picture = spoiled.rfind(b"\xe0\x7f\x10\x00")
    for _ in range(data.draw(st.integers(1, 5))):
        near = data.draw(st.booleans())
        first, last = (picture, picture + 200) if near else (132, len(spoiled) - 1)
        spoiled[data.draw(st.integers(first, last))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.just(len(spoiled)) | st.integers(1, len(spoiled)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(ImageError):
            pixels = read_image(bytes(spoiled[:cut]), limits=Limits(max_pixels=10**6)).pixels
            assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
