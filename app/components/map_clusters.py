"""The clusters of a map: the column of each level for its legend, and names and outlines to draw over it."""

import threading
from dataclasses import dataclass

import numpy as np
from skimage.filters import gaussian
from skimage.measure import approximate_polygon, find_contours

from mermed_core.collections.cluster_names import labels_of_known, name_clusters
from mermed_core.collections.clusters import cluster_levels
from mermed_core.collections.collection import Collection

from ..texts import cluster_text

SPAN = 65535  # places are 16 bits on each axis
_CELLS = 96  # of the grid on which densities are taken, on each side
_BLUR = 1.2  # cells
_WITHIN = 0.85  # share of a cluster's cases that its outline holds
_TOLERANCE = 0.4  # cells by which an outline may be simplified


@dataclass(frozen=True)
class ClusterMark:
    """A cluster as the map shows it, in numbers from 0 to `SPAN`.

    Attributes:
        name: for people.
        at: x and y of where its cases lie densest.
        count: cases.
        outlines: closed lines x, y, x, y, … around most of its cases.
    """

    name: str
    at: tuple[int, int]
    count: int
    outlines: list[list[int]]

    def to_dict(self) -> dict[str, object]:
        """Returns plain values for the script of the map."""
        return {"name": self.name, "at": list(self.at), "count": self.count, "outlines": self.outlines}


class MapClusters:
    """The clusters of a collection's map at each level, from coarse to fine. Thread-safe.

    Attributes:
        columns: the names of the levels, as columns that the map can be coloured by.
    """

    def __init__(self, collection: Collection, known: Collection | None = None) -> None:
        """Takes the collection and, where its cases have no labels, others whose labels name its clusters."""
        self._collection = collection
        self._known = known
        levels = cluster_levels(collection.map.columns)
        self._stored = dict(zip(cluster_text.level_names(len(levels)), levels, strict=True))
        self._names: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the levels."""
        return tuple(self._stored)

    def member(self, column: str) -> np.ndarray:
        """Returns the number of each case's cluster (cases,)."""
        return np.asarray(self._collection.map.columns[self._stored[column]])

    def names(self, column: str) -> list[str]:
        """Returns what the clusters of a level are called, in the order of their numbers."""
        with self._lock:
            if column not in self._names:
                member = self.member(column)
                known = self._known
                near = labels_of_known(member, self._collection, known) if known is not None else ()
                found = name_clusters(member, self._collection.columns, near)
                self._names[column] = [cluster_text.cluster_name(self._collection, name) for name in found]
            return self._names[column]

    def marks(self, column: str, places: np.ndarray) -> list[ClusterMark]:
        """Returns what is drawn over the map for a level.

        Args:
            column: the level.
            places: (cases, 2) of the cases, 0..`SPAN`.
        """
        names, member = self.names(column), self.member(column)
        order = np.argsort(member, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(member, minlength=len(names)))[:-1])
        return [_mark(name, places[rows]) for name, rows in zip(names, parts, strict=True) if len(rows)]


def _mark(name: str, places: np.ndarray) -> ClusterMark:
    cells = (places.astype(np.int64) * _CELLS // (SPAN + 1)).T
    counts = np.zeros((_CELLS + 2, _CELLS + 2))  # with an empty edge, so that every outline closes
    np.add.at(counts, (cells[0] + 1, cells[1] + 1), 1)
    density = gaussian(counts, _BLUR)
    densest = np.unravel_index(density.argmax(), density.shape)
    at = (float(index) - 0.5 for index in densest)
    lines = []
    for line in find_contours(density, _level(density, counts)):
        line = approximate_polygon(line, _TOLERANCE)
        if len(line) > 3:
            lines.append(_numbers(line).ravel().tolist())
    x, y = (round(min(max(value / _CELLS, 0), 1) * SPAN) for value in at)
    return ClusterMark(name, (x, y), len(places), lines)


def _level(density: np.ndarray, counts: np.ndarray) -> float:
    """Returns the density that so many cases lie above as an outline is to hold."""
    order = np.argsort(-density, axis=None)
    inside = np.cumsum(counts.ravel()[order])
    return float(density.ravel()[order[np.searchsorted(inside, _WITHIN * inside[-1])]]) * 0.999


def _numbers(line: np.ndarray) -> np.ndarray:
    return np.clip((line - 0.5) / _CELLS * SPAN, 0, SPAN).round().astype(int)
