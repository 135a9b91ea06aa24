"""Whether two pictures are one picture turned, mirrored or cut closer: compared on rings around the centre.

A picture is sampled on rings, spaced evenly in the logarithm of their radius. Turning it moves the samples
along every ring alike, mirroring reverses them, and a closer cut moves them to a wider ring. So the best
normalised correlation over all turns, both hands and a few steps of width says how alike two pictures are, in
whatever way one was made of the other (log-polar matching; Wolberg & Zokai 2000). It needs no encoder.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

RINGS = 16
ANGLES = 32
_SIDE = 40  # px that a picture is reduced to: what a copy keeps through JPEG, noise and resampling
_COARSE = 4.0  # px; slower changes of brightness, which say where light fell, are taken out
_INNER, _OUTER = 0.12, 0.97  # radii of the first and last ring, in half sides
_CLOSER = 1.45  # how much closer a cut is recognised
_BLOCK = 2048  # pairs compared together, some 200 MB
_FLAT = 1e-6  # energy of a picture below which it shows nothing


@dataclass(frozen=True, eq=False)
class PolarPictures:
    """Pictures as samples on rings.

    Attributes:
        samples: (pictures, 3, RINGS, ANGLES) float16; zero where a picture shows nothing.
    """

    samples: np.ndarray

    @classmethod
    def empty(cls, count: int) -> Self:
        """Returns room for so many pictures, none of which shows anything yet."""
        return cls(np.zeros((count, 3, RINGS, ANGLES), np.float16))

    def put(self, row: int, pixels: np.ndarray) -> None:
        """Samples the picture of a row, pixels (height, width, 3) uint8."""
        self.samples[row] = sample(pixels)

    def shown(self) -> np.ndarray:
        """Returns a mask (pictures,) of those that show anything."""
        return np.abs(self.samples).max(axis=(1, 2, 3)) > 0

    def likeness(self, pairs: np.ndarray) -> Iterator[np.ndarray]:
        """Yields (some,) float32 for pairs (pairs, 2) of positions, block by block.

        Each is the best normalised correlation, −1..1, over turns, hands and cuts; 0 where a picture shows
        nothing.
        """
        for start in range(0, len(pairs), _BLOCK):
            first, second = pairs[start : start + _BLOCK].T
            yield _compare(self.samples[first], self.samples[second])


def sample(pixels: np.ndarray) -> np.ndarray:
    """Returns samples (3, RINGS, ANGLES) float16 of pixels (height, width, 3) uint8.

    Every ring's samples are weighted by its width, so that all of the picture counts alike.
    """
    small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    values = np.asarray(small, np.float32) / 255
    values = values - gaussian_filter(values, (_COARSE, _COARSE, 0))
    rows, columns, down, right = _grid()
    above = values[rows, columns] * (1 - right) + values[rows, columns + 1] * right
    below = values[rows + 1, columns] * (1 - right) + values[rows + 1, columns + 1] * right
    rings = (above * (1 - down) + below * down).transpose(2, 0, 1)
    rings = (rings - rings.mean(axis=(1, 2), keepdims=True)) * _radii()[:, None]
    return (rings if np.square(rings).mean() > _FLAT else np.zeros_like(rings)).astype(np.float16)


def _radii() -> np.ndarray:
    return np.exp(np.linspace(np.log(_INNER), np.log(_OUTER), RINGS)).astype(np.float32)


@cache
def _grid() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns rows and columns (RINGS, ANGLES) of pixels and the way to the next (RINGS, ANGLES, 1)."""
    centre, angles = (_SIDE - 1) / 2, np.arange(ANGLES) * 2 * np.pi / ANGLES
    radii = _radii()[:, None] * _SIDE / 2
    places = centre + radii * np.sin(angles), centre + radii * np.cos(angles)
    rows, columns = (np.clip(np.floor(place).astype(int), 0, _SIDE - 2) for place in places)
    down, right = (
        (place - start)[..., None].astype(np.float32)
        for place, start in zip(places, (rows, columns), strict=True)
    )
    return rows, columns, down, right


def _compare(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns (pairs,) float32: the best correlation of samples (pairs, 3, RINGS, ANGLES) with others."""
    spectra = [_by_frequency(side) for side in (first, second)]
    energies = [np.square(side.astype(np.float32)).sum(axis=(1, 3)) for side in (first, second)]
    best = np.full(len(first), -1, np.float32)
    step = np.log(_OUTER / _INNER) / (RINGS - 1)
    for shift in range(round(np.log(_CLOSER) / step) + 1):
        wide, narrow = slice(shift, RINGS), slice(0, RINGS - shift)
        for own, other in ((wide, narrow), (narrow, wide)) if shift else ((wide, wide),):
            norm = np.sqrt(energies[0][:, own].sum(axis=1) * energies[1][:, other].sum(axis=1))
            left, right = spectra[0][..., own], spectra[1][..., other]
            for turned in (right.conj(), right):  # as it is, and mirrored
                products = np.einsum("pfcr,pfcr->pf", left, turned)
                peaks = np.fft.irfft(products, n=ANGLES, axis=1).max(axis=1)
                best = np.maximum(best, peaks / np.maximum(norm, _FLAT))
    return best


def _by_frequency(samples: np.ndarray) -> np.ndarray:
    """Returns (pairs, frequencies, 3, RINGS) complex64."""
    return np.ascontiguousarray(np.fft.rfft(samples.astype(np.float32), axis=-1).transpose(0, 3, 1, 2))
