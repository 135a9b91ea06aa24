"""Compressed streams to the numbers in them and back, by imagecodecs; nothing is scaled or coloured here.

Every stream is held against what its reader expects before it is decoded, and every decoder's answer is held
against the stream: a decoder that is believed without a check shows wrong pixels without a word.
"""

import struct
from itertools import pairwise

import imagecodecs
import numpy as np

from mermed_core.errors import DamagedImageError, UnsupportedFormatError
from mermed_core.imaging.jpeg_headers import CUT_OFF, Codestream

# Predictors that halve a sum: where samples wrap before it is halved, decoders (and encoders) disagree.
_HALVING_PREDICTORS = (5, 6, 7)


def decode_stream(stream: bytes, about: Codestream, *, ycbcr: bool = False) -> np.ndarray:
    """Returns the numbers of a JPEG, JPEG-LS or JPEG 2000 stream, (height, width) or with the samples last.

    Args:
        stream: the compressed bytes; what follows the end mark is left out.
        about: what `read_codestream` says of it.
        ycbcr: for lossy JPEG of three samples: turn luma and colour differences into RGB.

    Raises:
        DamagedImageError: cut off, or not what its header says.
        UnsupportedFormatError: a lossless JPEG whose differences wrap so that no decoder can be believed.
    """
    stream = stream[: about.end]
    if about.family == "JPEG":
        values = _decode_jpeg(stream, about, ycbcr)
    elif about.family == "JPEG Lossless":
        values = _decode_lossless_jpeg(stream, about)
    elif about.family == "JPEG-LS":
        values = imagecodecs.jpegls_decode(stream)
    else:
        values = imagecodecs.jpeg2k_decode(stream)
    return _shaped(np.asarray(values), about)


def encode_png(pixels: np.ndarray) -> bytes:
    """Returns pixels (height, width[, 3 or 4]) uint8 as a PNG; grey that is stated thrice is stored once.

    Pictures are noise to a dictionary of earlier bytes: with Paeth's prediction and runs alone the PNG of a
    radiograph or a photograph is a tenth smaller, and made in a third of the time.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        red, green, blue = (pixels[..., channel] for channel in range(3))
        if np.array_equal(red, green) and np.array_equal(red, blue):
            pixels = red
    settings = imagecodecs.PNG
    png = imagecodecs.png_encode(
        np.ascontiguousarray(pixels),
        level=settings.COMPRESSION.SPEED,
        strategy=settings.STRATEGY.RLE,
        filter=settings.FILTER.PAETH,
    )
    return bytes(png)


def decode_rle(stream: bytes, height: int, width: int, samples: int, itemsize: int) -> np.ndarray:
    """Returns the numbers of a DICOM RLE stream, unsigned, (height, width) or (height, width, samples).

    A segment may unpack to more than its plane of bytes: some encoders write a few bytes after it.

    Source: DICOM PS3.5, annex G.

    Raises:
        DamagedImageError: the number of segments or their lengths do not fit the picture.
    """
    try:
        count, *offsets = struct.unpack_from("<16L", stream)
    except struct.error as error:
        raise DamagedImageError(CUT_OFF) from error
    if count != samples * itemsize:
        raise DamagedImageError(CUT_OFF)
    starts = [*offsets[:count], len(stream)]
    plane = height * width
    values = np.zeros((samples, plane), f"u{itemsize}")
    for number, (start, end) in enumerate(pairwise(starts)):
        unpacked = imagecodecs.packbits_decode(stream[start:end], out=2 * plane + 64)
        if len(unpacked) < plane:
            raise DamagedImageError(CUT_OFF)
        sample, byte = divmod(number, itemsize)  # the most significant byte comes first
        shift = 8 * (itemsize - 1 - byte)
        values[sample] |= np.frombuffer(unpacked, np.uint8, plane).astype(values.dtype) << shift
    values = values.reshape(samples, height, width)
    return values[0] if samples == 1 else np.ascontiguousarray(np.moveaxis(values, 0, -1))


def _decode_jpeg(stream: bytes, about: Codestream, ycbcr: bool) -> np.ndarray:
    if about.samples != 3:
        return imagecodecs.jpeg8_decode(stream)
    # Told both, libjpeg guesses no colours.
    return imagecodecs.jpeg8_decode(stream, colorspace="ycbcr" if ycbcr else "rgb", outcolorspace="rgb")


def _decode_lossless_jpeg(stream: bytes, about: Codestream) -> np.ndarray:
    if about.predictor in _HALVING_PREDICTORS and about.precision < 16:
        return _decode_halving(stream, about)
    values = _decode_jpeg(stream, about, ycbcr=False)
    return values & np.array(2**about.precision - 1, values.dtype)  # sums may carry beyond the precision


def _decode_halving(stream: bytes, about: Codestream) -> np.ndarray:
    """Decodes a lossless JPEG whose predictor halves a sum, which goes wrong in whatever wraps before it.

    The stream is read as if it had one bit more. Its first sample is then predicted as the whole range and
    not as half of it, so that every sample comes out greater by half the range, and none wraps: neither those
    of the standard (from 0) nor those of machines that take the highest bit as a sign (from minus half the
    range). Where samples leave both ranges, the differences were taken modulo the precision; jpegsof3 reckons
    so for 8 bits.
    """
    half = 1 << about.precision - 1
    wider = bytearray(stream)
    wider[about.precision_at] += 1
    values = _decode_jpeg(bytes(wider), about, ycbcr=False).astype(np.int32)
    least, greatest = int(values.min()), int(values.max())
    if (half <= least and greatest < 3 * half) or greatest < 2 * half:
        values = (values - half) & (2 * half - 1)
        return values.astype(np.uint8 if about.precision <= 8 else np.uint16)
    if about.precision != 8:
        raise UnsupportedFormatError(
            "The picture is a lossless JPEG of a rare kind that decoders read differently. "
            "Export it in another compression."
        )
    return imagecodecs.jpegsof3_decode(stream)


def _shaped(values: np.ndarray, about: Codestream) -> np.ndarray:
    size, samples = (about.height, about.width), about.samples
    shape = size if samples == 1 else (*size, samples)
    if values.shape != shape and values.shape == (samples, *size):  # in planes
        values = np.moveaxis(values, 0, -1)
    if values.shape != shape:
        raise DamagedImageError(CUT_OFF)
    return values
