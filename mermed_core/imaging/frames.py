"""Where the picture lies inside its frame: border, padding and a viewer's window belong to no patient.

Black around an eye, a white page around a figure or the tools of a viewer tell the device and not the
patient. An encoder that never sees them cannot read them.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# Grey levels by which pixels of an even border differ: black is noisy in scans and photographs, whereas other
# colours this even are drawn, and skin is not.
_DARK, _DARK_TOLERANCE, _TOLERANCE = 48, 16, 6
_EVEN = 0.99  # share of a line's pixels that are of the border's colour
_SAMPLES = 256  # pixels of the longer side that are looked at for a window
_PAPER = 0.35  # share of the outermost pixels that are of one colour, where a picture lies on a page
_RECTANGLE = 0.93  # share of its bounding box that a picture fills; an eye or a body fills less
_SMALLEST = 0.08  # share of the image below which a picture is no picture
_LINE = 512  # pixels of a line that are looked at
_NEIGHBOURS = np.ones((3, 3), bool)  # of a pixel, across corners too
_ROUNDS = 3  # a page around a padded picture


@dataclass(frozen=True)
class Box:
    """A part of an image, in pixels.

    Attributes:
        top: first row.
        left: first column.
        height: rows.
        width: columns.
    """

    top: int
    left: int
    height: int
    width: int

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """Returns this part of pixels (height, width, …), without copying."""
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]

    def within(self, outer: "Box") -> "Box":
        """Returns the same part in the coordinates of the image that `outer` was cut from."""
        return Box(outer.top + self.top, outer.left + self.left, self.height, self.width)

    def frame_is_dark(self, pixels: np.ndarray) -> bool:
        """Returns whether what lies around this part of pixels (height, width, 3) is dark."""
        around = pixels[..., 0].size - self.height * self.width
        total = pixels.sum(dtype=np.int64) - self.cut(pixels).sum(dtype=np.int64)
        return bool(total <= _DARK * 3 * around)


def find_picture(pixels: np.ndarray) -> Box:
    """Returns where the picture lies in pixels (height, width, 3) uint8, without border, padding and window.

    Even lines at the sides are left out, whatever their colour, and so is the page or the window around a
    rectangle that differs from it. Where nothing would be left, the picture is the whole.
    """
    whole = box = Box(0, 0, *pixels.shape[:2])
    for _ in range(_ROUNDS):
        inner = _without_border(box.cut(pixels)).within(box)
        inner = _on_page(inner.cut(pixels)).within(inner)
        if inner == box:
            break
        box = inner
    return box if box.height * box.width >= _SMALLEST * whole.height * whole.width else whole


def _without_border(pixels: np.ndarray) -> Box:
    rows, columns = pixels, pixels.swapaxes(0, 1)
    top, bottom = _even_lines(rows), _even_lines(rows[::-1])
    middle = columns[:, top : len(rows) - bottom]
    if middle.size:
        left, right = _even_lines(middle), _even_lines(middle[::-1])
        if left + right < len(columns):
            return Box(top, left, len(rows) - bottom - top, len(columns) - right - left)
    return Box(0, 0, *pixels.shape[:2])  # even all over


def _even_lines(lines: np.ndarray) -> int:
    """Returns how many of the first lines (lines, pixels, 3) are of the colour of the very first."""
    lines = lines[:, :: max(1, lines.shape[1] // _LINE)]
    colour = np.median(lines[0], axis=0)
    first, some = 0, 1
    while first < len(lines):  # twice as many at a time: most images have no border, some a wide one
        even = np.mean(_is_of(lines[first : first + some], colour), axis=1) >= _EVEN
        if not even.all():
            return first + int(np.argmin(even))
        first, some = first + some, 2 * some
    return len(lines)


def _on_page(pixels: np.ndarray) -> Box:
    """Returns the rectangles that lie on a page of one colour; all where there is no such page."""
    whole = Box(0, 0, *pixels.shape[:2])
    step = max(1, -(-max(pixels.shape[:2]) // _SAMPLES))
    small = pixels[::step, ::step]
    edge = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    colour = _most_frequent(edge)
    if np.mean(_is_of(edge, colour)) < _PAPER:
        return whole
    parts = _rectangles(~_is_of(small, colour))
    if not parts:
        return whole
    top, left = (min(box[axis].start for box in parts) * step for axis in (0, 1))
    bottom, right = (max(box[axis].stop for box in parts) * step for axis in (0, 1))
    bottom, right = min(bottom, whole.height), min(right, whole.width)
    return Box(top, left, bottom - top, right - left)


def _rectangles(mask: np.ndarray) -> list[tuple[slice, slice]]:
    """Returns the bounding boxes of large connected parts of a mask (height, width) that fill them."""
    parts = np.empty(mask.shape, np.int32)
    ndimage.label(mask, _NEIGHBOURS, output=parts)
    found = []
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        area = parts[box].size
        if area >= _SMALLEST * mask.size:  # most parts are specks
            filled = np.asarray(ndimage.binary_fill_holes(parts[box] == number, _NEIGHBOURS))
            if filled.sum() >= _RECTANGLE * area:
                found.append(box)
    return found


def _is_of(pixels: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Returns which pixels (..., 3) are of a colour, within the tolerance."""
    tolerance = _DARK_TOLERANCE if colour.max() <= _DARK else _TOLERANCE
    return np.all(np.abs(pixels.astype(np.int16) - colour.astype(np.int16)) <= tolerance, axis=-1)


def _most_frequent(pixels: np.ndarray) -> np.ndarray:
    """Returns the colour that most of the pixels (count, 3) have, more or less."""
    levels = 255 // _TOLERANCE + 1
    colours = (pixels.astype(np.int32) // _TOLERANCE) @ (levels**2, levels, 1)
    return np.median(pixels[colours == np.bincount(colours).argmax()], axis=0)
