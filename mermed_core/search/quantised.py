"""Unit vectors stored as eight bits a number: a quarter of the size, with the same neighbours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

_LEVELS = 255
_BLOCK = 16_384  # rows that are decoded together


@dataclass(frozen=True, eq=False)
class QuantisedVectors:
    """Vectors of which every number is one of 256 steps between the least and the greatest of its dimension.

    Attributes:
        codes: (vectors, dim) uint8; may be a file that is mapped into memory.
        lowest: (dim,) float32, what code 0 stands for.
        step: (dim,) float32, from one code to the next; 0 where a dimension never changes.
        norms: (vectors,) float32, of what the codes stand for, which rounding moved away from 1.
    """

    codes: np.ndarray
    lowest: np.ndarray
    step: np.ndarray
    norms: np.ndarray

    @classmethod
    def encode(cls, vectors: np.ndarray) -> Self:
        """Rounds vectors (vectors, dim) float32."""
        lowest = vectors.min(axis=0).astype(np.float32)
        step = ((vectors.max(axis=0) - lowest) / np.float32(_LEVELS)).astype(np.float32)
        codes = np.empty(vectors.shape, np.uint8)
        for rows in blocks(len(vectors)):
            codes[rows] = np.rint((vectors[rows] - lowest) / np.where(step > 0, step, 1))
        return cls.of(codes, lowest, step)

    @classmethod
    def of(cls, codes: np.ndarray, lowest: np.ndarray, step: np.ndarray) -> Self:
        """Returns vectors whose norms are not known yet."""
        norms = np.empty(len(codes), np.float32)
        for rows in blocks(len(codes)):
            norms[rows] = np.linalg.norm(codes[rows] * step + lowest, axis=1)
        return cls(codes, lowest, step, np.maximum(norms, np.float32(1e-12)))

    @classmethod
    def joined(cls, parts: "Sequence[QuantisedVectors]") -> Self:
        """Returns vectors one behind the other, as codes of one scale.

        What the codes stand for is rounded as it is, not brought to unit norm before: that would move every
        number off the steps, a little further each time that the same vectors are joined with others.
        """
        return cls.encode(np.concatenate([part.codes * part.step + part.lowest for part in parts]))

    def __len__(self) -> int:
        """Returns the number of vectors."""
        return len(self.codes)

    def decode(self, rows: Any = slice(None)) -> np.ndarray:
        """Returns vectors (rows, dim) float32, with the unit norm that rounding took from them.

        Args:
            rows: what an array is indexed by: a slice, or positions (rows,).
        """
        vectors = self.codes[rows] * self.step
        vectors += self.lowest
        vectors /= self.norms[rows][:, None]
        return vectors

    def take(self, rows: np.ndarray) -> Self:
        """Returns the vectors in some rows (some,), with the codes that they have."""
        return type(self)(self.codes[rows], self.lowest, self.step, self.norms[rows])


@dataclass(frozen=True, eq=False)
class Part:
    """Vectors of which some rows count.

    Attributes:
        vectors: all.
        rows: (some,) int64, rising, the rows that count; None for all.
    """

    vectors: QuantisedVectors
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        """Returns how many count."""
        return len(self.vectors) if self.rows is None else len(self.rows)

    def stored(self, places: np.ndarray) -> np.ndarray:
        """Returns the rows of the vectors that are at some places among those that count."""
        return places if self.rows is None else self.rows[places]


class StoredVectors:
    """Vectors in parts, one behind the other, that are indexed like an array and decoded when asked for.

    `vectors[rows]` takes a number, a slice, positions or a mask and returns float32; `np.asarray(vectors)`
    decodes all.

    Attributes:
        parts: in order.
        firsts: (parts,) int64, the position of each part's first vector.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, parts: Sequence[Part], dim: int) -> None:
        self.parts = tuple(part for part in parts if len(part))
        ends = np.cumsum([0, *map(len, self.parts)])
        self.firsts = ends[:-1].astype(np.int64)
        self.shape = (int(ends[-1]), dim)

    @classmethod
    def of(cls, vectors: QuantisedVectors) -> Self:
        """Returns vectors of one part."""
        return cls([Part(vectors)], vectors.codes.shape[1])

    def __len__(self) -> int:
        """Returns the number of vectors."""
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields one vector (dim,) after the other."""
        for rows in blocks(len(self)):
            yield from self[rows]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Returns vectors (rows, dim) float32; one (dim,) for a number."""
        if isinstance(rows, slice):
            return self._slice(*rows.indices(len(self)))
        wanted = np.asarray(rows)
        if wanted.ndim == 0:
            row = range(len(self))[int(wanted)]  # also from the end, and IndexError beyond it
            return self._at(np.array([row]))[0]
        if wanted.dtype == bool:
            return self._at(np.flatnonzero(wanted))
        wanted = wanted.astype(np.int64)
        if len(wanted) and not -len(self) <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"there are {len(self)} vectors")
        return self._at(np.where(wanted < 0, wanted + len(self), wanted))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns all, decoded."""
        if copy is False:
            raise ValueError("decoding makes a copy")
        return self[:].astype(dtype or np.float32, copy=False)

    def _slice(self, start: int, stop: int, step: int) -> np.ndarray:
        if step != 1:
            return self._at(np.arange(start, stop, step))
        vectors = np.empty((max(0, stop - start), self.shape[1]), np.float32)
        for first, part in zip(self.firsts, self.parts, strict=True):
            begin, end = max(start, first), min(stop, first + len(part))
            if begin < end:
                inside = slice(begin - first, end - first)
                rows = inside if part.rows is None else part.rows[inside]
                vectors[begin - start : end - start] = part.vectors.decode(rows)
        return vectors

    def _at(self, positions: np.ndarray) -> np.ndarray:
        if len(self.parts) == 1:
            return self.parts[0].vectors.decode(self.parts[0].stored(positions))
        vectors = np.empty((len(positions), self.shape[1]), np.float32)
        numbers = np.searchsorted(self.firsts, positions, side="right") - 1
        for number in np.unique(numbers):
            places = np.flatnonzero(numbers == number)
            part = self.parts[number]
            vectors[places] = part.vectors.decode(part.stored(positions[places] - self.firsts[number]))
        return vectors


def blocks(rows: int, size: int = _BLOCK) -> Iterator[slice]:
    """Yields slices of at most `size` rows, one behind the other."""
    for first in range(0, rows, size):
        yield slice(first, min(rows, first + size))
