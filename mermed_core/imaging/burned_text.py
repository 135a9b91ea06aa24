"""Text that is burned into a picture, found by its strokes: no letter is read, so no name is learned.

Letters are thin strokes of one brightness, equally high, close to each other on a line. That finds print that
lies level; it does not find handwriting, fewer than five letters, text that stands on its side, or text as
bright as what it lies on. Around a line that was found less is asked for: print comes in blocks, and the
rest of a name is fainter, shorter or further away.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import find_objects, grey_opening, label
from scipy.ndimage import maximum as maximum_of
from scipy.ndimage import sum as sum_of

from mermed_core.imaging.frames import Box

_LOOKED_AT = 1024  # pixels of the longer side
_FAINT = 36  # grey levels, beside a line that was found
_LINES = 6  # heights of a letter above and below a line in which its block is sought
_ABOVE, _BESIDE = 1.2, 2.0  # heights of a letter that print may lie from a line of its block
_STROKE = 13  # pixels; what is wider is no stroke
_CONTRAST = 70  # grey levels by which a stroke stands out
_LETTERS = 5  # that make a line
_WORD = 5  # letters that may touch each other
_HEIGHTS = (6, 48)  # of a letter in pixels
_SPREAD = 45  # grey levels between the letters of a line
_UNEVEN = 0.1  # of the height of a letter: how far print is off its line
_STANDING, _ALIKE = 0.75, 0.7  # shares of the letters on the line, and of those that are equally high
_MARGIN = 0.35  # of the height of a line that a box has around it
_MOST_PARTS = 4000  # a picture with more is a texture, and would take long


@dataclass(frozen=True)
class _Letter:
    """Where a part lies that may be a letter, and how bright it is."""

    top: int
    bottom: int
    left: int
    right: int
    level: float

    @property
    def height(self) -> int:
        return self.bottom - self.top


def find_text(pixels: np.ndarray) -> tuple[Box, ...]:
    """Returns where lines of text are burned into pixels (height, width, 3) uint8."""
    grey = Image.fromarray(pixels).convert("L")
    # Small print is enlarged, so that its letters come apart.
    enlarge = min(2.0, _LOOKED_AT / max(grey.size))
    size = (max(1, round(grey.width * enlarge)), max(1, round(grey.height * enlarge)))
    grey = grey.resize(size, Image.Resampling.BOX if enlarge < 1 else Image.Resampling.BICUBIC)
    scale = pixels.shape[1] / grey.width
    small = np.asarray(grey)
    lines = [line for each in (small, 255 - small) for line in _blocks(each)]
    return tuple(_box(line, scale, pixels.shape) for line in lines)


def _blocks(grey: np.ndarray) -> list[list[_Letter]]:
    """Returns the lines of bright print, and what else belongs to their blocks."""
    strokes = grey.astype(np.int16) - grey_opening(grey, (_STROKE, _STROKE))
    lines = _lines(_letters(grey, strokes > _CONTRAST))
    if not lines:
        return lines
    others = [
        each
        for each in _letters(grey, _nearby(strokes, lines))
        if not any(max(_apart(each, letter)) < 0 for line in lines for letter in line)
    ]
    reached = [letter for line in lines for letter in line]
    while reached:
        joined = [each for each in others if any(_beside(letter, each) for letter in reached)]
        for each in joined:
            _row_of(each, lines).append(each)
        others = [each for each in others if each not in joined]
        reached = joined
    return [line for line in lines if len(line) > 1]


def _row_of(letter: _Letter, lines: list[list[_Letter]]) -> list[_Letter]:
    """Returns the line that a letter of a block continues; where none, a new one that is added."""
    for line in lines:
        if any(_apart(letter, each)[1] <= 0 and _beside(letter, each) for each in line):
            return line
    lines.append([])
    return lines[-1]


def _nearby(strokes: np.ndarray, lines: list[list[_Letter]]) -> np.ndarray:
    """Returns faint strokes in the rows where blocks around lines may lie."""
    near = np.zeros(len(strokes), bool)
    for line in lines:
        height = max(letter.height for letter in line)
        top, bottom = min(each.top for each in line), max(each.bottom for each in line)
        near[max(0, top - _LINES * height) : bottom + _LINES * height] = True
    return (strokes > _FAINT) & near[:, None]


def _apart(one: _Letter, other: _Letter) -> tuple[int, int]:
    """Returns how far two parts are apart, across and down; 0 or less where they overlap."""
    return (
        max(one.left, other.left) - min(one.right, other.right),
        max(one.top, other.top) - min(one.bottom, other.bottom),
    )


def _beside(letter: _Letter, other: _Letter) -> bool:
    """Returns whether a part may be a letter of the same block as a letter."""
    high, low = max(letter.height, other.height), min(letter.height, other.height)
    across, down = _apart(letter, other)
    if high > 1.8 * low or abs(letter.level - other.level) > _SPREAD:
        return False
    return (_level(letter, other) and across <= _BESIDE * high) or (down <= _ABOVE * low and across <= 0)


def _level(one: _Letter, other: _Letter) -> bool:
    """Returns whether two parts stand on one line, or end at one."""
    near = 0.25 * max(one.height, other.height)
    return abs(one.bottom - other.bottom) <= near or abs(one.top - other.top) <= near


def _letters(grey: np.ndarray, strokes: np.ndarray) -> list[_Letter]:
    """Returns the parts of strokes that may be letters, from left to right."""
    parts = np.empty(grey.shape, np.int32)
    count = int(label(strokes, np.ones((3, 3)), output=parts))  # pyright: ignore[reportArgumentType]
    if not 0 < count <= _MOST_PARTS:
        return []
    numbers = np.arange(1, count + 1)
    areas, levels = sum_of(parts > 0, parts, numbers), maximum_of(grey, parts, numbers)
    found = []
    for place, area, level in zip(find_objects(parts), areas, levels, strict=True):
        rows, columns = place
        height, width = rows.stop - rows.start, columns.stop - columns.start
        # Letters that touch each other are one part, as long as a word may be.
        upright = _HEIGHTS[0] <= height <= _HEIGHTS[1] and width <= _WORD * height
        if upright and area >= 0.15 * height * width:
            found.append(_Letter(rows.start, rows.stop, columns.start, columns.stop, float(level)))
    return sorted(found, key=lambda letter: letter.left)


def _lines(letters: list[_Letter]) -> list[list[_Letter]]:
    """Returns letters that stand beside each other, in lines of enough of them."""
    lines: list[list[_Letter]] = []
    for letter in letters:
        for line in lines:
            if _follows(line[-1], letter):
                line.append(letter)
                break
        else:
            lines.append([letter])
    return [line for line in lines if _is_text(line)]


def _follows(last: _Letter, letter: _Letter) -> bool:
    high, low = max(last.height, letter.height), min(last.height, letter.height)
    gap = letter.left - last.right
    near = -0.3 * high <= gap <= 1.1 * high
    return _level(last, letter) and near and high <= 1.8 * low and abs(last.level - letter.level) <= _SPREAD


def _is_text(line: list[_Letter]) -> bool:
    height = float(np.median([letter.height for letter in line]))
    if len(line) < _LETTERS or line[-1].right - line[0].left < 2 * height:
        return False
    return _even(line, height) and float(np.std([letter.level for letter in line])) <= _SPREAD / 2


def _even(line: list[_Letter], height: float) -> bool:
    """Returns whether most letters stand on one line and are equally high, as print is and tissue is not."""
    near = max(1.0, _UNEVEN * height)
    bottoms, heights = (np.array([getattr(each, name) for each in line]) for name in ("bottom", "height"))
    standing = np.abs(bottoms - np.median(bottoms)) <= near
    return bool(standing.mean() >= _STANDING and (np.abs(heights - height) <= near).mean() >= _ALIKE)


def _box(line: list[_Letter], scale: float, shape: tuple[int, ...]) -> Box:
    """Returns the box around a line with a margin, in pixels of the whole picture."""
    margin = _MARGIN * max(letter.height for letter in line)
    top, left = (min(getattr(each, side) for each in line) - margin for side in ("top", "left"))
    bottom, right = (max(getattr(each, side) for each in line) + margin for side in ("bottom", "right"))
    top, left = max(0, int(top * scale)), max(0, int(left * scale))
    bottom, right = min(shape[0], int(np.ceil(bottom * scale))), min(shape[1], int(np.ceil(right * scale)))
    return Box(top, left, bottom - top, right - left)
