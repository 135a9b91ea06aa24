"""Pictures of rarer make, and every way of cutting off or spoiling the usual ones."""

import contextlib
import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mermed_core.errors import (
    DamagedImageError,
    EmptyFileError,
    FrameError,
    ImageError,
    ImageTooLargeError,
    NoPixelsError,
    UnsupportedFormatError,
)
from mermed_core.imaging.reader import Limits, count_frames, read_image

RGB = np.random.default_rng(0).integers(0, 256, (12, 18, 3), dtype=np.uint8)
TURN_RIGHT = 6


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def written(values: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = TURN_RIGHT
    return exif


def test_a_jpeg_is_brought_upright_by_its_orientation():
    data = encoded(RGB, "JPEG", exif=turned())
    np.testing.assert_array_equal(read_image(data).pixels, np.rot90(decoded(data), -1))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_changes_nothing(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    np.testing.assert_array_equal(read_image(encoded(RGB, "PNG", exif=exif)).pixels, RGB)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"nothing of the kind"])
def test_a_broken_remark_of_the_camera_leaves_the_picture_as_it_is(exif):
    np.testing.assert_array_equal(read_image(encoded(RGB, "PNG", exif=exif)).pixels, RGB)


def test_sixteen_bits_and_orientation_together():
    values = (100 * np.arange(48)).reshape(6, 8).astype(np.uint16)
    low, high = np.percentile(values, (0.5, 99.5))
    expected = np.rot90(np.clip((values - low) / (high - low), 0, 1) * 255, -1)
    shown = read_image(encoded(values, "PNG", exif=turned())).pixels
    np.testing.assert_allclose(shown[..., 1], expected, atol=0.51)
    rare = written(values.astype(np.uint32), photometric="minisblack", extratags=[(274, 3, 1, 6, True)])
    np.testing.assert_allclose(read_image(rare).pixels[..., 1], expected, atol=0.51)


def test_a_remark_longer_than_a_jpeg_can_hold_is_not_opened():
    exif = turned()
    exif[270] = "x" * 2**16
    np.testing.assert_array_equal(read_image(encoded(RGB, "PNG", exif=exif)).pixels, RGB)
    exif[270] = "x" * (2**16 - 100)
    np.testing.assert_array_equal(read_image(encoded(RGB, "PNG", exif=exif)).pixels, np.rot90(RGB, -1))


def test_sound_in_the_wrapping_of_webp_is_no_image():
    with pytest.raises(UnsupportedFormatError):
        read_image(b"RIFF\x24\0\0\0WAVEfmt " + bytes(100))


def test_a_file_may_have_as_many_bytes_as_the_limit_and_no_more():
    data = encoded(RGB, "BMP").ljust(2 * 2**20, b"\0")
    np.testing.assert_array_equal(read_image(data, limits=Limits(max_bytes=2 * 2**20)).pixels, RGB)
    with pytest.raises(ImageTooLargeError, match="has 3 MB; at most 2 MB"):
        read_image(data.ljust(3 * 2**20, b"\0"), limits=Limits(max_bytes=2 * 2**20))


def test_half_transparent_parts_lie_over_black():
    alpha = np.full(RGB.shape[:2], 128, np.uint8)
    for kind, options in (("PNG", {}), ("WebP", {"lossless": True, "exact": True}), ("TIFF", {})):
        shown = read_image(encoded(np.dstack([RGB, alpha]), kind, **options)).pixels
        np.testing.assert_allclose(shown.astype(float), RGB * (128 / 255), atol=1)


def test_grey_with_alpha_and_a_palette_with_a_transparent_colour():
    grey = RGB[..., 0]
    alpha = np.zeros_like(grey)
    alpha[:6] = 255
    image = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))
    shown = read_image(encoded(image, "PNG"))
    np.testing.assert_array_equal(shown.pixels[:6, :, 2], grey[:6])
    assert shown.pixels[6:].max() == 0
    palette = Image.new("P", (4, 2), 1)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((3, 1), 0)
    image = read_image(encoded(palette, "PNG", transparency=0))
    assert image.pixels[0, 0].tolist() == [200, 100, 50]
    assert image.pixels[1, 3].tolist() == [0, 0, 0]
    assert "Transparent" in image.notes[0]


