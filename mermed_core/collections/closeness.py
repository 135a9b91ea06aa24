"""What a similarity means in a collection: how near cases of one label lie, how often near ones share it."""

from dataclasses import dataclass

import numpy as np

from mermed_core.collections.collection import Collection
from mermed_core.records import Case

# Cases that are compared; what is read from them are shares, which hundreds are enough for.
_SAMPLE = 300
_NEIGHBOURS = 30
_WINDOW = 200  # near pairs whose similarity is about the same
_FEWEST = 50  # pairs; of fewer nothing is said


@dataclass(frozen=True)
class Closeness:
    """Similarities between cases of different patients, some of all in the collection.

    Attributes:
        alike: (pairs,) of cases of one modality with a label in common, rising.
        near: (others,) of cases with those nearest to them, rising.
        shared: (others,) bool, which of the near ones have modality and a label in common.
    """

    alike: np.ndarray
    near: np.ndarray
    shared: np.ndarray

    @classmethod
    def of(cls, collection: Collection) -> "Closeness":
        """Measures a collection on cases spread evenly over it."""
        count = min(_SAMPLE, len(collection))
        sample = np.unique(np.linspace(0, max(len(collection) - 1, 0), count).astype(np.int64))
        if not len(sample):
            return cls(np.empty(0), np.empty(0), np.empty(0, bool))
        cases, vectors = collection.cases_at(sample), np.asarray(collection.vectors[sample])
        products = vectors @ vectors.T
        pairs = [
            products[i, j]
            for i in range(len(cases))
            for j in range(i)
            if _apart(cases[i], cases[j]) and _share(cases[i], cases[j])
        ]
        values, positions = collection.engine.search(vectors, min(_NEIGHBOURS, len(collection)))
        found = collection.cases_at(positions.ravel())
        near, shared = [], []
        for number, other in enumerate(found):
            case = cases[number // positions.shape[1]]
            if case.labels and other.labels and _apart(case, other):
                near.append(values.ravel()[number])
                shared.append(_share(case, other))
        order = np.argsort(near, kind="stable")
        return cls(np.sort(pairs), np.asarray(near)[order], np.asarray(shared, bool)[order])

    def closer_than(self, similarity: float) -> float | None:
        """Returns the share of pairs with one label that are less similar, 0..1; None where there are few."""
        if len(self.alike) < _FEWEST:
            return None
        return float(np.searchsorted(self.alike, similarity)) / len(self.alike)

    def sharing(self, similarity: float) -> float | None:
        """Returns the share of near pairs about as similar that have a label in common, 0..1.

        None where there are few pairs, or all of them are more similar.
        """
        if len(self.near) < _FEWEST or similarity < self.near[0]:
            return None
        half = min(_WINDOW, len(self.near)) // 2
        middle = int(np.searchsorted(self.near, similarity))
        start = min(max(middle - half, 0), len(self.near) - 2 * half)
        return float(self.shared[start : start + 2 * half].mean())


def _apart(one: Case, other: Case) -> bool:
    """Returns whether two cases are of different patients; a group is its source's own."""
    return (one.source, one.group) != (other.source, other.group)


def _share(one: Case, other: Case) -> bool:
    return one.modality == other.modality and not set(one.labels).isdisjoint(other.labels)
