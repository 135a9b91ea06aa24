"""Padding, inversion, proportion, colour profiles and what the header says of the modality."""

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageCms
from pydicom.dataset import Dataset

from mermed_core.imaging.reader import read_image

VALUES = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
BYTES = np.arange(256, dtype=np.uint8).reshape(16, 16)
RGB = np.random.default_rng(3).integers(0, 256, (16, 24, 3), dtype=np.uint8)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


def shown(data: bytes, **options: Any) -> np.ndarray:
    return read_image(data, **options).pixels[..., 0].astype(int)


@pytest.mark.parametrize(
    ("values", "padding"),
    [(BYTES, 256), (BYTES, 65535), (BYTES, 511), (VALUES, 65535)],
    ids=["256 in bytes", "65535 in bytes", "511 in bytes", "beyond the values"],
)
def test_a_padding_value_that_fits_nowhere_marks_nothing(make_dicom, values, padding):
    stated = {"PhotometricInterpretation": "MONOCHROME1"}
    with_padding = shown(make_dicom(values, PixelPaddingValue=padding, **stated))
    np.testing.assert_array_equal(with_padding, shown(make_dicom(values, **stated)))


def test_a_padding_value_below_zero_for_values_of_twelve_bits_does_not_wrap(make_dicom):
    signed = (VALUES.astype(int) - 2048).astype(np.int16)
    stated = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1", **WINDOW}
    for padding in (-32768, -4096):  # their lower twelve bits are zero
        plain = shown(make_dicom(signed, **stated))
        np.testing.assert_array_equal(shown(make_dicom(signed, PixelPaddingValue=padding, **stated)), plain)


def test_a_padding_value_in_the_bits_that_do_not_count(make_dicom):
    """As CT writes 63536 around its circle, with twelve bits stored."""
    values = VALUES.copy()
    values[:4] = 63536
    stated = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1", **WINDOW}
    pixels = shown(make_dicom(values, PixelPaddingValue=63536, **stated))
    assert pixels[:4].max() == 0
    assert pixels[4].min() > 150


def test_a_range_of_padding_in_either_order(make_dicom):
    for first, last in ((0, 800), (800, 0)):
        pixels = shown(
            make_dicom(
                VALUES,
                PixelPaddingValue=first,
                PixelPaddingRangeLimit=last,
                PhotometricInterpretation="MONOCHROME1",
                **WINDOW,
            )
        )
        assert ((pixels == 0) == ((VALUES <= 800) | (VALUES >= 4090))).all()


@pytest.mark.parametrize(
    ("stated", "inverted"),
    [
        ({}, False),
        ({"PresentationLUTShape": "IDENTITY"}, False),
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
    ],
)
def test_inversion_is_done_once_and_said(make_dicom, stated, inverted):
    image = read_image(make_dicom(BYTES, **stated))
    np.testing.assert_array_equal(image.pixels[..., 0], 255 - BYTES if inverted else BYTES)
    assert any("exchanged" in note for note in image.notes) == inverted


@pytest.mark.parametrize("keyword", ["PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"])
def test_pixels_that_are_not_square_are_shown_in_their_true_proportion(make_dicom, keyword):
    for stated, shape in (([2, 1], (32, 16)), ([1, 3], (16, 48)), ([3, 2], (24, 16)), ([1, 1], (16, 16))):
        image = read_image(make_dicom(BYTES, **{keyword: stated}))
        assert image.pixels.shape == (*shape, 3)
        assert any("true proportion" in note for note in image.notes) == (shape != (16, 16))
    tall = shown(make_dicom(BYTES, **{keyword: [2, 1]}))
    np.testing.assert_array_equal(tall, BYTES.repeat(2, axis=0))


def test_the_spacing_of_a_frame_counts_before_that_of_the_file(make_dicom):
    measures, group = Dataset(), Dataset()
    measures.PixelSpacing = [0.5, 0.25]
    group.PixelMeasuresSequence = [measures]
    data = make_dicom(
        np.stack([BYTES, BYTES]), SharedFunctionalGroupsSequence=[group], PixelAspectRatio=[1, 4]
    )
    assert read_image(data, frame=1).pixels.shape == (32, 16, 3)


@pytest.mark.parametrize("stated", [["0", "0"], ["1", "-2"], ["0", "1"], ["1", "1000"], "2"])
def test_a_proportion_that_cannot_be_is_left_aside(make_dicom, stated):
    assert read_image(make_dicom(BYTES, PixelAspectRatio=stated)).pixels.shape == (16, 16, 3)


def test_a_colour_profile_is_obeyed_and_said(make_dicom):
    profile = linear_profile()
    image = read_image(make_dicom(RGB, ICCProfile=profile))
    expected = ImageCms.profileToProfile(
        Image.fromarray(RGB),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
    )
    np.testing.assert_array_equal(image.pixels, np.asarray(expected))
    assert "colour profile" in image.notes[-1]
    holder = Dataset()
    holder.ICCProfile = profile
    np.testing.assert_array_equal(
        read_image(make_dicom(RGB, OpticalPathSequence=[holder])).pixels, image.pixels
    )


def linear_profile() -> bytes:
    """An RGB profile without a gamma: an sRGB one whose three curves are straight."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    for number in range(count):
        entry = 132 + 12 * number
        if data[entry : entry + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            place = int.from_bytes(data[entry + 4 : entry + 8], "big")
            data[place : place + 12] = b"curv" + bytes(4) + bytes(4)
    return bytes(data)


@pytest.mark.parametrize(
    ("tag", "part", "key"),
    [
        ("CT", "", "ct"),
        ("ct ", "HEAD", "ct"),
        ("US", "", "ultrasound"),
        ("IVUS", "", "ultrasound"),
        ("DX", "CHEST", "cxr"),
        ("CR", "", "cxr"),
        ("CR", "HAND", "CR"),
        ("SM", "", "pathology"),
        ("OP", "", "fundus"),
        ("OPT", "", "oct"),
        ("XC", "", "dermatology"),
        ("MR", "", "MR"),
        ("ES", "", "ES"),
        ("OT", "", None),
        ("", "", None),
    ],
)
def test_the_modality_of_the_header_is_a_hint(make_dicom, tag, part, key):
    assert read_image(make_dicom(BYTES, Modality=tag, BodyPartExamined=part)).header_modality == key


def test_other_files_name_no_modality():
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    assert read_image(buffer.getvalue()).header_modality is None


def test_an_overlay_is_said_to_be_missing(make_dicom):
    dataset = pydicom.dcmread(io.BytesIO(make_dicom(BYTES)))
    dataset.add_new(0x60020010, "US", 16)
    dataset.add_new(0x60023000, "OW", bytes(32))
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    image = read_image(buffer.getvalue())
    np.testing.assert_array_equal(image.pixels[..., 0], BYTES)
    assert "apart from its picture" in image.notes[-1]


def test_the_last_note_says_that_text_is_burned_in(make_dicom):
    image = read_image(
        make_dicom(np.stack([BYTES, BYTES]), BurnedInAnnotation="YES", PixelAspectRatio=[1, 2])
    )
    assert [
        word in note
        for word, note in zip(("stored", "proportion", "Frame 1", "burned"), image.notes, strict=True)
    ] == [True] * 4