def test_an_alpha_that_hides_nothing_is_not_mentioned():
    image = read_image(encoded(np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]), "PNG"))
    np.testing.assert_array_equal(image.pixels, RGB)
    assert image.notes == ()


def test_inks_of_a_printer_become_rgb():
    data = encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=95)
    np.testing.assert_array_equal(read_image(data).pixels, decoded(data))


@pytest.mark.parametrize("kind", ["PNG", "WebP", "GIF", "AVIF"])
def test_each_picture_of_a_moving_one_is_a_frame(kind):
    shades = [0, 85, 170]
    pictures = [Image.new("RGB", (16, 8), (shade, 255 - shade, 0)) for shade in shades]
    options = {"GIF": {}, "AVIF": {"quality": 100}}.get(kind, {"lossless": True})
    data = encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], **options)
    assert count_frames(data) == 3
    for frame, shade in enumerate(shades):
        image = read_image(data, frame=frame)
        np.testing.assert_allclose(image.pixels[4, 8].astype(int), [shade, 255 - shade, 0], atol=4)
        assert f"Frame {frame + 1} of 3 is shown." in image.notes
    with pytest.raises(FrameError, match="has 3"):
        read_image(data, frame=3)


def test_a_frame_that_many_large_ones_come_before_is_refused():
    pictures = [Image.new("L", (40, 40), shade) for shade in range(30)]
    data = encoded(pictures[0], "GIF", save_all=True, append_images=pictures[1:])
    assert read_image(data, frame=29, limits=Limits(max_pixels=3000)).frames == 30
    with pytest.raises(ImageTooLargeError, match="too far behind"):
        read_image(data, frame=29, limits=Limits(max_pixels=1700))


def test_the_second_picture_of_a_jpeg_is_no_frame():
    data = encoded(Image.fromarray(RGB), "MPO", save_all=True, append_images=[Image.fromarray(255 - RGB)])
    assert count_frames(data) == 1
    with pytest.raises(FrameError, match="has 1"):
        read_image(data, frame=1)


def test_frames_are_counted_without_reading_pixels(make_dicom, tmp_path):
    pages = [Image.fromarray(RGB), Image.fromarray(RGB[:5, :7])]
    sources = {
        2: encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]),
        1: encoded(RGB, "JPEG2000"),
        5: make_dicom(np.zeros((5, 4, 4), np.uint8)),
    }
    for frames, data in sources.items():
        (tmp_path / "file").write_bytes(data)
        assert count_frames(data) == count_frames(tmp_path / "file") == frames
    assert count_frames(sources[5][:-40]) == 5  # the pixels are cut off


def test_frames_of_what_is_no_picture_are_a_sentence(make_dicom, tmp_path):
    with pytest.raises(NoPixelsError):
        count_frames(make_dicom(np.zeros((4, 4), np.uint8), Rows=None, Columns=None))
    for source, error in (
        (b"", EmptyFileError),
        (b"hello", UnsupportedFormatError),
        (b"II*\0", DamagedImageError),
    ):
        with pytest.raises(error):
            count_frames(source)
    with pytest.raises(UnsupportedFormatError, match="no such file"):
        count_frames(tmp_path / "none")


def test_pages_of_different_sizes_are_each_read_at_their_own():
    pages = [Image.fromarray(RGB), Image.fromarray(RGB[:5, :7])]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert read_image(data, frame=0).pixels.shape == (12, 18, 3)
    assert read_image(data, frame=0).notes == ("Page 1 of 2 is shown.",)
    np.testing.assert_array_equal(read_image(data, frame=1).pixels, RGB[:5, :7])


def test_values_that_are_not_finite_become_black():
    values = np.linspace(1, 2, 48, dtype=np.float32).reshape(6, 8)
    values[0, 0], values[0, 1] = np.nan, -np.inf
    shown = read_image(written(values, photometric="minisblack")).pixels
    assert shown[0, :2].max() == 0
    assert shown[-1, -1, 0] == 255
    assert (
        read_image(written(np.full((4, 4), np.nan, np.float32), photometric="minisblack")).pixels.max() == 0
    )


