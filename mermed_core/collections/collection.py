"""A collection in memory: cases as columns, their unit vectors, the search engine, the map and thumbnails."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd

from mermed_core.collections.projection import place
from mermed_core.errors import CollectionError
from mermed_core.records import Case, MapPoint, Neighbour
from mermed_core.search.engine import SearchEngine
from mermed_core.search.filters import Column, Filter, ListColumn, ScalarColumn

CASE_COLUMNS = ("case_id", "modality", "labels", "source", "group", "split")
LABEL = "label"  # what the labels are called in a filter: a case passes if it has one of them
_SAMPLE = 200  # cases that the usual similarity is measured on; more would take seconds in a large collection
_FAR = 0.01  # share of the cases that lie farther from all others than is usual
_PLACING_NEIGHBOURS = 8


@dataclass(frozen=True)
class Description:
    """What a collection states about itself.

    Attributes:
        name: short name for people.
        text: one or two sentences: what it holds, under which licence.
        synthetic: whether its images are drawn rather than of patients.
        fingerprint: of the model that made the vectors.
    """

    name: str
    text: str
    synthetic: bool
    fingerprint: str


class Thumbnails(Protocol):
    """JPEG bytes by position, such as a list or a column of a table that is decoded on demand."""

    def __len__(self) -> int: ...
    def __getitem__(self, position: int, /) -> Any: ...


class Collection:
    """A loaded collection; row i of every part is case i. Thread-safe.

    Attributes:
        name: short name for people.
        description: what it holds.
        synthetic: whether its images are drawn rather than of patients.
        fingerprint: of the model that made the vectors.
        records: one row a case, indexed 0..n-1: `CASE_COLUMNS` (labels is a list of names) and any further
            columns.
        vectors: (cases, dim) float32, unit norm.
        coordinates: (cases, 2) float32, the map.
        engine: searches the vectors.
    """

    def __init__(
        self,
        description: Description,
        records: pd.DataFrame,
        vectors: np.ndarray,
        coordinates: np.ndarray,
        thumbnails: Thumbnails,
        engine: SearchEngine,
    ) -> None:
        self.name = description.name
        self.description = description.text
        self.synthetic = description.synthetic
        self.fingerprint = description.fingerprint
        self.records = records
        self.vectors = vectors
        self.coordinates = coordinates
        self.engine = engine
        self._thumbnails = thumbnails
        if missing := [column for column in CASE_COLUMNS if column not in records]:
            raise CollectionError(f"The records of '{self.name}' have no column '{missing[0]}'.")
        if not len(records) == len(vectors) == len(coordinates) == len(thumbnails) == len(engine):
            raise CollectionError(
                f"The parts of the collection '{self.name}' differ in length; build it again."
            )

    def __len__(self) -> int:
        """Returns the number of cases."""
        return len(self.records)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """What a filter can name: every column of the records, the labels under the name "label"."""
        columns: dict[str, Column] = {LABEL: ListColumn(self.records["labels"])}
        for name in self.records.columns:
            if name != "labels":
                columns[str(name)] = ScalarColumn(self.records[name])
        return columns

    def values(self, column: str) -> tuple[Hashable, ...]:
        """Returns the values that occur in a column, sorted; "label" stands for the labels.

        Raises:
            CollectionError: the collection has no such column.
        """
        if column not in self.columns:
            raise CollectionError(f"The collection '{self.name}' has no column '{column}'.")
        return self.columns[column].values

    @cached_property
    def usual_similarity(self) -> float:
        """The cosine similarity, −1..1, that 99 % of the cases reach with the case nearest to them.

        Measured on at most 200 cases spread evenly; −1 where no case has another one.
        """
        if len(self) < 2:
            return -1.0
        sample = np.unique(np.linspace(0, len(self) - 1, min(_SAMPLE, len(self))).astype(int))
        similarities, _ = self.engine.search(self.vectors[sample], 2)  # the first is the case itself
        return float(np.quantile(similarities[:, 1], _FAR))

    @cached_property
    def _positions(self) -> pd.Index:
        return pd.Index(self.records["case_id"])

    def position(self, case_id: str) -> int:
        """Returns the row of a case.

        Raises:
            CollectionError: the collection has no such case.
        """
        try:
            return int(self._positions.get_loc(case_id))  # pyright: ignore[reportArgumentType]
        except KeyError as error:
            raise CollectionError(f"The collection '{self.name}' has no case '{case_id}'.") from error

    def case(self, case_id: str) -> Case:
        """Returns a case by its id; raises CollectionError where there is none."""
        return self.cases_at([self.position(case_id)])[0]

    def cases_at(self, positions: Sequence[int] | np.ndarray) -> tuple[Case, ...]:
        """Returns the cases in some rows."""
        rows = self.records.loc[np.asarray(positions, np.int64), list(CASE_COLUMNS)]
        return tuple(
            Case(case_id, modality, tuple(labels if labels is not None else ()), source, group, split)
            for case_id, modality, labels, source, group, split in rows.itertuples(index=False)
        )

    def thumbnail(self, case_id: str) -> bytes:
        """Returns a case's image as JPEG bytes, longest side at most `embedder.THUMBNAIL_SIDE` px."""
        return bytes(self._thumbnails[self.position(case_id)])

    def nearest(
        self, vector: np.ndarray, count: int, *, where: Filter | None = None, without: Case | None = None
    ) -> tuple[Neighbour, ...]:
        """Finds the cases most similar to a unit vector (dim,), most similar first.

        Args:
            vector: of the query.
            count: how many; fewer come where fewer pass.
            where: which cases may be found.
            without: a case that is left out with all cases of its group, such as the query itself. A group is
                its source's own: patient 12 of another data set is another patient.

        Raises:
            SearchError: the filter names a column that is not there.
        """
        allowed = where.mask(self.columns) if where else None
        own = np.zeros(len(self), bool)
        if without is not None:
            own = self.columns["source"].contains([without.source])
            own &= self.columns["group"].contains([without.group])
        # The engine need not know about the group: of so many more hits enough are left without it.
        similarities, positions = self.engine.search(vector[None], count + int(own.sum()), allowed)
        others = np.flatnonzero(~own[positions[0]])[:count]
        cases = self.cases_at(positions[0, others])
        return tuple(
            Neighbour(case, float(similarity))
            for case, similarity in zip(cases, similarities[0, others], strict=True)
        )

    def place(self, vector: np.ndarray) -> MapPoint:
        """Returns where a unit vector (dim,) falls on the map."""
        similarities, positions = self.engine.search(vector[None], _PLACING_NEIGHBOURS)
        return place(similarities[0], self.coordinates[positions[0]])
