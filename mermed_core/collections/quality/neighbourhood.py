"""The nearest cases of every case: searched once, read by every check."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.watch import Watch
from mermed_core.search.self_search import nearest_to_each

NEIGHBOURS = 50
# Cases up to which each is compared with all others; of more, some 3 % of the nearest are missed.
_EXACT = 50_000
# The ranks, counted from 0, whose mean similarity says how dense a case's surroundings are: far enough to lie
# behind copies of the case itself, near enough to be like it.
_SURROUNDINGS = slice(9, 30)


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """For every case the cases nearest to it, the nearest first, itself left out.

    Attributes:
        positions: (cases, neighbours) int64, −1 where there are not so many others.
        similarities: (cases, neighbours) float32, cosine, −1 beside a position of −1.
        patients: (cases,) int64, equal where source and group are: such cases are never independent.
    """

    positions: np.ndarray
    similarities: np.ndarray
    patients: np.ndarray

    @classmethod
    def of(cls, collection: Collection, *, count: int = NEIGHBOURS, watch: Watch | None = None) -> Self:
        """Compares a collection's cases with each other: 29,450 take seconds, a million minutes and 3 GB.

        Args:
            collection: whose vectors are compared, all decoded for as long as it takes.
            count: neighbours of a case.
            watch: is told of the progress.
        """
        watch = watch or Watch()
        watch.begin("nearest cases", 0)  # many are sorted into lists first, which is no part of the pace
        begun = False

        def advance(parts: int) -> None:
            nonlocal begun
            if not begun:
                watch.begin("nearest cases", len(collection))
            begun = True
            watch.advance(parts)

        vectors = np.ascontiguousarray(collection.vectors[:], np.float32)
        hits = nearest_to_each(vectors, count, exact_up_to=_EXACT, done=advance)
        return cls(hits.positions, hits.values, patients(collection.records))

    @property
    def count(self) -> int:
        """Neighbours of a case."""
        return self.positions.shape[1]

    def others(self, rows: slice = slice(None)) -> np.ndarray:
        """Returns a mask (rows, neighbours) of the neighbours of some cases that are of another patient."""
        positions = self.positions[rows]
        return (positions >= 0) & (self.patients[positions] != self.patients[rows, None])

    def surroundings(self) -> np.ndarray:
        """Returns (cases,) the mean similarity to the 10th to 30th neighbour; to the last one with fewer."""
        return surroundings(self.similarities)


def surroundings(similarities: np.ndarray) -> np.ndarray:
    """Returns (cases,) the mean of the 10th to 30th of similarities (cases, neighbours), highest first."""
    count = similarities.shape[1]
    if not count:
        return np.full(len(similarities), -1, np.float32)
    return similarities[:, min(_SURROUNDINGS.start, count - 1) : _SURROUNDINGS.stop].mean(axis=1)


def unique_pairs(neighbours: np.ndarray) -> np.ndarray:
    """Returns the pairs (pairs, 2), the lower first and each once, of every row with what it names.

    Args:
        neighbours: (rows, some) positions of rows; −1 names none.
    """
    first = np.repeat(np.arange(len(neighbours)), neighbours.shape[1])
    second = neighbours.reshape(-1)
    kept = second >= 0
    pairs = np.sort(np.column_stack([first[kept], second[kept]]), axis=1)
    codes = np.unique(pairs[:, 0] * len(neighbours) + pairs[:, 1])
    return np.column_stack([codes // max(len(neighbours), 1), codes % max(len(neighbours), 1)])


def patients(records: pd.DataFrame) -> np.ndarray:
    """Returns (cases,) numbers that are equal where source and group are; a case without a group is alone."""
    groups: Any = records["group"]
    own = groups.isna() | (groups == "")
    names = records["source"].astype(str) + "\0" + groups.where(~own, records["case_id"]).astype(str)
    return pd.factorize(names)[0]


def without_itself(rows: np.ndarray, found: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns found positions and values without each query's own, which copies of it may stand before."""
    itself = found == rows[:, None]
    itself[~itself.any(axis=1), -1] = True  # more exact copies than hits: the last one gives way
    shape = (len(rows), found.shape[1] - 1)
    return found[~itself].reshape(shape), values[~itself].reshape(shape)
