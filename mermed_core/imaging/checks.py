"""Checks of a picture before it is believed: what a person would see at once is wrong with it.

Each check looks at pixels alone, and is set so that few real images are called wrong; docs/experiments.md
says how many of each modality are.
"""

import numpy as np
from PIL import Image
from scipy.ndimage import laplace, maximum_filter1d, percentile_filter, uniform_filter1d
from skimage.filters.rank import median

from mermed_core.imaging.frames import find_picture

_SEEN_SIDE = 256  # about what an encoder sees
_FINE_SIDE = 512  # pixels in which a screen's pattern is sought
_LEAST_SIDE = 64
_DARK = 30  # grey level that the brightest pixels of a dark picture do not exceed
_EMPTY = 12  # grey levels that a picture without content spreads over
_BLURRED = 0.05
_ENLARGED = 0.32
_COARSE_SIDE, _DETAIL_SIDE = 48, 96  # pixels of the shorter side
_LEAST_ENLARGED = 192  # px; of a smaller picture too little lies beyond its half band
_JUDGED_SIDE = 768
_STEPPED = 0.55  # of the mean change from line to line
_MOST_STEPS = 120
_STEP_REACH, _STEP_RANK, _STEP_LINES = 11, 35, 512  # lines, percent, pixels of a line that are looked at
_LEAST_RHYTHMIC = 120  # px
_RHYTHM_SIDES = (30, 100)  # px that a picture had whose pixels are repeated
_RHYTHM_REACH, _RHYTHM_RATES = 15, np.fft.rfftfreq(4096)  # lines, steps a line
_RHYTHM_FASTEST = 0.45  # of them; nearer to one every other line there is the noise of cameras
_RHYTHM_POWER, _RHYTHM_DEPTH = 10.0, 0.2  # of 1,343 real images none has a depth of more than 0.09
_LATTICE = 5.5  # in powers of e
# Cycles a pixel of the colour carriers of analogue video (NTSC, PAL), as digitisers sampled it: old cameras
# of eyes and skin left them in pictures. Source: ITU-R BT.470 at the 12.27, 13.5 and 14.75 MHz of digitisers.
_CARRIERS = (0.2652, 0.2917, 0.3006, 0.3284)
_TRIED = 8  # peaks that are looked at
_AROUND, _WITHIN, _ALONE = (
    9,
    4,
    2.0,
)  # a peak stands so many powers of e above what lies between these distances
_STEPS, _CODES = 20, 1023  # of a power of e; a spectrum of 8 bits spans fewer than 30
_SURROUND = 40  # grey level below which a fundus photograph's surround lies


def concerns(pixels: np.ndarray, modality: str) -> tuple[str, ...]:
    """Returns what is wrong with pixels (height, width, 3) uint8, the gravest first.

    Args:
        pixels: as they are analysed.
        modality: our key of the modality that they are taken for.

    Returns:
        Any of too_small, nearly_empty, too_dark, blurred, enlarged, of_a_screen, fundus_cut. What is nearly
        empty, too dark or too small is not checked for more, and what is blurred is not called enlarged too.
    """
    if min(pixels.shape[:2]) < _LEAST_SIDE:
        return ("too_small",)
    small = _resized(pixels, _SEEN_SIDE)
    if is_empty(small):
        return ("nearly_empty",)
    if darkness(small) < _DARK:
        return ("too_dark",)
    found = ["blurred"] if sharpness(small) < _BLURRED else []
    if not found and is_enlarged(pixels):
        found.append("enlarged")
    if lattice(pixels) > _LATTICE:
        found.append("of_a_screen")
    if modality == "fundus" and missing_surround(small) == 1:
        found.append("fundus_cut")
    return tuple(found)


def darkness(pixels: np.ndarray) -> float:
    """Returns the grey level that the brightest 0.5 % of pixels (height, width, 3) reach."""
    return float(np.percentile(_grey(pixels), 99.5))


def is_empty(pixels: np.ndarray) -> bool:
    """Tells whether pixels (height, width, 3) are all of nearly one grey level, as an encoder sees them."""
    return spread(_resized(pixels, _SEEN_SIDE)) < _EMPTY


def spread(pixels: np.ndarray) -> float:
    """Returns the grey levels between the 1st and the 99th percentile."""
    low, high = np.percentile(_grey(pixels), (1, 99))
    return float(high - low)


def sharpness(pixels: np.ndarray) -> float:
    """Returns how strong what is finest in a picture is beside its contrast, as an encoder sees it."""
    grey = _grey(_resized(find_picture(pixels).cut(pixels), _SEEN_SIDE))
    return float(laplace(grey).std() / (grey.std() + 1.0))


