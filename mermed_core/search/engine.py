"""The interface of vector search that everything above is written against, whichever engine does the work."""

from abc import ABC, abstractmethod
from typing import Literal, Self

import numpy as np

Metric = Literal["cosine", "squared_distance"]


class SearchEngine(ABC):
    """Finds the nearest of a fixed set of vectors; row i of the set has position i. Thread-safe."""

    @classmethod
    @abstractmethod
    def build(cls, vectors: np.ndarray, metric: Metric = "cosine") -> Self:
        """Indexes float32 vectors (rows, dim), of unit norm where the metric is cosine."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of a vector."""

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of vectors."""

    @abstractmethod
    def search(
        self, queries: np.ndarray, count: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the `count` vectors nearest to each query.

        Args:
            queries: (queries, dim) float32, of unit norm where the metric is cosine.
            count: hits wanted; fewer come where fewer vectors are allowed.
            allowed: mask (rows,) of the vectors to search among; None for all.

        Returns:
            Cosine similarities (queries, hits), highest first, or squared distances, lowest first; and
            positions (queries, hits).
        """
