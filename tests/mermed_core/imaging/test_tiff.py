"""TIFF of every type of number, order of bytes, compression and predictor, against numpy and libtiff."""

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from mermed_core.errors import DamagedImageError, ImageTooLargeError, UnsupportedFormatError
from mermed_core.imaging.limits import Limits
from mermed_core.imaging.reader import read_image
from mermed_core.imaging.tiff_values import read_values

RAMP = (np.arange(20 * 36).reshape(20, 36) * 5).astype(np.int64)
RGB = np.random.default_rng(0).integers(0, 256, (20, 36, 3), dtype=np.uint8)
SMOOTH = np.stack([np.add.outer(np.arange(48), np.arange(64)) * 2] * 3, axis=-1).astype(np.uint8)
BYTE_COMPRESSIONS = (None, "lzw", "zlib", "packbits", "lzma", "zstd")


def written(values: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def saved(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "TIFF", **options)
    return buffer.getvalue()


def stretched(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    low, high = np.percentile(values, (0.5, 99.5))
    return np.clip((values - low) / (high - low), 0, 1) * 255


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", BYTE_COMPRESSIONS)
def test_numbers_of_every_type_arrive_in_both_orders_of_bytes(compression, order):
    for dtype in ("u2", "i2", "u4", "i4", "f2", "f4", "f8"):
        values = RAMP.astype(dtype) if dtype[0] == "u" else (RAMP - 1000).astype(dtype)
        for predictor in (
            (False, True) if compression not in (None, "packbits") and dtype != "f2" else (False,)
        ):
            data = written(
                values,
                byteorder=order,
                compression=compression,
                predictor=predictor,
                photometric="minisblack",
            )
            image = read_image(data)
            np.testing.assert_allclose(image.pixels[..., 1], stretched(values), atol=0.51, err_msg=dtype)
            assert "stretched" in image.notes[0]


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd"])
def test_what_libtiff_wrote_is_read_by_the_other_decoder_as_it_was(compression):
    """Every compression that libtiff and imagecodecs share, from the one to the other."""
    values = RAMP.astype(np.uint16)
    shown, _, extra = read_values(saved(values, compression=compression), 0, Limits())
    np.testing.assert_array_equal(shown[..., 0], values)
    assert extra is None
    shown, _, _ = read_values(saved(RGB, compression=compression), 0, Limits())
    np.testing.assert_array_equal(shown, RGB)


@pytest.mark.parametrize("compression", BYTE_COMPRESSIONS)
def test_what_imagecodecs_wrote_is_read_by_libtiff_as_it_was(compression):
    np.testing.assert_array_equal(read_image(written(RGB, compression=compression)).pixels, RGB)


def test_jpeg_in_tiff_is_read_alike_by_both_decoders():
    for data in (saved(SMOOTH, compression="jpeg", quality=95), written(SMOOTH, compression="jpeg")):
        shown, _, _ = read_values(data, 0, Limits())
        np.testing.assert_allclose(shown.astype(int), read_image(data).pixels, atol=2)
        np.testing.assert_allclose(shown.astype(int), SMOOTH, atol=12)


def test_jpeg_of_twelve_bits_and_jpeg_2000_in_tiff():
    values = (SMOOTH[..., 0].astype(np.uint16) * 16).astype(np.uint16)
    wave = written(values, compression="jpeg2000", photometric="minisblack")
    np.testing.assert_allclose(read_image(wave).pixels[..., 0], stretched(values), atol=0.51)
    deep = written(values, compression="jpeg", compressionargs={"bitspersample": 12, "level": 98})
    np.testing.assert_allclose(read_image(deep).pixels[..., 0], stretched(values), atol=4)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_strips_tiles_and_planes_of_colours_in_sixteen_bits(compression, tile):
    deep = RGB.astype(np.uint16) * 257
    for planar, values in (("contig", deep), ("separate", deep.transpose(2, 0, 1))):
        data = written(
            values, photometric="rgb", planarconfig=planar, compression=compression, tile=tile, byteorder=">"
        )
        image = read_image(data)
        np.testing.assert_array_equal(image.pixels, RGB)
        assert image.notes == ()


def test_colours_that_use_twelve_of_sixteen_bits_are_not_dark_and_it_is_said():
    deep = RGB.astype(np.uint16) * 16
    for values, photometric in (
        (deep, "rgb"),
        (np.dstack([deep, np.full(RGB.shape[:2], 65535, np.uint16)]), "rgb"),
    ):
        image = read_image(
            written(values, photometric=photometric, extrasamples=None if values is deep else ["unassalpha"])
        )
        np.testing.assert_allclose(image.pixels.astype(int), deep / 4095 * 255, atol=0.51)
        assert "use 12 of 16 bits" in image.notes[0]


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha", "unspecified"])
def test_a_fourth_channel_is_alpha_only_where_the_file_says_so(extra):
    alpha = np.full(RGB.shape[:2], 65535, np.uint16)
    alpha[:5] = 0
    deep = np.dstack([RGB.astype(np.uint16) * 257, alpha])
    image = read_image(written(deep, photometric="rgb", extrasamples=[extra]))
    np.testing.assert_array_equal(image.pixels[5:], RGB[5:])
    if extra == "unassalpha":
        assert image.pixels[:5].max() == 0
        assert "Transparent" in image.notes[-1]
    else:
        np.testing.assert_array_equal(image.pixels, RGB)
    assert any("Further channels" in note for note in image.notes) == (extra == "unspecified")


def test_grey_with_further_channels_shows_the_first_and_says_so():
    values = np.dstack([RAMP, RAMP[::-1], RAMP * 0]).astype(np.uint16)
    image = read_image(written(values, photometric="minisblack", planarconfig="contig"))
    np.testing.assert_allclose(image.pixels[..., 0], stretched(RAMP), atol=0.51)
    assert "Further channels" in image.notes[-1]


@pytest.mark.parametrize("top", [255, 65535])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_a_palette_of_bytes_in_words_is_not_black(top, compression):
    colours = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16)
    colours[0, 0] = 255
    indices = (RAMP % 256).astype(np.uint8)
    data = written(
        indices, photometric="palette", colormap=colours * np.uint16(top // 255), compression=compression
    )
    np.testing.assert_array_equal(read_image(data).pixels, colours.T[indices])


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_numbers_that_are_packed(bits):
    values = (RAMP % (1 << bits)).astype(np.uint16)
    packed = imagecodecs.packints_encode(values, bits)
    head = struct.pack("<2sHLH", b"II", 42, 8, 9)
    entries = [
        (256, 3, 1, 36), (257, 3, 1, 20), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8 + 2 + 9 * 12 + 4), (277, 3, 1, 1), (278, 3, 1, 20), (279, 4, 1, len(packed)),
    ]  # fmt: skip
    data = head + b"".join(struct.pack("<HHLL", *entry) for entry in entries) + struct.pack("<L", 0) + packed
    np.testing.assert_allclose(read_image(data).pixels[..., 0], stretched(values), atol=0.51)


def test_signed_bytes_and_truth_values():
    values = (RAMP % 200 - 100).astype(np.int8)
    np.testing.assert_allclose(
        read_image(written(values, photometric="minisblack")).pixels[..., 2], stretched(values), atol=0.51
    )
    truth = RAMP % 3 == 0
    np.testing.assert_array_equal(
        read_image(written(truth, photometric="minisblack")).pixels[..., 0], np.where(truth, 255, 0)
    )


def test_white_as_zero_in_any_type():
    for dtype in ("u1", "u2", "f4"):
        values = (RAMP % 251).astype(dtype)
        shown = read_image(written(values, photometric="miniswhite", compression="zstd")).pixels[..., 0]
        expected = values if dtype == "u1" else stretched(values)
        np.testing.assert_allclose(shown, 255 - expected.astype(float), atol=0.51)


def test_a_resolution_that_differs_gives_the_true_proportion():
    for values in (RGB, RAMP.astype(np.uint16)):
        image = read_image(written(values, resolution=(200, 100)))
        assert image.pixels.shape == (40, 36, 3)
        assert "twice" in image.notes[-1] or "2 times as high" in image.notes[-1]
        turned = read_image(written(values, resolution=(200, 100), extratags=[(274, 3, 1, 6, True)]))
        np.testing.assert_array_equal(turned.pixels, np.rot90(image.pixels, -1))
    assert read_image(written(RGB, resolution=(300, 300))).notes == ()


def test_what_is_rare_is_a_sentence():
    for values, options in (
        (np.zeros((4, 5), np.complex64), {}),
        (RGB, {"compression": "jpegxl"}),
        (
            np.zeros((16, 16, 16), np.uint16),
            {"volumetric": True, "tile": (16, 16, 16), "photometric": "minisblack"},
        ),
    ):
        with pytest.raises(UnsupportedFormatError, match="without compression"):
            read_values(written(values, **options), 0, Limits())


def test_a_page_that_is_cut_off_or_lacks_a_strip_is_damaged():
    for compression in BYTE_COMPRESSIONS:
        data = bytearray(
            written(
                np.ones((40, 50), np.uint32),
                compression=compression,
                rowsperstrip=10,
                photometric="minisblack",
            )
        )
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            place = file.pages[0].aspage().tags["StripByteCounts"].valueoffset
        struct.pack_into("<H", data, place, 3)
        with pytest.raises(DamagedImageError):
            read_image(bytes(data))
    data = written(np.ones((40, 50), np.uint32), photometric="minisblack")
    with pytest.raises(DamagedImageError, match="cut off"):
        read_values(data[: len(data) // 2], 0, Limits())


def test_a_page_or_tile_of_too_many_pixels_is_refused_before_it_is_read():
    data = written(np.ones((40, 50), np.uint32), photometric="minisblack")
    with pytest.raises(ImageTooLargeError, match="50 × 40"):
        read_values(data, 0, Limits(max_pixels=1999))
    assert read_values(data, 0, Limits(max_pixels=2000))[0].shape == (40, 50, 1)
    tiled = written(np.ones((40, 50), np.uint32), photometric="minisblack", tile=(64, 64), compression="zlib")
    with pytest.raises(ImageTooLargeError, match="64 × 64"):
        read_values(tiled, 0, Limits(max_pixels=2000))


def test_a_strip_that_would_unpack_to_more_than_the_page_is_not_unpacked_further():
    data = bytearray(written(np.zeros((40, 50), np.uint32), photometric="minisblack", compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages[0].aspage().tags
        start, rows = tags["StripOffsets"].value[0], tags["ImageLength"].valueoffset
    bomb = imagecodecs.zlib_encode(bytes(20_000_000), level=9)
    data[start:] = bomb
    struct.pack_into("<L", data, tags["StripByteCounts"].valueoffset, len(bomb))
    assert rows
    try:
        assert read_image(bytes(data)).pixels.shape == (40, 50, 3)
    except DamagedImageError:
        return