def is_enlarged(pixels: np.ndarray) -> bool:
    """Tells whether pixels (height, width, 3) were made from a picture of about 96 px or less.

    Either more than half of the rows and of the columns repeat their neighbours, or they hardly change but in
    few steps or at one rate (repeated before they were saved as JPEG), or detail ends where a picture of
    96 px has none: what lies beyond it is little beside what lies beyond 48 px.
    """
    cut = find_picture(pixels).cut(pixels)
    ways = [np.moveaxis(cut, axis, 0) for axis in (0, 1)]
    if min(cut.shape[:2]) >= _LEAST_RHYTHMIC and _at_one_rate([_changes(way) for way in ways]):
        return True
    if min(cut.shape[:2]) < _LEAST_ENLARGED:
        return False
    if all(map(_repeats, ways)) or all(map(_in_few_steps, ways)):
        return True
    image = Image.fromarray(np.ascontiguousarray(_resized(cut, _JUDGED_SIDE))).convert("L")
    if min(image.size) < _LEAST_ENLARGED:
        return False
    return _beyond(image, _DETAIL_SIDE) < _ENLARGED * _beyond(image, _COARSE_SIDE)


def _repeats(lines: np.ndarray) -> bool:
    """Returns whether more than half of the lines (lines, length, 3) are the same as the one before."""
    return bool((lines[1:] == lines[:-1]).all(axis=(1, 2)).mean() > 0.5)


def _in_few_steps(lines: np.ndarray) -> bool:
    """Returns whether lines (lines, length, 3) change by few steps, and hardly between them."""
    change = _changes(lines)
    between = percentile_filter(change, _STEP_RANK, size=_STEP_REACH)
    if between.mean() >= _STEPPED * change.mean():
        return False
    steps = (change >= maximum_filter1d(change, 3)) & (change > uniform_filter1d(change, _STEP_REACH))
    return int(steps.sum()) <= _MOST_STEPS


def _changes(lines: np.ndarray) -> np.ndarray:
    """Returns how much lines (lines, length, 3) change from each to the next; never quite nothing."""
    part = _grey(lines[:, :: max(1, lines.shape[1] // _STEP_LINES)])
    change = np.abs(np.diff(part, axis=0)).mean(axis=1)
    return change + 0.05 * change.mean() + 1e-6


def _at_one_rate(changes: list[np.ndarray]) -> bool:
    """Returns whether rows and columns change in steps at the same rate, that of a picture of few pixels.

    So do the blocks of JPEG, at rates that are not looked at, and pictures some of whose pixels were left
    out, less deeply.

    Args:
        changes: from row to row, and from column to column.
    """
    shorter = min(map(len, changes)) + 1
    pixels = _RHYTHM_RATES * shorter
    wanted = (_RHYTHM_SIDES[0] <= pixels) & (pixels <= _RHYTHM_SIDES[1]) & (_RHYTHM_RATES < _RHYTHM_FASTEST)
    for block in (1, 2, 3):
        wanted &= np.abs(_RHYTHM_RATES - block / 8) > 1.5 / shorter
    powers, depths = zip(*map(_rhythm, changes), strict=True)
    power = np.where(wanted, np.minimum(*powers), 0.0)
    strongest = int(power.argmax())
    return bool(power[strongest] > _RHYTHM_POWER and np.minimum(*depths)[strongest] > _RHYTHM_DEPTH)


def _rhythm(change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns how strongly changes come and go at each rate: beside the others, and in powers of e."""
    level = np.log(change)
    level = level - uniform_filter1d(level, _RHYTHM_REACH)
    window = np.hanning(len(level))
    height = np.abs(np.fft.rfft(level * window, 2 * (len(_RHYTHM_RATES) - 1)))
    return height**2 / (window**2).sum() / (level.var() + 1e-6), 2 * height / window.sum()


def _beyond(image: Image.Image, side: int) -> float:
    """Returns how strong the detail is that a copy with this shorter side would lose."""
    share = side / min(image.size)
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    copy = image.resize(size, Image.Resampling.LANCZOS).resize(image.size, Image.Resampling.BICUBIC)
    return float((np.asarray(image, np.float32) - np.asarray(copy, np.float32)).std())


def lattice(pixels: np.ndarray) -> float:
    """Returns how far the strongest regular pattern rises above its surroundings in the spectrum.

    A screen's pixels, photographed, give moiré: peaks off the axes that stand alone. Those on the axes are of
    the blocks of JPEG, of scan lines and of text; ridges are of edges, and some peaks of analogue video.
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
    for carrier in _CARRIERS:
        wanted &= np.abs(across - carrier) > 3 / side
    return _strongest_alone(above, np.where(wanted, above, 0.0))


def _strongest_alone(above: np.ndarray, wanted: np.ndarray) -> float:
    """Returns the highest peak of a spectrum, among those wanted, that is not a part of a ridge."""
    for _ in range(_TRIED):
        row, column = np.unravel_index(wanted.argmax(), wanted.shape)
        near = [slice(max(0, place - _AROUND), place + _AROUND + 1) for place in (row, column)]
        ring = above[near[0], near[1]].copy()
        middle = [
            slice(max(0, place - each.start - _WITHIN), place - each.start + _WITHIN + 1)
            for place, each in zip((row, column), near, strict=True)
        ]
        ring[middle[0], middle[1]] = 0.0
        if wanted[row, column] - ring.max() > _ALONE:
            return float(wanted[row, column])
        wanted[near[0], near[1]] = 0.0
    return 0.0


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
