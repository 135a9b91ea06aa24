"""Files of every kind to pixels: exact where the kind is lossless, a typed sentence where a file is wrong."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mermed_core.errors import (
    DamagedImageError,
    EmptyFileError,
    FrameError,
    ImageError,
    ImageTooLargeError,
    UnsupportedFormatError,
)
from mermed_core.imaging.reader import Limits, read_image

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
RAMP = (1000 + 7 * np.arange(600)).reshape(20, 30).astype(np.uint16)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def stretched(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, (0.5, 99.5))
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
        ("WebP", {"lossless": True}),
    ],
)
def test_lossless_kinds_arrive_exactly(kind, options):
    image = read_image(encoded(RGB, kind, **options))
    np.testing.assert_array_equal(image.pixels, RGB)
    assert (image.kind, image.frames, image.frame, image.notes) == (kind, 1, 0, ())


def test_jpeg_arrives_as_pillow_decodes_it():
    data = encoded(RGB, "JPEG", quality=90)
    np.testing.assert_array_equal(
        read_image(data).pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    )


def test_a_path_and_its_bytes_give_the_same_whatever_the_name(tmp_path):
    path = tmp_path / "wrong-name.jpg"
    path.write_bytes(encoded(RGB, "PNG"))
    image = read_image(path)
    assert image.kind == "PNG"
    np.testing.assert_array_equal(image.pixels, RGB)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_stretched_and_not_clipped(kind):
    image = read_image(encoded(RAMP, kind))
    np.testing.assert_allclose(image.pixels[:, :, 0].astype(int), stretched(RAMP), atol=1)
    assert len(np.unique(image.pixels)) > 200
    assert "stretched" in image.notes[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int16, np.float32])
def test_tiff_of_any_type_of_number(dtype):
    import tifffile

    values = (RAMP % 251 if dtype == np.uint8 else RAMP).astype(dtype)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values)
    shown = read_image(buffer.getvalue()).pixels
    expected = values if dtype == np.uint8 else stretched(values.astype(float))
    np.testing.assert_allclose(shown[:, :, 0].astype(int), expected, atol=1)
    assert (shown[:, :, 0] == shown[:, :, 2]).all()


def test_tiff_that_stores_white_as_zero():
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, RAMP, photometric="miniswhite")
    np.testing.assert_allclose(
        read_image(buffer.getvalue()).pixels[:, :, 0].astype(int), 255 - stretched(RAMP), atol=1
    )


def test_tiff_colour_of_sixteen_bits_in_planes():
    import tifffile

    values = (RGB.astype(np.uint16) * 257).transpose(2, 0, 1)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(buffer.getvalue()).pixels, RGB)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, np.fliplr),
        (3, lambda a: np.rot90(a, 2)),
        (4, np.flipud),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)),
        (8, np.rot90),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WebP"])
def test_orientation_is_obeyed(kind, orientation, upright):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if kind == "WebP" else {}
    data = encoded(RGB, kind, exif=exif, **options)
    np.testing.assert_array_equal(read_image(data).pixels, upright(RGB))


def test_transparent_parts_become_black_and_it_is_said():
    pixels = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    pixels[:5, :, 3] = 0
    image = read_image(encoded(pixels, "PNG"))
    assert image.pixels[:5].max() == 0
    np.testing.assert_array_equal(image.pixels[5:], RGB[5:])
    assert "black" in image.notes[0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_other_modes_become_rgb_as_pillow_turns_them(mode):
    source = Image.fromarray(RGB).convert(mode)
    expected = np.asarray(source.convert("RGB"))
    np.testing.assert_array_equal(read_image(encoded(source, "PNG")).pixels, expected)


def test_pages_of_a_tiff_are_chosen():
    pages = [Image.fromarray(np.full((4, 4, 3), 10 * i, np.uint8)) for i in range(3)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    image = read_image(data, frame=2)
    assert (image.frames, image.frame, image.pixels[0, 0, 0]) == (3, 2, 20)
    assert "Page 3 of 3" in image.notes[-1]
    for frame in (3, -1):
        with pytest.raises(FrameError, match="from 1 to 3"):
            read_image(data, frame=frame)


def test_nothing_of_a_header_is_kept():
    exif = Image.Exif()
    exif[270] = "Jane Doe, born 1950"
    image = read_image(encoded(RGB, "JPEG", exif=exif))
    assert "Jane" not in repr(image)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04", "zip"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"<html>", "web page"),
        (b"\xef\xbb\xbf  <?xml", "web page"),
        (b"hello", "not an image"),
        (b"\0" * 200, "not an image"),
    ],
)
def test_other_files_are_named_for_what_they_are(data, words):
    with pytest.raises(UnsupportedFormatError, match=words):
        read_image(data)


def test_empty_missing_and_folders(tmp_path):
    with pytest.raises(EmptyFileError, match="empty"):
        read_image(b"")
    with pytest.raises(UnsupportedFormatError, match="no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(UnsupportedFormatError, match="folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WebP"])
def test_a_cut_file_is_damaged(kind):
    data = encoded(RGB, kind)
    with pytest.raises(DamagedImageError):
        read_image(data[: len(data) // 2])


def bomb(width: int, height: int) -> bytes:
    """A small PNG that states a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 100_000)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (10_000, 7_000)])
def test_a_decompression_bomb_is_refused_before_it_unpacks(size):
    with pytest.raises(ImageTooLargeError):
        read_image(bomb(*size))


def test_limits_are_on_bytes_pixels_and_frames():
    data = encoded(RGB, "PNG")
    with pytest.raises(ImageTooLargeError, match="MB"):
        read_image(data, limits=Limits(max_bytes=100))
    with pytest.raises(ImageTooLargeError, match="30 × 20"):
        read_image(data, limits=Limits(max_pixels=599))
    assert read_image(data, limits=Limits(max_pixels=600)).pixels.shape == (20, 30, 3)
    pages = [Image.new("L", (2, 2)) for _ in range(4)]
    stack = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(ImageTooLargeError, match="3 frames"):
        read_image(stack, limits=Limits(max_frames=3))


STARTS = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0+",
    b"BM",
    b"RIFF\0\0\0\0WEBP",
    bytes(128) + b"DICM",
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(STARTS), st.binary(max_size=300))
def test_random_bytes_give_nothing_but_our_errors(start, data):
    with contextlib.suppress(ImageError):
        read_image(start + data)


SMALL = {kind: encoded(RGB[:8, :8], kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "WebP")}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(SMALL)), st.data())
def test_changed_bytes_give_pixels_or_our_errors(kind, data):
    spoiled = bytearray(SMALL[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        pixels = read_image(bytes(spoiled), limits=Limits(max_pixels=10**6)).pixels
        assert (pixels.dtype, pixels.ndim) == (np.uint8, 3)
