"""The nearest cases of every case: searched once, read by every check."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.watch import Watch

NEIGHBOURS = 50
_BLOCK = 1024  # queries searched together
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
        """Searches a collection's own cases.

        Args:
            collection: whose engine is asked.
            count: neighbours of a case.
            watch: is told of the progress.
        """
        cases, wanted = len(collection), min(count, len(collection) - 1)
        positions = np.full((cases, max(wanted, 0)), -1, np.int64)
        similarities = np.full(positions.shape, -1, np.float32)
        watch = watch or Watch()
        watch.begin("nearest cases", cases)
        for start in range(0, cases if wanted > 0 else 0, _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, cases))
            values, found = collection.engine.search(collection.vectors[rows], wanted + 1)
            positions[rows], similarities[rows] = without_itself(rows, found, values)
            watch.advance(len(rows))
        return cls(positions, similarities, patients(collection.records))

    @property
    def count(self) -> int:
        """Neighbours of a case."""
        return self.positions.shape[1]

    def others(self) -> np.ndarray:
        """Returns a mask (cases, neighbours) of the neighbours that are of another patient."""
        return (self.positions >= 0) & (self.patients[self.positions] != self.patients[:, None])

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
