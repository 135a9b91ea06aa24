"""Checks of a picture before it is believed: what a person would see at once is wrong with it.

Each check looks at pixels alone, and is set so that few real images are called wrong; docs/experiments.md
says how many of each modality are.
"""

import numpy as np
from PIL import Image
from scipy.ndimage import laplace
from skimage.filters.rank import median

from mermed_core.imaging.frames import find_picture

_SEEN_SIDE = 256  # about what an encoder sees
_FINE_SIDE = 512  # pixels in which a screen's pattern is sought
_LEAST_SIDE = 64
_DARK = 30  # grey level that the brightest pixels of a dark picture do not exceed
_EMPTY = 12  # grey levels that a picture without content spreads over
_BLURRED = 0.05
_LATTICE = 5.5  # in powers of e
_STEPS, _CODES = 20, 1023  # of a power of e; a spectrum of 8 bits spans fewer than 30
_SURROUND = 40  # grey level below which a fundus photograph's surround lies


def concerns(pixels: np.ndarray, modality: str) -> tuple[str, ...]:
    """Returns what is wrong with pixels (height, width, 3) uint8, the gravest first.

    Args:
        pixels: as they are analysed.
        modality: our key of the modality that they are taken for.

    Returns:
        Any of too_small, nearly_empty, too_dark, blurred, of_a_screen, fundus_cut. What is nearly empty, too
        dark or too small is not checked for more.
    """
    if min(pixels.shape[:2]) < _LEAST_SIDE:
        return ("too_small",)
    small = _resized(pixels, _SEEN_SIDE)
    if spread(small) < _EMPTY:
        return ("nearly_empty",)
    if darkness(small) < _DARK:
        return ("too_dark",)
    found = ["blurred"] if sharpness(small) < _BLURRED else []
    if lattice(pixels) > _LATTICE:
        found.append("of_a_screen")
    if modality == "fundus" and missing_surround(small) == 1:
        found.append("fundus_cut")
    return tuple(found)


def darkness(pixels: np.ndarray) -> float:
    """Returns the grey level that the brightest 0.5 % of pixels (height, width, 3) reach."""
    return float(np.percentile(_grey(pixels), 99.5))


def spread(pixels: np.ndarray) -> float:
    """Returns the grey levels between the 1st and the 99th percentile."""
    low, high = np.percentile(_grey(pixels), (1, 99))
    return float(high - low)


def sharpness(pixels: np.ndarray) -> float:
    """Returns how strong what is finest in a picture is beside its contrast, as an encoder sees it."""
    grey = _grey(_resized(find_picture(pixels).cut(pixels), _SEEN_SIDE))
    return float(laplace(grey).std() / (grey.std() + 1.0))


def lattice(pixels: np.ndarray) -> float:
    """Returns how far the strongest regular pattern rises above its surroundings in the spectrum.

    A screen's pixels, photographed, give moiré: peaks off the axes. Those on the axes are of the blocks of
    JPEG, of scan lines and of text.
    """
    side = min(_FINE_SIDE, *pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    part = _grey(pixels[top : top + side, left : left + side])
    window = np.hanning(side)
    power = np.abs(np.fft.rfft2((part - part.mean()) * window[:, None] * window)) ** 2
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    level = np.log(power + side**2)
    above = level - _local_median(level)
    wanted = (np.hypot(down, across) > 0.08) & (np.abs(down) > 0.02) & (across > 0.02)
    return float(above[wanted].max(initial=0.0))


def _local_median(level: np.ndarray) -> np.ndarray:
    """Returns the median of the 9 × 9 values around each, to a twentieth, ten times sooner."""
    low = level.min()
    codes = np.clip(np.rint((level - low) * _STEPS), 0, _CODES).astype(np.uint16)
    return low + median(codes, np.ones((9, 9), np.uint8)) / _STEPS


def missing_surround(pixels: np.ndarray) -> float:
    """Returns the share of the four corners of a fundus photograph that are not dark."""
    grey = _grey(_resized(pixels, _SEEN_SIDE))
    rows, columns = (max(2, length // 24) for length in grey.shape)
    corners = [grey[:rows, :columns], grey[:rows, -columns:], grey[-rows:, :columns], grey[-rows:, -columns:]]
    return float(np.mean([np.median(corner) > _SURROUND for corner in corners]))


def _grey(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32).mean(axis=2)


def _resized(pixels: np.ndarray, side: int) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side, side), Image.Resampling.BOX)
    return np.asarray(image)
