"""Pictures as they are looked at: upright, and with pixels as wide as they are high."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from mermed_core.imaging.limits import Limits

_SQUARE = 1.01  # within this ratio the sides of a pixel are taken as equal
_MOST = 20.0  # beyond it, the header is not believed
# What brings pixels (height, width, 3) upright, by the EXIF orientation.
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}


def upright(pixels: np.ndarray, orientation: Any) -> np.ndarray:
    """Turns and mirrors pixels (height, width, …) by an EXIF orientation; an unknown one changes nothing."""
    return _UPRIGHT[orientation](pixels) if orientation in _UPRIGHT else pixels


def true_proportion(
    pixels: np.ndarray, height: float | None, width: float | None, limits: Limits
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns pixels in their true proportion, and a note where they were not.

    The shorter side of a pixel is kept, so that nothing is lost; whole multiples repeat pixels, and others
    are interpolated.

    Args:
        pixels: as they are stored, (height, width, 3) uint8 or grey values (height, width) of any type.
        height: of one pixel in any unit, None where nothing says it.
        width: of one pixel in the same unit.
        limits: on the pixels of the result; where it would have more, the longer side is kept.
    """
    if not (height and width and height > 0 and width > 0):
        return pixels, ()
    ratio = height / width
    stretch = max(ratio, 1 / ratio)
    if not math.isfinite(ratio) or stretch <= _SQUARE:
        return pixels, ()
    if stretch > _MOST:
        return pixels, ("The file's proportion of its pixels cannot be true, so they are shown as square.",)
    rows, columns = pixels.shape[:2]
    if rows * columns * stretch <= limits.max_pixels:
        size = (rows * ratio, columns) if ratio > 1 else (rows, columns / ratio)
    else:
        size = (rows, columns / ratio) if ratio > 1 else (rows * ratio, columns)
    shown = _resized(pixels, max(1, round(size[0])), max(1, round(size[1])))
    words = f"{ratio:.3g} times as high as wide" if ratio > 1 else f"{1 / ratio:.3g} times as wide as high"
    return shown, (f"The file's pixels are {words}; the picture is shown in its true proportion.",)


def _resized(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    high, wide = pixels.shape[:2]
    if rows % high == 0 and columns % wide == 0:
        return pixels.repeat(rows // high, axis=0).repeat(columns // wide, axis=1)
    if pixels.ndim == 2:
        pixels = pixels.astype(np.float32)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))
