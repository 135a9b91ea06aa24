"""Grey-scale tables and palettes of DICOM, against numpy and pydicom."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_voi_lut
from pydicom.uid import ExplicitVRBigEndian

from mermed_core.errors import DamagedImageError
from mermed_core.imaging.reader import read_image

VALUES = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
INDICES = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOURS = np.random.default_rng(2).integers(0, 256, (256, 3)).astype(np.uint8)
COLOURS[0] = 255


def table(entries: np.ndarray, bits: int, first: int = 0) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 2**16, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def palette(entries: np.ndarray, bits: int, first: int = 0) -> dict[str, Any]:
    stated: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, row in zip(("Red", "Green", "Blue"), entries.T, strict=True):
        stated[f"{name}PaletteColorLookupTableDescriptor"] = [len(row), first, bits]
        stated[f"{name}PaletteColorLookupTableData"] = row.tobytes()
    return stated


def shown(data: bytes, **options: Any) -> np.ndarray:
    return read_image(data, **options).pixels[..., 0].astype(float)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_a_dark_film_stays_dark_through_its_table(make_dicom, bits, inverted):
    """White is the top of the table's range, not the film's own brightest value."""
    film = (VALUES * 0.4).astype(np.uint16)
    entries = np.arange(4096) * ((1 << bits) - 1) // 4095
    data = make_dicom(
        film,
        BitsStored=12,
        HighBit=11,
        PhotometricInterpretation=f"MONOCHROME{1 if inverted else 2}",
        VOILUTSequence=[table(entries, bits)],
    )
    entry = entries[film]
    if bits > 8:  # pydicom loses positions above 255 where entries have 8 bits
        np.testing.assert_array_equal(apply_voi_lut(film, pydicom.dcmread(io.BytesIO(data))), entry)
    expected = entry / ((1 << bits) - 1) * 255
    np.testing.assert_allclose(shown(data), 255 - expected if inverted else expected, atol=0.51)
    assert len(read_image(data).notes) == (2 if inverted else 1)


def test_a_table_that_claims_more_bits_than_it_uses_is_not_dark_and_it_is_said(make_dicom):
    image = read_image(make_dicom(VALUES, VOILUTSequence=[table(np.arange(4096), 16)]))
    np.testing.assert_allclose(image.pixels[..., 0].astype(float), VALUES / 4095 * 255, atol=0.51)
    assert "fewer bits than it states" in image.notes[1]


def test_a_table_in_the_group_of_a_frame_and_in_the_shared_one(make_dicom):
    up, down = np.arange(4096), np.arange(4095, -1, -1)

    def group(entries: np.ndarray) -> Dataset:
        macro, holder = Dataset(), Dataset()
        macro.VOILUTSequence = [table(entries, 12)]
        holder.FrameVOILUTSequence = [macro]
        return holder

    frames = np.stack([VALUES, VALUES])
    data = make_dicom(
        frames,
        PerFrameFunctionalGroupsSequence=[group(up), group(down)],
        WindowCenter=1,
        WindowWidth=2,
    )
    np.testing.assert_allclose(shown(data, frame=0), VALUES / 4095 * 255, atol=0.51)
    np.testing.assert_allclose(shown(data, frame=1), (4095 - VALUES.astype(int)) / 4095 * 255, atol=0.51)
    shared = make_dicom(frames, SharedFunctionalGroupsSequence=[group(down)])
    np.testing.assert_allclose(shown(shared, frame=1), (4095 - VALUES.astype(int)) / 4095 * 255, atol=0.51)


def test_the_choice_among_several_is_said(make_dicom):
    two = make_dicom(VALUES, VOILUTSequence=[table(np.arange(4096), 12), table(np.zeros(4096), 12)])
    assert "first of several" in read_image(two).notes[0]
    windows = make_dicom(VALUES, WindowCenter=[2000, 100], WindowWidth=[4000, 200])
    assert "first of several" in read_image(windows).notes[0]
    assert "several" not in read_image(make_dicom(VALUES, WindowCenter=2000, WindowWidth=4000)).notes[0]


@pytest.mark.parametrize(
    ("entries", "bits"),
    [
        (COLOURS, 8),
        (COLOURS.astype("<u2"), 8),
        (COLOURS.astype("<u2"), 16),
        (COLOURS.astype("<u2") * 256, 16),
        (COLOURS.astype("<u2") * 257, 16),
    ],
    ids=["bytes", "bytes in words", "said to be words", "in the upper byte", "words"],
)
def test_palettes_of_bytes_however_they_are_stored(make_dicom, entries, bits):
    image = read_image(make_dicom(INDICES, **palette(entries, bits)))
    np.testing.assert_allclose(image.pixels.astype(int), COLOURS[INDICES], atol=1)
    assert any("8 of 16 bits" in note for note in image.notes) == (bits == 16 and entries.max() < 256)


def test_a_palette_of_twelve_bits_and_one_that_begins_elsewhere(make_dicom):
    deep = np.random.default_rng(5).integers(0, 65536, (256, 3)).astype("<u2")
    values = (INDICES.astype(np.uint16) * 4).astype(np.uint16)
    data = make_dicom(values, **palette(deep, 16, first=100))
    expected = apply_color_lut(values, pydicom.dcmread(io.BytesIO(data))) / 65535 * 255
    np.testing.assert_allclose(read_image(data).pixels.astype(float), expected, atol=0.51)


def test_a_palette_of_bytes_for_indices_of_more_than_eight_bits(make_dicom):
    entries = np.random.default_rng(6).integers(0, 256, (4096, 3)).astype(np.uint8)
    np.testing.assert_array_equal(
        read_image(make_dicom(VALUES, **palette(entries, 8))).pixels, entries[VALUES]
    )


def test_a_palette_of_big_endian_words(make_dicom):
    deep = COLOURS.astype(np.uint16) * 257
    data = make_dicom(INDICES, ExplicitVRBigEndian, **palette(deep.astype(">u2"), 16))
    np.testing.assert_array_equal(read_image(data).pixels, COLOURS[INDICES])


def test_a_palette_in_segments(make_dicom):
    """A line from 0 to 255 in red, constant green, single values in blue."""
    segments = {
        "Red": bytes([0, 1, 0, 1, 255, 255]),
        "Green": bytes([0, 1, 7, 1, 255, 7]),
        "Blue": bytes([0, 128, *range(128), 0, 128, *range(128)]),
    }
    stated: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, data in segments.items():
        stated[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        stated[f"Segmented{name}PaletteColorLookupTableData"] = data
    pixels = read_image(make_dicom(INDICES, **stated)).pixels
    np.testing.assert_array_equal(pixels[..., 0], INDICES)
    assert (pixels[..., 1] == 7).all()
    np.testing.assert_array_equal(pixels[..., 2], INDICES % 128)


def test_colours_for_a_part_of_the_grey_values_are_said_to_be_missing(make_dicom):
    stated = palette(COLOURS, 8) | {"PhotometricInterpretation": "MONOCHROME2"}
    image = read_image(make_dicom(INDICES, **stated))
    np.testing.assert_array_equal(image.pixels[..., 1], INDICES)
    assert "colours for a part" in image.notes[-1]


def spoiled(make_dicom: Callable[..., bytes], change: Callable[[Dataset], None]) -> bytes:
    item = table(np.arange(4096), 12)
    change(item)
    return make_dicom(VALUES, VOILUTSequence=[item])


@pytest.mark.parametrize("keyword", ["LUTDescriptor", "LUTData"])
def test_a_table_without_its_parts_is_damaged(make_dicom, keyword):
    with pytest.raises(DamagedImageError, match="table"):
        read_image(spoiled(make_dicom, lambda item: delattr(item, keyword)))
    lacking = palette(COLOURS, 8)
    del lacking["GreenPaletteColorLookupTableData"]
    with pytest.raises(DamagedImageError, match="table"):
        read_image(make_dicom(INDICES, **lacking))
