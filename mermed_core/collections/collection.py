"""A collection in memory: cases as columns, their unit vectors, the search engine, the map and pictures."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, Self

import numpy as np
import pandas as pd

from mermed_core.collections.case_columns import (
    CASE_COLUMNS,
    CHECKSUM,
    FRAME,
    LABEL,
    CaseColumns,
    FilterColumns,
)
from mermed_core.collections.map_file import MapData
from mermed_core.collections.pictures import Pictures, Wanted
from mermed_core.collections.projection import place
from mermed_core.collections.sources import SourceFacts
from mermed_core.data.validation import BY_MODEL, FILE, TOLD_BY
from mermed_core.errors import CollectionError
from mermed_core.records import Case, MapPoint, Neighbour
from mermed_core.search.engine import SearchEngine
from mermed_core.search.filters import Column, Filter
from mermed_core.search.quantised import StoredVectors

__all__ = [
    "CASE_COLUMNS",
    "CHECKSUM",
    "FRAME",
    "LABEL",
    "Collection",
    "Description",
    "Neighbours",
    "filter_columns",
    "filter_masks",
]

_CHECKED = ("source", "modality", LABEL)  # what people filter by, so that an index is checked under it
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
        fingerprint: of the model and the retrieval space that made the vectors.
        sources: what is known of the data sets that the cases come from, by source.
        encoder: which vectors they are where no model of this program made them; "" where one did.
    """

    name: str
    text: str
    synthetic: bool
    fingerprint: str
    sources: Mapping[str, SourceFacts] = field(default_factory=dict)
    encoder: str = ""


class Thumbnails(Protocol):
    """JPEG bytes by position, such as a list or a column of a table that is decoded on demand."""

    def __len__(self) -> int: ...
    def __getitem__(self, position: int, /) -> bytes: ...


class Neighbours(tuple[Neighbour, ...]):
    """Cases that a search found, most similar first.

    Attributes:
        exact: whether no more similar case can have been missed.
    """

    exact: bool

    def __new__(cls, found: Iterable[Neighbour], *, exact: bool) -> Self:
        """Takes the cases in order."""
        self = super().__new__(cls, found)
        self.exact = exact
        return self


def filter_columns(records: pd.DataFrame) -> Mapping[str, Column]:
    """Returns what a filter can name: every column of the records, the labels under the name "label"."""
    return FilterColumns(CaseColumns.of(records))


def filter_masks(columns: Mapping[str, Column]) -> Iterator[np.ndarray]:
    """Yields the mask (cases,) of each source, modality and label, for the check of a search index."""
    for name in _CHECKED:
        for value in columns[name].values:
            yield columns[name].contains([value])


