"""The interface of vector search that everything above is written against, whichever engine does the work."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mermed_core.search.filters import Column, Filter

Metric = Literal["cosine", "squared_distance"]


@dataclass(frozen=True, eq=False)
class Hits:
    """What a search found; unpacks into values and positions.

    Attributes:
        values: cosine similarities (queries, hits), highest first, or squared distances, lowest first.
        positions: (queries, hits) int64, rows of the vectors that were indexed.
        exact: whether no nearer vector can have been missed; otherwise `SearchEngine.recall` says how many
            of the nearest are found.
    """

    values: np.ndarray
    positions: np.ndarray
    exact: bool = True

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields the values and the positions."""
        yield self.values
        yield self.positions

    @classmethod
    def none(cls, queries: int, hits: int) -> "Hits":
        """Returns no values and positions, (queries, hits), of which one must be 0."""
        return cls(np.empty((queries, hits), np.float32), np.empty((queries, hits), np.int64))


class SearchEngine(ABC):
    """Finds the nearest of a fixed set of vectors; row i of the set has position i. Thread-safe."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of a vector."""

    @property
    @abstractmethod
    def recall(self) -> float:
        """Share of the ten nearest, 0..1, that answers hold which are not exact; 1 where all answers are."""

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of vectors."""

    @abstractmethod
    def search(self, queries: np.ndarray, count: int, allowed: np.ndarray | None = None) -> Hits:
        """Finds the `count` vectors nearest to each query.

        Args:
            queries: (queries, dim) float32, of unit norm where the metric is cosine.
            count: hits wanted; fewer come where fewer vectors are allowed.
            allowed: mask (rows,) of the vectors to search among; None for all.
        """

    def search_where(
        self, queries: np.ndarray, count: int, where: Filter, columns: Mapping[str, Column]
    ) -> Hits:
        """Finds the nearest among the vectors that pass a filter; who has the columns elsewhere overrides it.

        Args:
            queries: (queries, dim) float32, of unit norm where the metric is cosine.
            count: hits wanted; fewer come where fewer vectors pass.
            where: the filter.
            columns: what it can name, of the rows.

        Raises:
            SearchError: it names a column that is not there.
        """
        return self.search(queries, count, where.mask(columns))
