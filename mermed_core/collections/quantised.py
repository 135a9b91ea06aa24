"""Unit vectors stored as eight bits a number: a quarter of the size, with the same neighbours."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from mermed_core.errors import CollectionError

_LEVELS = 255


@dataclass(frozen=True)
class QuantisedVectors:
    """Vectors of which every number is one of 256 steps between the least and the greatest of its dimension.

    Attributes:
        codes: (vectors, dim) uint8.
        lowest: (dim,) float32, what code 0 stands for.
        step: (dim,) float32, from one code to the next; 0 where a dimension never changes.
    """

    codes: np.ndarray
    lowest: np.ndarray
    step: np.ndarray

    @classmethod
    def encode(cls, vectors: np.ndarray) -> Self:
        """Rounds vectors (vectors, dim) float32."""
        lowest = vectors.min(axis=0)
        step = (vectors.max(axis=0) - lowest) / np.float32(_LEVELS)
        codes = np.rint((vectors - lowest) / np.where(step > 0, step, 1))
        return cls(codes.astype(np.uint8), lowest.astype(np.float32), step.astype(np.float32))

    def decode(self) -> np.ndarray:
        """Returns the vectors (vectors, dim) float32, with the unit norm that rounding took from them."""
        vectors = self.codes * self.step + self.lowest
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.maximum(norms, np.float32(1e-12))
        return vectors

    def save(self, path: Path) -> None:
        """Writes an npz file into a staging folder."""
        np.savez(path, codes=self.codes, lowest=self.lowest, step=self.step)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads the file.

        Raises:
            CollectionError: it is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                vectors = cls(stored["codes"], stored["lowest"], stored["step"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise CollectionError(f"'{path}' is damaged; build the collection again.") from error
        codes, dim = vectors.codes, vectors.codes.shape[-1:]
        if (
            codes.ndim != 2
            or codes.dtype != np.uint8
            or not vectors.lowest.shape == vectors.step.shape == dim
        ):
            raise CollectionError(
                f"'{path}' does not hold vectors of eight bits; build the collection again."
            )
        return vectors
