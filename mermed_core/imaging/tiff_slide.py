"""Slides in TIFF, such as Aperio's SVS: which pages and sub-directories are smaller copies of a page."""

import re
from typing import TYPE_CHECKING

from mermed_core.imaging.slides import Size
from mermed_core.imaging.tiff_directories import MOST_COPIES

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

_ROUNDED = 2  # pixels by which a copy may be higher or lower than its proportion says
_COLOURS = (2, 6)  # RGB and YCbCr, in which copies of one picture may be stored
_MPP = re.compile(r"\bMPP\s*=\s*([0-9.]{1,12})")
_LIKELY = 0.02, 50.0  # micrometres that a pixel of a slide is wide; what printers and screens mean lies above


def levels(file: "TiffFile", page: int) -> list["TiffPage"]:
    """Returns a page and its smaller copies, the largest first; of two of one size the first."""
    base = file.pages[page].aspage()
    copies = [each.aspage() for each in (base.pages or [])[:MOST_COPIES]] if base.subifds else []
    copies += [
        other
        for each in file.pages[page + 1 : page + 1 + MOST_COPIES]
        if (other := each.aspage()).is_reduced or (other.is_tiled and base.is_tiled)
    ]
    found = {size_of(base): base}
    for copy in copies:
        if _is_copy(copy, base):
            found.setdefault(size_of(copy), copy)
    return [found[size] for size in sorted(found, reverse=True)]


def size_of(page: "TiffPage") -> Size:
    """Returns a page's height and width."""
    return page.imagelength, page.imagewidth


def micrometres(page: "TiffPage") -> float | None:
    """Returns how wide a pixel is as the file says it, None where it says nothing that can be true."""
    stated = _MPP.search(page.description)
    try:
        if stated:
            width = float(stated[1])
        elif 282 in page.tags and page.resolutionunit in (2, 3):
            width = 1 / page.get_resolution("MICROMETER")[0]
        else:
            return None
    except (ArithmeticError, ValueError):
        return None
    return width if _LIKELY[0] <= width <= _LIKELY[1] else None


def _is_copy(page: "TiffPage", base: "TiffPage") -> bool:
    """Returns whether a page is smaller than another, of its proportion and of the same kind of numbers."""
    (height, width), (full_height, full_width) = size_of(page), size_of(base)
    kind = page.photometric == base.photometric or {page.photometric, base.photometric} <= set(_COLOURS)
    alike = kind and page.dtype == base.dtype and page.samplesperpixel == base.samplesperpixel
    smaller = 0 < width < full_width and 0 < height < full_height
    return alike and smaller and abs(height - width * full_height / full_width) <= _ROUNDED + 0.01 * height
