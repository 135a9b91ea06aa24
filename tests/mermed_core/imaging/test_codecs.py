"""Every compression of DICOM against a second decoder: Pillow, pydicom, OpenJPH or another libjpeg."""

import io
import struct
from dataclasses import replace

import imagecodecs
import numpy as np
import pydicom
import pytest
from libjpeg.utils import decode as libjpeg_decode
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.uid import RLELossless

from mermed_core.errors import DamagedImageError, UnsupportedFormatError
from mermed_core.imaging.codecs import decode_rle, decode_stream, encode_png
from mermed_core.imaging.jpeg_headers import read_codestream

RGB = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
SMOOTH = np.stack([np.add.outer(np.arange(24) * 3, np.arange(40) * 4)] * 3, axis=-1).astype(np.uint8)
SMOOTH[..., 1] //= 2


def ramp(bits: int) -> np.ndarray:
    """A ramp over all values with marks of the highest and the lowest beside each other."""
    values = np.rint(np.add.outer(np.arange(24) / 23 * 0.2, np.arange(40) / 39 * 0.8) * ((1 << bits) - 1))
    values[4:8, 4:12], values[12:18, 20:30] = (1 << bits) - 1, 0
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def decoded(stream: bytes, **options) -> np.ndarray:
    return decode_stream(stream, read_codestream(stream), **options)


def through_pillow(stream: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(stream)))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_lossless_jpeg_of_every_predictor(bits, lossless_jpeg):
    values = ramp(bits)
    for predictor in range(1, 8):
        stream = lossless_jpeg(values, bits, predictor)
        np.testing.assert_array_equal(decoded(stream), values)
        np.testing.assert_array_equal(libjpeg_decode(stream), values)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("encoding", [{"signed": True}, {"wrap": True}], ids=["signed", "modulo"])
def test_lossless_jpeg_whose_differences_wrap_is_right_or_refused(bits, encoding, lossless_jpeg):
    values = ramp(bits)
    options = {"wrap": bits} if "wrap" in encoding else encoding
    for predictor in range(1, 8):
        stream = lossless_jpeg(values, bits, predictor, **options)
        if bits == 12 and "wrap" in encoding and predictor > 4:
            with pytest.raises(UnsupportedFormatError, match="decoders read differently"):
                decoded(stream)
        elif bits < 16 or predictor <= 4 or "wrap" in encoding:
            np.testing.assert_array_equal(decoded(stream), values)


def test_lossless_jpeg_of_colours_and_with_restarts():
    for stream in (bytes(imagecodecs.jpeg8_encode(RGB, lossless=True, predictor=p)) for p in range(1, 8)):
        np.testing.assert_array_equal(decoded(stream), RGB)
        np.testing.assert_array_equal(libjpeg_decode(stream), RGB)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_of_eight_bits(progressive):
    for pixels in (SMOOTH, SMOOTH[..., 0]):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90, progressive=progressive, subsampling=0)
        stream = buffer.getvalue()
        expected = through_pillow(stream)
        np.testing.assert_array_equal(decoded(stream, ycbcr=True), expected)
        other = libjpeg_decode(stream, colour_transform=int(pixels.ndim == 3))
        np.testing.assert_allclose(other.astype(int), expected, atol=4)


def test_colours_of_three_by_three_pixels_are_not_taken_for_planes():
    stream = bytes(imagecodecs.jpegls_encode(np.ascontiguousarray(RGB[:3, :3])))
    np.testing.assert_array_equal(decoded(stream), RGB[:3, :3])


def test_colours_of_jpeg_are_converted_only_where_asked():
    stream = bytes(imagecodecs.jpeg8_encode(SMOOTH, level=98, colorspace="rgb", outcolorspace="rgb"))
    np.testing.assert_allclose(decoded(stream, ycbcr=False).astype(int), SMOOTH, atol=6)


def test_jpeg_of_twelve_bits():
    values = ramp(12)
    stream = bytes(imagecodecs.jpeg8_encode(values, level=95, bitspersample=12))
    np.testing.assert_allclose(decoded(stream).astype(int), libjpeg_decode(stream).astype(int), atol=4)
    assert decoded(stream).max() > 4000


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("near", [0, 2])
def test_jpeg_ls(bits, near):
    values = ramp(bits)
    stream = bytes(imagecodecs.jpegls_encode(values, level=near))
    np.testing.assert_array_equal(decoded(stream), libjpeg_decode(stream))
    np.testing.assert_allclose(decoded(stream).astype(int), values, atol=near)


