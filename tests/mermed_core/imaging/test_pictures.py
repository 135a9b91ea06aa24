"""Pictures of more than 8 bits, other colours, other proportions and rare kinds of JPEG."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from mermed_core.errors import DamagedImageError, ImageTooLargeError
from mermed_core.imaging.reader import Limits, read_image

RGB = np.random.default_rng(0).integers(0, 256, (12, 18, 3), dtype=np.uint8)
DEEP = (RGB.astype(np.uint16) * 16 + 8).astype(np.uint16)
RAMP = (np.arange(12 * 18).reshape(12, 18) * 18).astype(np.uint16)
SMOOTH = np.stack([np.add.outer(np.arange(32) * 3, np.arange(48) * 3)] * 3, axis=-1).astype(np.uint8)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def stretched(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, (0.5, 99.5))
    return np.clip((values - low) / (high - low), 0, 1) * 255


def test_grey_of_sixteen_bits_with_alpha_is_stretched_as_without():
    alpha = np.full_like(RAMP, 65535)
    image = read_image(bytes(imagecodecs.png_encode(np.stack([RAMP, alpha], axis=-1))))
    np.testing.assert_allclose(image.pixels[..., 1], stretched(RAMP), atol=0.51)
    assert image.notes == ("The grey values were stretched from the darkest to the brightest 0.5 %.",)


@pytest.mark.parametrize("alpha", [False, True])
def test_colours_of_sixteen_bits_use_the_range_they_use(alpha):
    values = np.dstack([DEEP, np.full(RGB.shape[:2], 65535, np.uint16)]) if alpha else DEEP
    image = read_image(bytes(imagecodecs.png_encode(values)))
    np.testing.assert_allclose(image.pixels.astype(float), DEEP / 4095 * 255, atol=0.51)
    assert "use 12 of 16 bits" in image.notes[0]
    whole = read_image(bytes(imagecodecs.png_encode(RGB.astype(np.uint16) * 257)))
    np.testing.assert_array_equal(whole.pixels, RGB)
    assert whole.notes == ()


@pytest.mark.parametrize("colours", [True, False])
def test_transparent_parts_of_sixteen_bits_are_black_and_said(colours):
    alpha = np.full(RAMP.shape, 65535, np.uint16)
    alpha[:4] = 0
    values = np.dstack([RGB.astype(np.uint16) * 257 if colours else RAMP + 1, alpha])
    image = read_image(bytes(imagecodecs.png_encode(values)))
    assert image.pixels[:4].max() == 0
    assert "Transparent" in image.notes[-1]


def test_jpeg_2000_of_twelve_bits_in_colour_and_in_grey():
    image = read_image(bytes(imagecodecs.jpeg2k_encode(DEEP, reversible=True, level=0, bitspersample=12)))
    np.testing.assert_allclose(image.pixels.astype(float), DEEP / 4095 * 255, atol=0.51)
    grey = read_image(bytes(imagecodecs.jpeg2k_encode(RAMP, reversible=True, level=0, bitspersample=12)))
    np.testing.assert_allclose(grey.pixels[..., 0], stretched(RAMP), atol=1)
    assert "stretched" in grey.notes[0]
    wide = read_image(bytes(imagecodecs.jpeg2k_encode(DEEP, reversible=True, level=0)))
    np.testing.assert_allclose(wide.pixels.astype(float), DEEP / 4095 * 255, atol=0.51)
    assert "use 12 of 16 bits" in wide.notes[0]


@pytest.mark.parametrize("name", ["a.jp2", "a.j2k"])
def test_jpeg_2000_of_eight_bits_arrives_exactly(name):
    data = bytes(imagecodecs.jpeg2k_encode(RGB, reversible=True, level=0, codecformat=name[2:]))
    image = read_image(data)
    np.testing.assert_array_equal(image.pixels, RGB)
    assert (image.kind, image.notes) == ("JPEG 2000", ())


def test_avif_arrives_nearly_exactly():
    image = read_image(encoded(SMOOTH, "AVIF", quality=95))
    np.testing.assert_allclose(image.pixels.astype(int), SMOOTH, atol=8)
    assert image.kind == "AVIF"
    deep = bytes(imagecodecs.avif_encode(SMOOTH.astype(np.uint16) * 4, level=95, bitspersample=10))
    np.testing.assert_allclose(read_image(deep).pixels.astype(int), SMOOTH, atol=8)


def test_gif_of_one_picture_and_its_transparent_parts():
    image = read_image(encoded(Image.fromarray(RGB).quantize(64), "GIF"))
    np.testing.assert_array_equal(image.pixels, np.asarray(Image.fromarray(RGB).quantize(64).convert("RGB")))
    palette = Image.new("P", (4, 2), 1)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((3, 1), 0)
    shown = read_image(encoded(palette, "GIF", transparency=0))
    assert shown.pixels[0, 0].tolist() == [200, 100, 50]
    assert shown.pixels[1, 3].tolist() == [0, 0, 0]
    assert "Transparent" in shown.notes[-1]


@pytest.mark.parametrize("after", [b"\0", b"    ", b"\r\n", b"VENDOR", b"\xff\xd8\xff"])
def test_bytes_behind_the_end_of_a_jpeg_change_nothing(after):
    data = encoded(SMOOTH, "JPEG")
    np.testing.assert_array_equal(read_image(data + after).pixels, read_image(data).pixels)


def test_rare_kinds_of_jpeg_outside_dicom():
    deep = (SMOOTH[..., 0].astype(np.uint16) * 16).astype(np.uint16)
    for data, exact in (
        (bytes(imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=12)), True),
        (bytes(imagecodecs.jpegls_encode(deep)), True),
        (bytes(imagecodecs.jpeg8_encode(deep, level=98, bitspersample=12)), False),
    ):
        image = read_image(data)
        assert (image.kind, image.frames) == ("JPEG", 1)
        np.testing.assert_allclose(image.pixels[..., 0], stretched(deep), atol=0.51 if exact else 4)
        assert "stretched" in image.notes[0]
    np.testing.assert_array_equal(read_image(bytes(imagecodecs.jpegls_encode(RGB))).pixels, RGB)
    with pytest.raises(ImageTooLargeError, match="48 × 32"):
        read_image(bytes(imagecodecs.jpegls_encode(deep)), limits=Limits(max_pixels=1000))
    with pytest.raises(DamagedImageError):
        read_image(bytes(imagecodecs.jpegls_encode(deep))[:-20])


def swapped_profile() -> bytes:
    """An RGB profile whose red is green: what it means differs much from sRGB."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(struct.unpack_from(">L", data, 128)[0]):
        entry = 132 + 12 * number
        name = bytes(data[entry : entry + 4])
        data[entry : entry + 4] = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}.get(name, name)
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WebP"])
def test_a_colour_profile_is_obeyed_and_said(kind):
    profile = swapped_profile()
    image = read_image(
        encoded(SMOOTH, kind, icc_profile=profile, **({"lossless": True} if kind == "WebP" else {}))
    )
    meant = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    expected = ImageCms.profileToProfile(Image.fromarray(SMOOTH), meant, ImageCms.createProfile("sRGB"))
    np.testing.assert_array_equal(image.pixels, np.asarray(expected))
    assert "colour profile" in image.notes[-1]


