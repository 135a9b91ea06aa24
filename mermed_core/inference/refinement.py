"""Refinement: cases marked as good or bad answers move what is searched with (Rocchio 1971)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mermed_core.collections.collection import Collection, Neighbours
from mermed_core.records import Case
from mermed_core.search.filters import Filter

# How much the middle of the good and of the bad cases counts beside the query; measured in
# docs/experiments.md ("marking similar cases").
_GOOD, _BAD = 1.0, 0.75


@dataclass(frozen=True)
class Marks:
    """Which cases somebody called good or bad answers.

    Attributes:
        good: ids of cases to find more of.
        bad: ids of cases to find fewer of; they are not found themselves.
    """

    good: Sequence[str] = ()
    bad: Sequence[str] = ()

    def __bool__(self) -> bool:
        """Returns whether any case is marked."""
        return bool(self.good or self.bad)


NO_MARKS = Marks()


def refined(query: np.ndarray, good: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Returns the unit vector (dim,) float32 to search with instead of a query.

    Args:
        query: (dim,) unit vector.
        good: (cases, dim) vectors of good answers, may be none.
        bad: (cases, dim) vectors of bad ones, may be none.
    """
    moved = query.astype(np.float64)
    if len(good):
        moved = moved + _GOOD * good.mean(axis=0)
    if len(bad):
        moved = moved - _BAD * bad.mean(axis=0)
    length = float(np.linalg.norm(moved))
    if length < 1e-6:  # the marks say the opposite of the query
        return query
    return (moved / length).astype(np.float32)


def nearest_refined(
    collection: Collection,
    query: np.ndarray,
    count: int,
    marks: Marks,
    *,
    where: Filter | None = None,
    without: Case | None = None,
) -> Neighbours:
    """Finds the cases nearest to a query (dim,) that marks have moved; similarities are to the query itself.

    Args:
        collection: is searched.
        query: unit vector.
        count: how many.
        marks: of its cases.
        where: which cases may be found.
        without: a case that is left out with its group.

    Raises:
        CollectionError: a marked case does not exist.
    """
    good, bad = (
        np.array([collection.position(case_id) for case_id in ids], np.int64)
        for ids in (marks.good, marks.bad)
    )
    moved = refined(query, collection.vectors[good], collection.vectors[bad])
    found = collection.nearest(moved, count + len(bad), where=where, without=without)
    refused = set(marks.bad)
    kept = [hit for hit in found if hit.case.case_id not in refused][:count]
    positions = np.array([collection.position(hit.case.case_id) for hit in kept], np.int64)
    similarities = collection.vectors[positions] @ query
    return Neighbours(
        (replace(hit, similarity=float(value)) for hit, value in zip(kept, similarities, strict=True)),
        exact=found.exact,
    )
