"""The numbers of a TIFF page or a part of it, of any type, compression and order of bytes."""

import io
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from mermed_core.errors import DamagedImageError, UnsupportedFormatError
from mermed_core.imaging.frames import Box
from mermed_core.imaging.jpeg_headers import read_codestream
from mermed_core.imaging.limits import Limits, check_size
from mermed_core.imaging.slides import paste
from mermed_core.imaging.tiff_directories import CUT_OFF

if TYPE_CHECKING:
    from tifffile import TiffPage

BITS, PHOTOMETRIC, ORIENTATION = 258, 262, 274
X_RESOLUTION, Y_RESOLUTION, COLOUR_MAP, ICC_PROFILE = 282, 283, 320, 34675
_TAGS = (PHOTOMETRIC, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, COLOUR_MAP, ICC_PROFILE)
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6  # values of PHOTOMETRIC
_SEPARATE = 2  # value of PlanarConfiguration
_JPEG, _JPEG2000 = (7,), (33003, 33005, 34712)
# None, LZW, Deflate (two numbers), PackBits, LZMA, Zstandard (two numbers).
_BYTE_COMPRESSIONS = (1, 5, 8, 32946, 32773, 34925, 34926, 50000)
_RARE = "This TIFF file is of a rare kind. Save it in grey or RGB without compression, or as PNG."


def read_values(data: bytes, page: int, limits: Limits) -> tuple[np.ndarray, dict[int, Any], int | None]:
    """Returns a page's values (height, width, samples), its tags by number, and what a further sample means.

    The third is None where no sample is further, and else the first value of ExtraSamples; samples after that
    one are left out.

    Raises:
        UnsupportedFormatError: compressed in a rare way, or neither grey, palette nor RGB.
        DamagedImageError: shorter than it says.
    """
    import tifffile  # slow to import, and few files need it

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return page_values(data, file.pages[page].aspage(), limits)


def page_values(
    data: bytes, page: "TiffPage", limits: Limits, part: Box | None = None
) -> tuple[np.ndarray, dict[int, Any], int | None]:
    """Returns what `read_values` does of a page of an open file, or of a part, whose tiles alone are read.

    Args:
        data: the file.
        page: of the file.
        limits: on the pixels that are read.
        part: inside the page; None for all of it.
    """
    whole = Box(0, 0, page.imagelength, page.imagewidth)
    box = whole if part is None else part
    check_size(box.width, box.height * page.imagedepth, limits)
    _check_kind(page)
    if page.is_tiled:
        check_size(page.tilewidth, page.tilelength, limits)
    if part is None:
        _check_segments(data, page, limits)
        values = page.asarray(maxworkers=1, squeeze=False)
        # From (separate samples, depth, height, width, interleaved samples) to samples last.
        values = np.moveaxis(values[:, 0], 0, -1).reshape(box.height, box.width, -1)
    else:
        values = _part_values(data, page, part, limits)
    tags = {tag.code: _simple(tag.value) for tag in page.tags if tag.code in _TAGS}
    tags |= {PHOTOMETRIC: int(page.photometric), BITS: int(np.max(page.bitspersample))}
    colours = 3 if tags[PHOTOMETRIC] in (RGB, YCBCR) else 1
    if values.shape[2] != page.samplesperpixel or page.samplesperpixel < colours:
        raise DamagedImageError(CUT_OFF)
    if page.samplesperpixel == colours:
        return values, tags, None
    return values[..., : colours + 1], tags, int(page.extrasamples[0]) if page.extrasamples else 0


def _part_values(data: bytes, page: "TiffPage", part: Box, limits: Limits) -> np.ndarray:
    """Returns a part of a page (height, width, samples); only tiles or strips that it touches are read."""
    high, wide = page.imagelength, page.imagewidth
    length, width = (
        (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, high), wide)
    )
    check_size(width, length, limits)
    down, across = -(-high // length), -(-wide // width)
    separate = page.samplesperpixel if page.planarconfig == _SEPARATE else 1
    rows = range(part.top // length, (part.top + part.height - 1) // length + 1)
    columns = range(part.left // width, (part.left + part.width - 1) // width + 1)
    tables = (
        {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader} if page.compression in _JPEG else {}
    )
    values = np.zeros((part.height, part.width, page.samplesperpixel), page.dtype)
    for sample, row, column in product(range(separate), rows, columns):
        index = (sample * down + row) * across + column
        encoded = _segment(data, page, index, limits)
        tile, (_, _, top, left, _), _ = page.decode(encoded, index, **tables)
        if tile is None:
            raise DamagedImageError(CUT_OFF)
        own = slice(sample, sample + 1) if separate > 1 else slice(None)
        paste(values[..., own], tile[0], top - part.top, left - part.left)
    return values


def _check_kind(page: "TiffPage") -> None:
    """Raises UnsupportedFormatError for a page whose numbers or colours are not read here."""
    compressions = (*_BYTE_COMPRESSIONS, *_JPEG, *_JPEG2000)
    photometrics = (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE)
    read = page.photometric in photometrics or (page.photometric == YCBCR and page.compression in _JPEG)
    if page.imagedepth != 1 or page.compression not in compressions or not read:
        raise UnsupportedFormatError(_RARE)
    if page.dtype is None or page.dtype.kind not in "buif":
        raise UnsupportedFormatError(_RARE)


def _check_segments(data: bytes, page: "TiffPage", limits: Limits) -> None:
    """Raises for strips or tiles that are missing, outside the file, or would unpack to more than is read."""
    if len(page.dataoffsets) < int(np.prod(page.chunked)):
        raise DamagedImageError(CUT_OFF)
    for index in range(len(page.dataoffsets)):
        _segment(data, page, index, limits)


def _segment(data: bytes, page: "TiffPage", index: int, limits: Limits) -> bytes:
    """Returns the bytes of a strip or tile; raises where it lies outside the file, or unpacks to too much."""
    if index >= min(len(page.dataoffsets), len(page.databytecounts)):
        raise DamagedImageError(CUT_OFF)
    start, length = page.dataoffsets[index], page.databytecounts[index]
    if not (0 < start <= len(data) - length and length > 0):
        raise DamagedImageError(CUT_OFF)
    encoded = data[start : start + length]
    if page.compression in (*_JPEG, *_JPEG2000):
        about = read_codestream(encoded)
        check_size(about.width, about.height, limits)
    return encoded


def _simple(value: Any) -> Any:
    """Returns a tag's value; a fraction, which tifffile gives as two numbers, as one."""
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return value[0] / value[1]
    return value
