"""The directories of a TIFF file, one for each page, counted before any reader copies what they point to."""

import struct
from dataclasses import dataclass
from mmap import mmap

from mermed_core.errors import DamagedImageError
from mermed_core.imaging.limits import Limits

CUT_OFF = "The TIFF file is damaged or cut off. Export or send it again."

_NESTED = (34665, 34853, 40965)  # EXIF, GPS, interoperability: directories that Pillow reads as well
# Bits, palette, sample format, and where strips and tiles lie: without them, pixels would be read wrongly.
_NEEDED = (258, 273, 279, 320, 324, 325, 339)
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TYPE_BYTES |= {16: 8, 17: 8, 18: 8}  # of BigTIFF
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
        raise DamagedImageError(CUT_OFF) from error
    return len(pages)


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
        length = number * _TYPE_BYTES.get(kind, 0)
        size += length
        if tag in _NEEDED and length > layout.offset.size and value + length > len(data):
            raise DamagedImageError(CUT_OFF)  # readers take the usual value where one is missing
        if tag in _NESTED:
            nested.append(value)
    if size > len(data):
        raise DamagedImageError(_OVERLAP)
    # Pillow forgives a last directory that ends without saying that no other follows.
    (following,) = layout.offset.unpack_from(data, end) if end + layout.offset.size <= len(data) else (0,)
    return count, following, nested