def test_jpeg_ls_of_colours():
    stream = bytes(imagecodecs.jpegls_encode(RGB))
    np.testing.assert_array_equal(decoded(stream), RGB)
    np.testing.assert_array_equal(libjpeg_decode(stream), RGB)


@pytest.mark.parametrize("reversible", [True, False])
def test_jpeg_2000(reversible):
    for pixels in (RGB, ramp(8), ramp(16)):
        stream = bytes(
            imagecodecs.jpeg2k_encode(
                pixels, codecformat="j2k", reversible=reversible, level=0 if reversible else 70
            )
        )
        np.testing.assert_array_equal(decoded(stream), through_pillow(stream))
        if reversible:
            np.testing.assert_array_equal(decoded(stream), pixels)


def test_jpeg_2000_of_values_below_zero():
    values = ramp(12).astype(np.int16) - 2048
    for bits in (12, 16):
        stream = bytes(
            imagecodecs.jpeg2k_encode(values, codecformat="j2k", reversible=True, bitspersample=bits)
        )
        np.testing.assert_array_equal(decoded(stream), values)


@pytest.mark.parametrize("reversible", [True, False])
def test_high_throughput_jpeg_2000(reversible):
    # OpenJPH wraps what overshoots, so that nothing here may come near the ends of its range.
    for pixels in (RGB // 2 + 64, SMOOTH[..., 0] // 2 + 64, ramp(12) // 2 + 1024):
        stream = bytes(imagecodecs.htj2k_encode(pixels, reversible=reversible))
        shown, other = decoded(stream), imagecodecs.htj2k_decode(stream)
        np.testing.assert_allclose(shown.astype(int), other.astype(int), atol=0 if reversible else 1)


@pytest.mark.parametrize("values", [RGB, ramp(8), ramp(16)], ids=["colour", "8 bits", "16 bits"])
def test_rle(values, make_dicom):
    dataset = pydicom.dcmread(io.BytesIO(make_dicom(values)))
    dataset.compress(RLELossless, encoding_plugin="pydicom")
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    samples = 3 if values.ndim == 3 else 1
    shown = decode_rle(stream, values.shape[0], values.shape[1], samples, values.itemsize)
    np.testing.assert_array_equal(shown, values)
    dataset.pixel_array_options(decoding_plugin="pydicom")
    np.testing.assert_array_equal(shown, dataset.pixel_array)


def test_rle_with_bytes_behind_a_plane_and_of_the_wrong_number_of_segments():
    values = ramp(8)
    packed = imagecodecs.packbits_encode(values.tobytes()) + b"\x02\0\0\0\x80"
    stream = struct.pack("<16L", 1, 64, *[0] * 14) + packed
    np.testing.assert_array_equal(decode_rle(stream, 24, 40, 1, 1), values)
    for height, itemsize in ((24, 2), (48, 1)):
        with pytest.raises(DamagedImageError):
            decode_rle(stream, height, 40, 1, itemsize)


def test_a_cut_jpeg_ls_with_an_end_mark_is_refused_and_not_half_a_picture():
    stream = bytes(imagecodecs.jpegls_encode(ramp(12)))
    for length in (len(stream) // 3, len(stream) // 2, len(stream) - 10):
        with pytest.raises((DamagedImageError, imagecodecs.JpeglsError)):
            decoded(stream[:length] + b"\xff\xd9")


def test_a_stream_that_is_not_what_it_says_is_refused():
    stream = bytes(imagecodecs.jpegls_encode(RGB))
    about = read_codestream(stream)
    for wrong in (replace(about, samples=1), replace(about, height=23), replace(about, width=41)):
        with pytest.raises(DamagedImageError):
            decode_stream(stream, wrong)


@pytest.mark.parametrize("pixels", [RGB, SMOOTH, RGB[..., 0], np.dstack([RGB, RGB[..., :1]])])
def test_a_png_is_what_was_encoded_by_another_decoder(pixels):
    np.testing.assert_array_equal(through_pillow(encode_png(pixels)), pixels)


def test_grey_that_is_stated_thrice_is_stored_once():
    grey = np.repeat(RGB[..., :1], 3, axis=2)
    np.testing.assert_array_equal(through_pillow(encode_png(grey)), grey[..., 0])
