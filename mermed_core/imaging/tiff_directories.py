"""The directories of a TIFF file, one for each page, looked at before a reader copies what they point to."""

import struct
from collections.abc import Mapping, Sequence
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
_WHOLE = (1, 3, 4, 13, 16, 18)  # types of whole numbers without a sign
_SUBFILE, _WIDTH, _HEIGHT, _DESCRIPTION = 254, 256, 257, 270
_LOOKED_AT = (_SUBFILE, _WIDTH, _HEIGHT, _DESCRIPTION)
_SUB_DIRECTORIES = 330
MOST_COPIES = 64
"""Smaller copies of a page that are looked at."""
_REDUCED = 1  # bit of _SUBFILE
_APERIO = b"Aperio"
_OVERLAP = "The TIFF file's directories overlap, as they never should. Export it again."


@dataclass(frozen=True)
class _Layout:
    """How the numbers of a directory are packed, in classic TIFF or in BigTIFF."""

    count: struct.Struct
    entry: struct.Struct
    offset: struct.Struct


@dataclass(frozen=True)
class Page:
    """What a directory says of its page; 0 where it does not say it.

    Attributes:
        height: in pixels.
        width: in pixels.
        reduced: it is a smaller copy or a preview of another page.
        aperio: a scanner of slides wrote it, whose further pages are copies, previews and the slide's label.
    """

    height: int
    width: int
    reduced: bool
    aperio: bool


def count_pages(data: bytes | mmap, limits: Limits) -> int:
    """Returns the number of pages that are pictures of their own; errors are those of `read_pages`."""
    pages = read_pages(data, limits)
    return len(pages) if len(pages) > limits.max_frames else len(picture_pages(pages))


def picture_pages(pages: Sequence[Page]) -> list[int]:
    """Returns the positions of the pages that are pictures of their own, the first among them.

    Copies and previews are not, and neither is the label of a slide, on which a patient may be named.
    """
    first = pages[:1]
    copies = any(page.aperio for page in first)
    return [i for i, page in enumerate(pages) if i == 0 or not (page.reduced or copies)]


def read_pages(data: bytes | mmap, limits: Limits) -> list[Page]:
    """Returns the pages, or one more than the limits allow where there are more still.

    Raises:
        DamagedImageError: a directory lies outside the file; or directories or their values overlap, so that
            a reader which copies each of them would fill the memory.
    """
    order, big = "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+")
    packed = ("Q", "HHQQ", "Q") if big else ("H", "HHLL", "L")
    layout = _Layout(*(struct.Struct(order + kinds) for kinds in packed))
    entries_left = len(data) // layout.entry.size
    pages: dict[int, Page] = {}
    try:
        (place,) = layout.offset.unpack_from(data, 8 if big else 4)
        while place and place not in pages and len(pages) <= limits.max_frames:
            directory, used = _follow(data, place, layout, entries_left)
            pages[place], place = _page(data, directory.values), directory.following
            entries_left -= used
    except (struct.error, OverflowError) as error:  # the latter for a place beyond 2**63
        raise DamagedImageError(CUT_OFF) from error
    return list(pages.values())


def _page(data: bytes | mmap, values: Mapping[int, int]) -> Page:
    start = values.get(_DESCRIPTION, len(data))
    return Page(
        values.get(_HEIGHT, 0),
        values.get(_WIDTH, 0),
        bool(values.get(_SUBFILE, 0) & _REDUCED),
        data[start : start + len(_APERIO)] == _APERIO,
    )


def _follow(data: bytes | mmap, place: int, layout: _Layout, entries_left: int) -> tuple["_Directory", int]:
    """Returns a page's directory, and how many entries it and those nested in it have."""
    directory = _directory(data, place, layout)
    used, nested = directory.count, list(directory.nested)
    while nested:
        inner = _directory(data, nested.pop(), layout)
        used, nested = used + inner.count, nested + inner.nested
        if used > entries_left:
            break
    if used > entries_left:
        raise DamagedImageError(_OVERLAP)
    return directory, used


@dataclass(frozen=True)
class _Directory:
    """How many entries, where the next directory is and those nested in it, and the values looked at."""

    count: int
    following: int
    nested: list[int]
    values: dict[int, int]


def _directory(data: bytes | mmap, position: int, layout: _Layout) -> _Directory:
    (count,) = layout.count.unpack_from(data, position)
    start = position + layout.count.size
    end = start + count * layout.entry.size
    if end > len(data):
        raise struct.error("the directory ends outside the file")
    size, nested, values = 0, [], {}
    for tag, kind, number, value in layout.entry.iter_unpack(data[start:end]):
        length = number * _TYPE_BYTES.get(kind, 0)
        size += length
        if tag in _NEEDED and length > layout.offset.size and value + length > len(data):
            raise DamagedImageError(CUT_OFF)  # readers take the usual value where one is missing
        if tag in _NESTED:
            nested.append(value)
        elif tag == _SUB_DIRECTORIES:
            nested += _offsets(data, kind, number, value, layout)
        if tag in _LOOKED_AT:
            values[tag] = _inline(kind, value, layout)
    if size > len(data):
        raise DamagedImageError(_OVERLAP)
    # Pillow forgives a last directory that ends without saying that no other follows.
    (following,) = layout.offset.unpack_from(data, end) if end + layout.offset.size <= len(data) else (0,)
    return _Directory(count, following, nested, values)


def _offsets(data: bytes | mmap, kind: int, number: int, value: int, layout: _Layout) -> list[int]:
    """Returns the places that an entry lists, those that are used."""
    size = _TYPE_BYTES.get(kind, 0)
    if kind not in _WHOLE or number * size <= layout.offset.size:
        return [value] if number == 1 and value else []
    order = "big" if layout.offset.format.startswith(">") else "little"
    listed = data[value : value + min(number, MOST_COPIES) * size]
    places = (int.from_bytes(listed[i : i + size], order) for i in range(0, len(listed), size))
    return [place for place in places if place]


def _inline(kind: int, value: int, layout: _Layout) -> int:
    """Returns a value that stands in its entry: a short one fills the entry's first bytes."""
    size = _TYPE_BYTES.get(kind, 0)
    if kind not in _WHOLE or size >= layout.offset.size:
        return value
    order = "big" if layout.offset.format.startswith(">") else "little"
    return int.from_bytes(value.to_bytes(layout.offset.size, order)[:size], order)
