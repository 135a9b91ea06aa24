"""DICOM of rarer make: tables, macros of enhanced objects, padding, other encodings; against numpy."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from mermed_core.errors import DamagedImageError, ImageError, ImageTooLargeError
from mermed_core.imaging.reader import Limits, read_image

VALUES = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
HOUNSFIELD = (VALUES.astype(int) - 1024).astype(np.int16)
RGB = np.random.default_rng(3).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def grey(data: bytes, **options: Any) -> np.ndarray:
    pixels = read_image(data, **options).pixels
    assert (pixels[..., 0] == pixels[..., 1]).all()
    assert (pixels[..., 0] == pixels[..., 2]).all()
    return pixels[..., 0].astype(int)


def linear(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    """The standard's LINEAR function, case by case (PS3.3 C.11.2.1.2.1)."""
    shown = ((values - (centre - 0.5)) / (width - 1) + 0.5) * 255
    shown = np.where(values <= centre - 0.5 - (width - 1) / 2, 0, shown)
    return np.where(values > centre - 0.5 + (width - 1) / 2, 255, shown)


def stretched(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, (0.5, 99.5))
    return np.clip((values - low) / (high - low), 0, 1) * 255


def rewritten(data: bytes, change: Callable[[pydicom.FileDataset], None]) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    change(dataset)
    return stored(dataset)


