"""TIFF where Pillow is not enough: how many pages there are, and pixels that it refuses or misreads."""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Any

import numpy as np

from mermed_core.errors import DamagedImageError, UnsupportedFormatError
from mermed_core.imaging.limits import Limits, check_size

PHOTOMETRIC, ORIENTATION = 262, 274
WHITE_IS_ZERO = 0  # a value of PHOTOMETRIC

_BITS, _PLANAR, _SAMPLE_FORMAT = 258, 284, 339
_NESTED = (34665, 34853, 40965)  # EXIF, GPS, interoperability: directories that Pillow reads as well
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TYPE_BYTES |= {16: 8, 17: 8, 18: 8}  # of BigTIFF
_CUT_OFF = "The TIFF file is damaged or cut off. Export or send it again."
_OVERLAP = "The TIFF file's directories overlap, as they never should. Export it again."


@dataclass(frozen=True)
class _Layout:
    """How the numbers of a directory are packed, in classic TIFF or in BigTIFF."""

    count: struct.Struct
    entry: struct.Struct
    offset: struct.Struct


def count_pages(data: bytes | mmap, limits: Limits) -> int:
    """Returns the number of pages, or one more than the limits allow where there are more still.

    Raises:
        DamagedImageError: a directory lies outside the file; or directories or their values overlap, so that
            a reader which copies each of them would fill the memory.
    """
    order, big = "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+")
    packed = ("Q", "HHQQ", "Q") if big else ("H", "HHLL", "L")
    layout = _Layout(*(struct.Struct(order + kinds) for kinds in packed))
    entries_left = len(data) // layout.entry.size
    pages: set[int] = set()
    try:
        (page,) = layout.offset.unpack_from(data, 8 if big else 4)
        while page and page not in pages and len(pages) <= limits.max_frames:
            pages.add(page)
            entries, page = _follow(data, page, layout, entries_left)
            entries_left -= entries
    except (struct.error, OverflowError) as error:  # the latter for a place beyond 2**63
        raise DamagedImageError(_CUT_OFF) from error
    return len(pages)


def misread(tags: Mapping[int, Any]) -> bool:
    """Tells from the tags of a page whether Pillow would open it and give wrong pixels."""
    bits, sample_format = (int(np.max(tags.get(tag, 1))) for tag in (_BITS, _SAMPLE_FORMAT))
    wraps = (sample_format, bits) in ((1, 32), (2, 8))  # unsigned taken for signed, and the reverse
    return wraps or (tags.get(_PLANAR) == 2 and bits > 8)


def read_rare(data: bytes, page: int, limits: Limits) -> tuple[np.ndarray, Mapping[int, Any]]:
    """Returns the values (height, width) or (height, width, 3) of a page of any numeric type, and its tags.

    Raises:
        UnsupportedFormatError: compressed, or neither grey nor RGB.
        DamagedImageError: shorter than it says.
    """
    import tifffile  # slow to import, and few files need it

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        chosen = file.pages[page].aspage()
        check_size(chosen.imagewidth, chosen.imagelength * chosen.imagedepth, limits)
        if chosen.compression != 1 or chosen.imagedepth != 1 or chosen.samplesperpixel not in (1, 3):
            raise UnsupportedFormatError(
                "This TIFF file is of a rare kind. Save it in grey or RGB without compression, or as PNG."
            )
        segments = list(zip(chosen.dataoffsets, chosen.databytecounts, strict=True))
        held = sum(length for start, length in segments if 0 < start <= len(data) - length)
        if held < chosen.nbytes:
            raise DamagedImageError(_CUT_OFF)
        values = chosen.asarray(maxworkers=1)
        tags = {tag.code: tag.value for tag in chosen.tags if tag.code in (PHOTOMETRIC, ORIENTATION)}
    if chosen.samplesperpixel == 3 and chosen.planarconfig == 2:
        values = np.moveaxis(values, 0, -1)
    if values.shape not in ((shape := (chosen.imagelength, chosen.imagewidth)), (*shape, 3)):
        raise DamagedImageError(_CUT_OFF)
    return values, tags


def _follow(data: bytes | mmap, page: int, layout: _Layout, entries_left: int) -> tuple[int, int]:
    """Returns how many entries a page's directory and those nested in it have, and where the next page is."""
    used, following, nested = _directory(data, page, layout)
    while nested:
        entries, _, inner = _directory(data, nested.pop(), layout)
        used, nested = used + entries, nested + inner
        if used > entries_left:
            break
    if used > entries_left:
        raise DamagedImageError(_OVERLAP)
    return used, following


def _directory(data: bytes | mmap, position: int, layout: _Layout) -> tuple[int, int, list[int]]:
    """Returns the number of entries of a directory, the place of the next, and the places of nested ones."""
    (count,) = layout.count.unpack_from(data, position)
    start = position + layout.count.size
    end = start + count * layout.entry.size
    if end > len(data):
        raise struct.error("the directory ends outside the file")
    size, nested = 0, []
    for tag, kind, number, value in layout.entry.iter_unpack(data[start:end]):
        size += number * _TYPE_BYTES.get(kind, 0)
        if tag in _NESTED:
            nested.append(value)
    if size > len(data):
        raise DamagedImageError(_OVERLAP)
    # Pillow forgives a last directory that ends without saying that no other follows.
    (following,) = layout.offset.unpack_from(data, end) if end + layout.offset.size <= len(data) else (0,)
    return count, following, nested
