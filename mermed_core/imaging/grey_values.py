"""Grey values of more than 8 bits, kept so that a person can choose the window that they are seen through."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mermed_core.imaging.colours import STRETCHED, is_deep
from mermed_core.imaging.slides import FullSize
from mermed_core.imaging.windowing import scale_to_bytes, stretch_ends, window_to_bytes

# Codes from 1; 0 stands for where there is no image.
_CODES = 2**16 - 1


@dataclass(frozen=True)
class Window:
    """The grey values that are shown between black and white.

    Attributes:
        centre: in the unit of the values.
        width: in the unit of the values, positive; at least 1 for LINEAR.
        function: LINEAR, LINEAR_EXACT or SIGMOID, as DICOM defines them.
    """

    centre: float
    width: float
    function: str = "LINEAR_EXACT"

    def show(self, values: np.ndarray) -> np.ndarray:
        """Returns values of any shape as uint8 from black to white."""
        return window_to_bytes(values, self.centre, self.width, self.function)


WINDOWS_OF_CT = {
    "lung": Window(-600, 1500),
    "bone": Window(400, 1800),
    "brain": Window(40, 80),
    "soft_tissue": Window(50, 400),
    "liver": Window(60, 160),
    "mediastinum": Window(40, 350),
}
"""The usual windows of CT in Hounsfield units. Source: radiopaedia.org, Windowing (CT)."""


@dataclass(frozen=True, eq=False)
class Values:
    """Grey values as a file means them, before they are shown.

    Attributes:
        values: (height, width) of any number type; not finite where there is no image.
        show: what turns values of any shape into the uint8 that the file's own way of showing gives,
            dark for low ones.
        windows: those that the file states.
        inverted: low values are shown bright.
        hounsfield: the values are Hounsfield units.
        notes: on the file's own way of showing them, which no longer hold through another window.
    """

    values: np.ndarray
    show: Callable[[np.ndarray], np.ndarray]
    windows: tuple[Window, ...] = ()
    inverted: bool = False
    hounsfield: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Decoded:
    """What is read of one frame of a file.

    Attributes:
        pixels: (height, width, 3) uint8 RGB.
        frames: how many the file has.
        notes: sentences for the person who looks at it.
        values: of the same height and width, where the frame is grey and has more than 8 bits.
        modality: our key of the modality that a header names, or its tag where that is none of ours.
        full: of a picture of which only a smaller copy was read.
    """

    pixels: np.ndarray
    frames: int
    notes: tuple[str, ...]
    values: Values | None = None
    modality: str | None = None
    full: FullSize | None = None


def decoded(
    values: np.ndarray, notes: tuple[str, ...], frames: int, *, white_is_zero: bool = False
) -> Decoded:
    """Returns a frame with the pixels that its values are shown as.

    Args:
        values: pixels (height, width, 3) uint8, or deep grey values (height, width), which are stretched.
        notes: on the frame.
        frames: of the file.
        white_is_zero: low grey values are shown bright.
    """
    if not is_deep(values):
        return Decoded(values, frames, notes)
    low, high = stretch_ends(values)

    def show(each: np.ndarray) -> np.ndarray:
        return scale_to_bytes(np.where(np.isfinite(each), each, low), low, high)

    grey = 255 - show(values) if white_is_zero else show(values)
    pixels = np.repeat(grey[:, :, None], 3, axis=2)
    before = Values(values, show, inverted=white_is_zero, notes=(STRETCHED,))
    return Decoded(pixels, frames, (STRETCHED, *notes), before)


@dataclass(frozen=True, eq=False, repr=False)
class GreyValues:
    """Grey values in 16 bits.

    Attributes:
        codes: (height, width) uint16; 0 where there is no image, from 1 else.
        lowest: the value that code 1 stands for.
        step: the difference between the values of two codes that follow each other.
        curve: uint8 by code, how the file wants its values to be shown, dark for low ones.
        start: a window that shows about the same as the curve, for a person to change.
        windows: those that the file states.
        inverted: the file wants low values to be shown bright.
        hounsfield: the values are Hounsfield units.
        notes: on the file's own way of showing them, which no longer hold through another window.
    """

    codes: np.ndarray
    lowest: float
    step: float
    curve: np.ndarray
    start: Window
    windows: tuple[Window, ...] = ()
    inverted: bool = False
    hounsfield: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Values) -> Self:
        """Codes values: whole numbers as they are where 16 bits suffice, others in 65,534 even steps."""
        values = given.values.astype(np.float64)
        image = np.isfinite(values)
        values[~image] = low = float(values[image].min()) if image.any() else 0.0
        span = float(values.max(initial=low)) - low
        whole = span < _CODES and np.array_equal(values, np.rint(values))
        step = 1.0 if whole or span == 0 else span / (_CODES - 1)
        codes = np.rint((values - low) / step).astype(np.int64) + 1
        codes[~image] = 0
        known = low + step * np.arange(int(codes.max(initial=1)))
        curve = np.concatenate([np.zeros(1, np.uint8), given.show(known)])
        start = given.windows[0] if given.windows else _like(curve, low, step)
        return cls(
            codes.astype(np.uint16),
            low,
            step,
            curve,
            start,
            given.windows,
            given.inverted,
            given.hounsfield,
            given.notes,
        )

    def with_values(self, values: np.ndarray) -> Self:
        """Returns other values (height, width) of the picture in the same codes; those beyond are clipped."""
        steps = np.rint((values.astype(np.float64) - self.lowest) / self.step) + 1
        codes = np.where(np.isfinite(steps), np.clip(steps, 1, len(self.curve) - 1), 0)
        return replace(self, codes=codes.astype(np.uint16))

    def shown(self, window: Window | None, inverted: bool) -> np.ndarray:
        """Returns pixels (height, width, 3) uint8.

        Args:
            window: that a person chose; None shows what the file wants.
            inverted: low values are shown bright.
        """
        curve = self.curve
        if window is not None:
            known = self.lowest + self.step * np.arange(len(curve) - 1)
            curve = np.concatenate([np.zeros(1, np.uint8), window.show(known)])
        if inverted:
            curve = 255 - curve
            curve[0] = 0
        return np.repeat(curve[self.codes][:, :, None], 3, axis=2)


def _like(curve: np.ndarray, low: float, step: float) -> Window:
    """Returns the window that begins and ends where a curve, which rises, does.

    One that does not reach black or white is carried on as straight as it is.
    """
    if len(curve) < 3:
        return Window(low, max(step, 1e-9))
    values = curve[1:]
    first = int(np.searchsorted(values > values.min(), True))
    last = int(np.searchsorted(values >= values.max(), True))
    begin, end = low + step * max(0, first - 1), low + step * min(last, len(values) - 1)
    dark, bright = float(values.min()), float(values.max())
    if bright > dark:
        a_grey = (end - begin) / (bright - dark)
        begin, end = begin - a_grey * dark, end + a_grey * (255 - bright)
    return Window((begin + end) / 2, max(end - begin, step))