def test_the_pixels_are_own_memory_that_can_be_handed_on():
    for kind in ("PNG", "TIFF", "BMP"):
        pixels = read_image(encoded(RGB, kind, **({} if kind == "BMP" else {"exif": turned()}))).pixels
        assert pixels.flags.c_contiguous


def test_a_file_that_may_not_be_read_is_a_sentence(tmp_path, monkeypatch):
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "denied", str(path))

    (tmp_path / "a.png").write_bytes(encoded(RGB, "PNG"))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DamagedImageError, match="may read it"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "scan.dcm", "b.tif"])
def test_a_document_keeps_its_kind_under_any_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"%PDF-1.7\n" + bytes(100))
    with pytest.raises(ImageError, match="PDF"):
        read_image(tmp_path / name)


def nested_directories(depth: int) -> bytes:
    """A TIFF whose EXIF directory points to itself, `depth` entries of it."""
    entry = struct.pack("<HHLL", 34665, 4, 1, 8)
    return b"II*\0" + struct.pack("<LH", 8, depth) + entry * depth + b"\0" * 4


@pytest.mark.timeout(20)
@pytest.mark.parametrize("depth", [1, 3, 200])
def test_directories_within_themselves_end(depth):
    with pytest.raises(ImageError):
        read_image(nested_directories(depth))


VALID = {
    "PNG": encoded(RGB, "PNG", exif=turned()),
    "PNG of 16 bits": encoded(RGB[..., 0].astype(np.uint16) * 200, "PNG"),
    "palette": encoded(Image.fromarray(RGB).convert("P"), "PNG"),
    "JPEG": encoded(RGB, "JPEG", exif=turned()),
    "progressive": encoded(RGB, "JPEG", progressive=True),
    "TIFF": encoded(RGB, "TIFF", exif=turned()),
    "LZW": encoded(RGB, "TIFF", compression="tiff_lzw"),
    "pages": encoded(RGB, "TIFF", save_all=True, append_images=[Image.fromarray(RGB)]),
    "rare TIFF": written(RGB[..., 0].astype(np.uint32), photometric="minisblack"),
    "BigTIFF": written(RGB[..., 0].astype(np.float64), photometric="minisblack", bigtiff=True),
    "WebP": encoded(RGB, "WebP", exif=turned()),
    "BMP": encoded(RGB, "BMP"),
    "JPEG 2000": encoded(RGB, "JPEG2000"),
    "GIF": encoded(RGB, "GIF"),
    "AVIF": encoded(RGB, "AVIF"),
    "deep PNG": bytes(imagecodecs.png_encode(RGB.astype(np.uint16) * 16)),
    "big-endian LZW": written(RGB[..., 0].astype(np.int16), byteorder=">", compression="lzw"),
    "tiles": written(
        np.zeros((32, 32), np.uint16), tile=(16, 16), compression="zlib", photometric="minisblack"
    ),
    "JPEG-LS": bytes(imagecodecs.jpegls_encode(RGB)),
}


@pytest.mark.parametrize("kind", VALID)
def test_cut_off_anywhere_a_file_gives_the_whole_picture_or_our_error(kind):
    data = VALID[kind]
    whole = read_image(data).pixels
    for length in [*range(1, len(data), max(1, len(data) // 60)), *range(len(data) - 20, len(data))]:
        with contextlib.suppress(ImageError):
            np.testing.assert_array_equal(read_image(data[:length]).pixels, whole, f"{length} bytes")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(VALID)), st.data())
def test_spoiled_anywhere_a_file_ends_in_pixels_or_our_error(kind, data):
    spoiled = bytearray(VALID[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    frame = data.draw(st.integers(0, 1))
    with contextlib.suppress(ImageError):
        pixels = read_image(bytes(spoiled), frame=frame, limits=Limits(max_pixels=10**6)).pixels
        assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