def stored(dataset: pydicom.FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def item(**elements: Any) -> Dataset:
    one = Dataset()
    for name, value in elements.items():
        setattr(one, name, value)
    return one


def table(count: int, first: int, bits: int, entries: np.ndarray) -> Dataset:
    one = Dataset()
    one.add_new("LUTDescriptor", "US", [count, first, bits])
    one.add_new("LUTData", "OW", entries.tobytes())
    return one


@settings(max_examples=40, deadline=None)
@given(
    st.integers(-1200, 3200),
    st.integers(2, 5000),
    st.sampled_from([0.25, 0.5, 1.0, 2.0, -1.0]),
    st.integers(-1024, 1024),
)
def test_any_rescale_and_window_is_as_by_hand(make_dicom, centre, width, slope, intercept):
    stated = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    data = make_dicom(VALUES, **stated, WindowCenter=centre, WindowWidth=width)
    expected = linear(VALUES * slope + intercept, centre, width)
    if np.rint(expected).min() < np.rint(expected).max():
        np.testing.assert_allclose(grey(data), expected, atol=0.51)
    else:  # a window beside all values would show one grey
        np.testing.assert_allclose(grey(data), stretched(VALUES * slope + intercept), atol=0.51)


@pytest.mark.parametrize("stated", [{"WindowCenter": 40}, {"WindowCenter": 40, "WindowWidth": 0}, {}])
def test_half_a_window_is_none(make_dicom, stated):
    image = read_image(make_dicom(VALUES, **stated))
    np.testing.assert_allclose(image.pixels[..., 0], stretched(VALUES), atol=0.51)
    assert "states no window" in image.notes[0]


def test_a_window_through_which_nothing_is_seen_is_left_and_said(make_dicom):
    image = read_image(make_dicom(VALUES, WindowCenter=-5000, WindowWidth=100))
    np.testing.assert_allclose(image.pixels[..., 0], stretched(VALUES), atol=0.51)
    assert "nothing is seen" in image.notes[0]


def test_a_slope_of_zero_is_taken_for_none(make_dicom):
    data = make_dicom(VALUES, RescaleSlope=0, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    np.testing.assert_allclose(grey(data), linear(VALUES - 1024.0, 40, 400), atol=0.51)


def test_the_modality_table_comes_before_the_window(make_dicom):
    entries = (np.arange(4096) // 2 + 100).astype(np.uint16)
    stated = {"ModalityLUTSequence": [table(4096, 0, 16, entries)], "WindowCenter": 900, "WindowWidth": 700}
    np.testing.assert_allclose(
        grey(make_dicom(VALUES, **stated)), linear(VALUES // 2 + 100.0, 900, 700), atol=0.51
    )


def test_a_table_for_values_below_zero_written_unsigned(make_dicom):
    entries = np.arange(4095, -1, -1).astype(np.uint16)
    data = make_dicom(HOUNSFIELD, VOILUTSequence=[table(4096, 2**16 - 1024, 16, entries)])
    np.testing.assert_allclose(grey(data), (4095 - (HOUNSFIELD + 1024.0)) / 4095 * 255, atol=0.51)


def test_a_table_of_bytes_with_more_than_256_entries(make_dicom):
    entries = (np.arange(4096) // 16).astype(np.uint8)
    data = make_dicom(VALUES, VOILUTSequence=[table(4096, 0, 8, entries)])
    np.testing.assert_allclose(grey(data), VALUES // 16, atol=0.51)


def test_each_frame_of_an_enhanced_object_has_its_own_window_and_rescale(make_dicom):
    def group(centre: float, intercept: float) -> Dataset:
        window = item(WindowCenter=centre, WindowWidth=400)
        rescale = item(RescaleSlope=1, RescaleIntercept=intercept)
        return item(FrameVOILUTSequence=[window], PixelValueTransformationSequence=[rescale])

    frames = np.stack([VALUES, VALUES])
    groups = [group(40, -1024), group(300, -500)]
    data = make_dicom(frames, PerFrameFunctionalGroupsSequence=groups, WindowCenter=1, WindowWidth=2)
    np.testing.assert_allclose(grey(data, frame=0), linear(VALUES - 1024.0, 40, 400), atol=0.51)
    np.testing.assert_allclose(grey(data, frame=1), linear(VALUES - 500.0, 300, 400), atol=0.51)
    shared = make_dicom(frames, SharedFunctionalGroupsSequence=[group(300, -500)])
    for frame in (0, 1):
        np.testing.assert_allclose(grey(shared, frame=frame), linear(VALUES - 500.0, 300, 400), atol=0.51)


def test_a_range_of_padding_and_one_written_unsigned_for_signed_pixels(make_dicom):
    values = HOUNSFIELD.copy()
    values[0], values[1] = -2000, -1990
    stated = {"WindowCenter": 0, "WindowWidth": 4000, "PhotometricInterpretation": "MONOCHROME1"}
    both = grey(make_dicom(values, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990, **stated))
    assert both[:2].max() == 0
    np.testing.assert_allclose(both[2:], 255 - linear(values[2:].astype(float), 0, 4000), atol=0.51)

    def unsigned(dataset: pydicom.FileDataset) -> None:
        dataset.add_new("PixelPaddingValue", "US", 2**16 - 2000)

    one = grey(rewritten(make_dicom(values, **stated), unsigned))
    assert one[0].max() == 0
    assert one[1].min() > 200  # not padding, dark, and inverted


def test_inverted_by_the_presentation_and_without_a_window(make_dicom):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(grey(make_dicom(values, PresentationLUTShape="INVERSE")), 255 - values)
    inverted = make_dicom(values, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(grey(inverted), 255 - values.astype(int))


def test_bits_that_are_not_of_the_picture_are_left_out(make_dicom):
    stated = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
    soiled = (VALUES | 0xA000).astype(np.uint16)
    np.testing.assert_array_equal(grey(make_dicom(soiled, **stated)), grey(make_dicom(VALUES, **stated)))


@pytest.mark.parametrize(("name", "dtype"), [("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")])
def test_pixels_that_are_not_whole_numbers(make_dicom, name, dtype):
    values = (VALUES / 1000).astype(dtype)

    def change(dataset: pydicom.FileDataset) -> None:
        del dataset.PixelData
        dataset.BitsAllocated = values.itemsize * 8
        for keyword in ("BitsStored", "HighBit", "PixelRepresentation"):
            delattr(dataset, keyword)
        setattr(dataset, name, values.tobytes())

    np.testing.assert_allclose(grey(rewritten(make_dicom(VALUES), change)), stretched(values), atol=0.51)


def test_big_endian(make_dicom):
    stated = {"WindowCenter": 2000, "WindowWidth": 3000}

    swapped = make_dicom(
        VALUES, syntax=ExplicitVRBigEndian, PixelData=VALUES.astype(">u2").tobytes(), **stated
    )
    np.testing.assert_array_equal(grey(swapped), grey(make_dicom(VALUES, **stated)))


def test_deflated_and_not_a_bomb(make_dicom):
    def change(dataset: pydicom.FileDataset) -> None:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    np.testing.assert_array_equal(grey(rewritten(make_dicom(VALUES), change)), grey(make_dicom(VALUES)))
    bomb = rewritten(make_dicom(np.zeros((600, 600), np.uint16)), change)
    assert len(bomb) < 10_000
    with pytest.raises(ImageTooLargeError, match="unpacks"):
        read_image(bomb, limits=Limits(max_bytes=100_000))


def jpeg(make_dicom: Callable[..., bytes], pixels: np.ndarray, **elements: Any) -> tuple[bytes, np.ndarray]:
    """Returns a DICOM file around a JPEG, and what Pillow decodes of the JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)

    def change(dataset: pydicom.FileDataset) -> None:
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.PixelData = encapsulate([buffer.getvalue()])
        dataset["PixelData"].is_undefined_length = True

    return rewritten(make_dicom(pixels, **elements), change), np.asarray(Image.open(buffer).convert("RGB"))


def test_jpeg_inside_is_decoded_as_jpeg_outside(make_dicom):
    data, expected = jpeg(make_dicom, RGB, PhotometricInterpretation="YBR_FULL_422")
    np.testing.assert_allclose(read_image(data).pixels.astype(int), expected, atol=2)
    data, expected = jpeg(make_dicom, RGB[..., 0])
    np.testing.assert_array_equal(read_image(data).pixels, expected)


@pytest.mark.parametrize("stated", [{"Rows": 8}, {"Columns": 25}, {"Rows": 4000, "Columns": 4000}])
def test_a_header_that_lies_about_the_compressed_picture_is_caught(make_dicom, stated):
    data, _ = jpeg(make_dicom, RGB[..., 0], **stated)
    with pytest.raises(DamagedImageError, match="disagree about the size"):
        read_image(data)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1])
def test_compressed_frames_and_colours(make_dicom, compress, syntax):
    frames = np.stack([np.full((64, 64), 40 * i, np.uint8) for i in range(1, 4)])
    packed = compress(make_dicom(frames), syntax)
    assert [int(grey(packed, frame=frame)[0, 0]) for frame in range(3)] == [40, 80, 120]
    colours = np.tile(RGB, (4, 4, 1))
    np.testing.assert_array_equal(read_image(compress(make_dicom(colours), syntax)).pixels, colours)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGBaseline8Bit])
def test_a_compressed_picture_cut_off_anywhere_is_whole_or_damaged(
    make_dicom, compress, with_streams, syntax
):
    values = np.random.default_rng(4).integers(0, 256, (64, 64), dtype=np.uint8)
    plain = make_dicom(values)
    packed = jpeg(make_dicom, values)[0] if syntax == JPEGBaseline8Bit else compress(plain, syntax)
    dataset = pydicom.dcmread(io.BytesIO(packed))
    stream, whole = get_frame(dataset.PixelData, 0, number_of_frames=1), grey(packed)
    refused = 0
    for length in range(2, len(stream) - 4, len(stream) // 40):
        try:
            cut = grey(with_streams(plain, syntax, [stream[: length // 2 * 2]]))
            np.testing.assert_array_equal(cut, whole)
        except DamagedImageError:
            refused += 1
    assert refused >= 40


def test_colour_of_twelve_bits_and_colour_below_zero(make_dicom):
    wide = (RGB.astype(np.uint16) * 4095 // 255).astype(np.uint16)
    data = make_dicom(wide, BitsStored=12, HighBit=11)
    np.testing.assert_allclose(read_image(data).pixels.astype(int), wide / 4095 * 255, atol=0.51)
    signed = make_dicom((RGB.astype(np.int16) - 128).astype(np.int16))
    try:
        shown = read_image(signed).pixels.astype(float)
    except ImageError:
        pytest.fail("colours below zero are rare and can be shown")
    expected = (RGB.astype(float) - RGB.min()) / (int(RGB.max()) - int(RGB.min())) * 255
    np.testing.assert_allclose(shown, expected, atol=0.51)


def test_a_file_that_ends_before_its_picture_says_so(make_dicom, compress):
    data = make_dicom(VALUES)
    with pytest.raises(DamagedImageError, match="ends before its picture"):
        read_image(data[: data.rfind(b"\xe0\x7f\x10\x00")])
    with pytest.raises(DamagedImageError, match="how large"):
        read_image(make_dicom(VALUES, Rows=None))
    compressed = compress(make_dicom(VALUES), RLELossless)
    with pytest.raises(DamagedImageError, match="ends before its picture"):
        read_image(compressed[: compressed.rfind(b"\xe0\x7f\x10\x00") + 30])