class Collection:
    """A loaded collection; row i of every part is case i. Thread-safe.

    Attributes:
        name: short name for people.
        description: what it holds.
        synthetic: whether its images are drawn rather than of patients.
        fingerprint: of the model and the retrieval space that made the vectors.
        sources: what is known of the data sets that the cases come from, by source.
        encoder: which vectors they are where no model of this program made them, so that only cases can be
            compared with each other; "" where one did.
        cases: the records, column by column: `CASE_COLUMNS` (labels is a list of names) and any further ones,
            of which `file`, `frame` and `checksum` say which picture is the case's.
        vectors: (cases, dim) float32, unit norm, in the space in which images are compared; indexed like an
            array, and decoded where it is indexed.
        coordinates: (cases, 2) float32, the map.
        map: the map, with its further columns.
        engine: searches the vectors.
        has_pictures: whether there are pictures of cases: its own, or places where they can be had.
        state: changes with the cases and their vectors; "" where no folder holds them.
    """

    def __init__(
        self,
        description: Description,
        records: pd.DataFrame | CaseColumns,
        vectors: np.ndarray | StoredVectors,
        coordinates: np.ndarray | MapData,
        thumbnails: Thumbnails | None,
        engine: SearchEngine,
        *,
        pictures: Pictures | None = None,
        state: str = "",
    ) -> None:
        self.name = description.name
        self.description = description.text
        self.synthetic = description.synthetic
        self.fingerprint = description.fingerprint
        self.sources = description.sources
        self.encoder = description.encoder
        self.state = state
        self.cases = records if isinstance(records, CaseColumns) else CaseColumns.of(records)
        self.vectors = vectors
        self.map = coordinates if isinstance(coordinates, MapData) else MapData.computed(coordinates)
        self.coordinates = self.map.coordinates
        self.engine = engine
        self._thumbnails = thumbnails
        self._pictures = pictures
        self.has_pictures = thumbnails is not None or pictures is not None
        if missing := [column for column in CASE_COLUMNS if column not in self.cases]:
            raise CollectionError(f"The records of '{self.name}' have no column '{missing[0]}'.")
        lengths = {len(part) for part in (self.cases, vectors, self.map, engine)}
        lengths |= set() if thumbnails is None else {len(thumbnails)}
        if len(lengths) != 1:
            raise CollectionError(
                f"The parts of the collection '{self.name}' differ in length; build it again."
            )

    def __len__(self) -> int:
        """Returns the number of cases."""
        return len(self.cases)

    def renew(self, other: "Collection") -> None:
        """Reads the same cases from where another collection reads them; its own files may be gone then."""
        self.__dict__ = other.__dict__  # in one step

    def release(self) -> None:
        """Lets go of records, vectors and pictures, whoever holds the collection; it is of no use then."""
        vars(self).clear()

    @property
    def foreign(self) -> str:
        """Why no image can be compared with the cases, as a sentence; "" where a model made their vectors."""
        if not self.encoder:
            return ""
        return (
            f"The vectors of “{self.name}” were made elsewhere ({self.encoder}), so that its cases can be "
            "compared with each other, but no image with them."
        )

    @property
    def records(self) -> pd.DataFrame:
        """A row a case, indexed 0..n-1, with every column of `cases`; made when it is first wanted."""
        return self.cases.frame

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """What a filter can name; see `filter_columns`."""
        return FilterColumns(self.cases)

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

    def position(self, case_id: str) -> int:
        """Returns the row of a case.

        Raises:
            CollectionError: the collection has no such case.
        """
        rows = self.cases.rows_with("case_id", case_id)
        if not len(rows):
            raise CollectionError(f"The collection '{self.name}' has no case '{case_id}'.")
        return int(rows[0])

    def case(self, case_id: str) -> Case:
        """Returns a case by its id; raises CollectionError where there is none."""
        return self.cases_at([self.position(case_id)])[0]

    def cases_at(self, positions: Sequence[int] | np.ndarray) -> tuple[Case, ...]:
        """Returns the cases in some rows."""
        rows = np.asarray(positions, np.int64)
        names = [*CASE_COLUMNS, FILE, TOLD_BY]
        nothing = [""] * len(rows)
        columns = [self.cases[name].iloc[rows] if name in self.cases else nothing for name in names]
        return tuple(
            Case(
                name,
                kind,
                tuple(labels if labels is not None else ()),
                source,
                group,
                split,
                file,
                by == BY_MODEL,
            )
            for name, kind, labels, source, group, split, file, by in zip(*columns, strict=True)
        )

    def source(self, name: str) -> SourceFacts:
        """Returns what is known of a data set; the title of one that has none is its name."""
        facts = self.sources.get(name, SourceFacts())
        return facts if facts.title else replace(facts, title=name)

    @cached_property
    def label_names(self) -> dict[str, str]:
        """What labels are called for people, by label; those of which no data set says it are not in it."""
        names: dict[str, str] = {}
        for facts in self.sources.values():
            names = {**facts.names, **names}
        return names

    @cached_property
    def own_labels(self) -> frozenset[str]:
        """The labels without a name that occur in no data set of which anything is known: one's own words."""
        if self.synthetic:
            return frozenset()
        labels, sources = self.columns[LABEL], self.columns["source"]
        known = sources.contains([name for name in sources.values if name in self.sources])
        unnamed = (label for label in labels.values if label not in self.label_names)
        return frozenset(str(label) for label in unnamed if not (labels.contains([label]) & known).any())

    def thumbnail(self, case_id: str) -> bytes | None:
        """Returns a case's picture as JPEG bytes, longest side at most `THUMBNAIL_SIDE` px, if any.

        Raises:
            CollectionError: the collection has no such case.
        """
        return self.thumbnail_at(self.position(case_id))

    def thumbnail_at(self, position: int) -> bytes | None:
        """Returns the picture of the case in a row, see `thumbnail`."""
        if self._thumbnails is not None and (own := bytes(self._thumbnails[position])):
            return own
        wanted = self._wanted(position)
        return None if self._pictures is None or wanted is None else self._pictures.thumbnail(wanted)

    def picture(self, case_id: str) -> bytes | None:
        """Returns a case's picture as the bytes of an image file, as large as it can be had, if any.

        From a place of pictures it is at most 2048 px long; the collection's own is its thumbnail.

        Raises:
            CollectionError: the collection has no such case.
        """
        position = self.position(case_id)
        wanted = self._wanted(position)
        whole = None if self._pictures is None or wanted is None else self._pictures.whole(wanted)
        return self.thumbnail_at(position) if whole is None else whole

    def _wanted(self, position: int) -> Wanted | None:
        """Returns which picture a case has, None where the collection does not say it."""
        known = {
            name: self.cases[name].iloc[position]
            for name in ("case_id", FILE, FRAME, CHECKSUM)
            if name in self.cases
        }
        if not known.get(CHECKSUM):
            return None
        return Wanted(known["case_id"], known.get(FILE, ""), int(known.get(FRAME, 0)), known[CHECKSUM])

    def nearest(
        self, vector: np.ndarray, count: int, *, where: Filter | None = None, without: Case | None = None
    ) -> Neighbours:
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
        own = np.empty(0, np.int64) if without is None else self._group_of(without)
        # The engine need not know about the group: of so many more hits enough are left without it.
        wanted = count + len(own)
        if where:
            hits = self.engine.search_where(vector[None], wanted, where, self.columns)
        else:
            hits = self.engine.search(vector[None], wanted)
        others = np.flatnonzero(~np.isin(hits.positions[0], own))[:count]
        cases = self.cases_at(hits.positions[0, others])
        found = zip(cases, hits.values[0, others], strict=True)
        return Neighbours((Neighbour(case, float(value)) for case, value in found), exact=hits.exact)

    def _group_of(self, case: Case) -> np.ndarray:
        """Returns the positions of the cases of a case's group, itself among them."""
        rows = self.cases.rows_with("group", case.group)
        return rows[(self.cases["source"].iloc[rows] == case.source).to_numpy(bool)]

    def place(self, vector: np.ndarray) -> MapPoint:
        """Returns where a unit vector (dim,) falls on the map."""
        similarities, positions = self.engine.search(vector[None], _PLACING_NEIGHBOURS)
        return place(similarities[0], self.coordinates[positions[0]])