def test_the_profile_of_srgb_changes_no_pixel_and_needs_no_word():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = read_image(encoded(RGB, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(image.pixels, RGB)
    assert image.notes == ()


def test_a_profile_for_deep_colours():
    image = read_image(encoded(SMOOTH, "TIFF", icc_profile=swapped_profile()))
    import tifffile

    buffer = io.BytesIO()
    tags = [(34675, 7, None, swapped_profile(), True)]
    tifffile.imwrite(buffer, SMOOTH.astype(np.uint16) * 257, photometric="rgb", extratags=tags)
    np.testing.assert_array_equal(read_image(buffer.getvalue()).pixels, image.pixels)


@pytest.mark.parametrize("profile", [b"nothing of the kind", b"\0" * 200])
def test_a_damaged_profile_is_left_aside_and_said(profile):
    image = read_image(encoded(RGB, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(image.pixels, RGB)
    assert "left aside" in image.notes[0]


def test_a_profile_for_other_pixels_is_left_aside():
    image = read_image(encoded(RGB[..., 0], "PNG", icc_profile=swapped_profile()))
    np.testing.assert_array_equal(image.pixels[..., 0], RGB[..., 0])
    assert "left aside" in image.notes[0]


def test_printers_inks_are_said():
    image = read_image(encoded(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG", quality=95))
    assert "inks" in image.notes[0]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    import zlib

    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))


@pytest.mark.parametrize("unit", [0, 1])
def test_pixels_of_a_png_that_are_not_square(unit):
    data = encoded(RGB, "PNG")
    with_size = data[:33] + png_chunk(b"pHYs", struct.pack(">LLB", 4000, 2000, unit)) + data[33:]
    image = read_image(with_size)
    np.testing.assert_array_equal(image.pixels, RGB.repeat(2, axis=0))
    assert "true proportion" in image.notes[-1]


@pytest.mark.parametrize("unit", [0, 1, 2])
def test_pixels_of_a_jpeg_that_are_not_square(unit):
    data = bytearray(encoded(SMOOTH, "JPEG"))
    data[13:18] = struct.pack(">BHH", unit, 100, 200)
    assert read_image(bytes(data)).pixels.shape == (32, 96, 3)
    data[13:18] = struct.pack(">BHH", unit, 0, 200)
    assert read_image(bytes(data)).pixels.shape == (32, 48, 3)


def test_the_proportion_is_that_of_the_picture_before_it_is_turned():
    exif = Image.Exif()
    exif[274] = 6
    data = bytearray(encoded(SMOOTH, "JPEG", exif=exif, dpi=(100, 200)))
    assert read_image(bytes(data)).pixels.shape == (96, 32, 3)
