"""Pictures that are too large to be read whole: what of them is read, and where a region of them lies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mermed_core.imaging.frames import Box
from mermed_core.imaging.limits import Limits

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class FullSize:
    """A picture of which only a smaller copy was read, and whose regions can be read at full size.

    Attributes:
        height: in pixels.
        width: in pixels.
        notes: sentences on which copy was read, which hold no longer for a region.
    """

    height: int
    width: int
    notes: tuple[str, ...]


def fitting(levels: Sequence[Size], limits: Limits, region: Box | None = None) -> int | None:
    """Returns which level is the largest that may be read, None where none may.

    Args:
        levels: sizes of the copies of one picture, the largest first.
        limits: on the pixels that are read.
        region: the part that is wanted, in pixels of the first level; None for all.
    """
    full = Box(0, 0, *levels[0]) if region is None else region
    for number, size in enumerate(levels):
        part = on_level(full, levels[0], size)
        if part.height * part.width <= limits.max_pixels:
            return number
    return None


def on_level(box: Box, full: Size, level: Size) -> Box:
    """Returns the pixels of a smaller copy that a part of a picture covers, touched ones included.

    Args:
        box: inside the picture.
        full: size of the picture.
        level: size of the copy.
    """
    top, left = (
        start * small // large for start, small, large in zip((box.top, box.left), level, full, strict=True)
    )
    ends = (box.top + box.height, box.left + box.width)
    bottom, right = (-(-end * small // large) for end, small, large in zip(ends, level, full, strict=True))
    return Box(top, left, min(bottom, level[0]) - top, min(right, level[1]) - left)


def paste(onto: np.ndarray, tile: np.ndarray, top: int, left: int) -> None:
    """Lays a tile (height, width, …) onto values at a place that may lie before or reach beyond them."""
    bottom, right = min(onto.shape[0], top + tile.shape[0]), min(onto.shape[1], left + tile.shape[1])
    first, side = max(0, top), max(0, left)
    onto[first:bottom, side:right] = tile[first - top : bottom - top, side - left : right - left]


def size_notes(levels: Sequence[Size], number: int, micrometres: float | None) -> tuple[str, ...]:
    """Says at which level a picture is shown that is too large at full size.

    Args:
        levels: sizes of its copies, the largest first.
        number: of the one that is shown, from 0.
        micrometres: that a pixel is wide at full size, None where unknown.
    """
    (full_height, full_width), (height, width) = levels[0], levels[number]
    said = (
        f"The picture has {full_width:,} × {full_height:,} pixels, too many to be read at once; shown is "
        f"level {number + 1} of {len(levels)}, {width:,} × {height:,} pixels.",
    )
    if micrometres is None:
        return said
    shown = micrometres * full_width / width
    return (*said, f"A pixel is {micrometres:.3g} µm wide at full size and {shown:.3g} µm as shown.")


def region_notes(levels: Sequence[Size], number: int, micrometres: float | None) -> tuple[str, ...]:
    """Says at which level a region is read; arguments are those of `size_notes`."""
    said = ("The region was read at full size.",)
    if number:
        said = (
            f"The region is too large to be read at full size; it was read at level {number + 1} of "
            f"{len(levels)}.",
        )
    if micrometres is None:
        return said
    return (*said, f"A pixel of it is {micrometres * levels[0][1] / levels[number][1]:.3g} µm wide.")
