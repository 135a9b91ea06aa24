"""The cases as the views of the map list them: rows by point, an order by column, a search in the records."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from mermed_core.collections.collection import CASE_COLUMNS, CHECKSUM, FRAME, LABEL
from mermed_core.collections.ordered_values import numbers
from mermed_core.data.validation import BY_MODEL, FILE, TOLD_BY

from ..texts import case_text
from ..texts.text import column_name, modality_name
from .map_columns import MapColumns
from .map_tags import ROW_NOTE, ROW_TAGS

CASE, MODALITY = "case", "modality_name"
_PLAIN = (("source", "source"), ("group", "group"), ("split", "split"), ("file", FILE))
_HIDDEN = (*CASE_COLUMNS, FILE, FRAME, CHECKSUM)


class CaseRows:
    """The rows of a collection's cases for people; a point is a case's place in the map's drawing order.

    Attributes:
        columns: of the map.
        titles: what the columns of a row are called for people, in the order in which they are listed.
    """

    def __init__(self, columns: MapColumns) -> None:
        self.columns = columns
        self._collection = columns.collection
        records = self._collection.records
        self._plain = dict(_PLAIN) | {str(name): str(name) for name in records if name not in _HIDDEN}
        self._plain = {name: column for name, column in self._plain.items() if self._tells(column)}
        names = {CASE: CASE, LABEL: LABEL, MODALITY: "modality", **{name: name for name in self._plain}}
        self._written = {ROW_TAGS: "tags", ROW_NOTE: "note"} if columns.tags.there else {}
        names |= self._written
        self.titles = {name: column_name(title) for name, title in names.items()}

    def rows(self, points: Sequence[object]) -> list[dict[str, str]]:
        """Returns what is known of some points; what is no point has an empty row.

        Args:
            points: as a browser names them.
        """
        known = [point for point in points if type(point) is int and 0 <= point < len(self._collection)]
        found: dict[object, dict[str, str]] = {}
        found.update(zip(known, self._rows(self.columns.order[known]), strict=True))
        return [found.get(point, {}) for point in points]

    def order(self, name: str) -> np.ndarray:
        """Returns all points (cases,) sorted by a column of `titles`, missing values last.

        Raises:
            KeyError: there is no such column.
        """
        rank = np.arange(len(self._collection)) if name == CASE else self._ranks(name)
        return np.argsort(rank[self.columns.order], kind="stable").astype("<u4")

    def search(self, text: str) -> np.ndarray:
        """Returns a mask (cases,) in drawing order of the cases whose record holds every word of a text.

        Capitals make no difference. Words are looked for in every column that tells what a case is.
        """
        found = np.ones(len(self._collection), bool)
        for word in text.lower().split():
            parts = [part.str.contains(word, regex=False) for part in self._searched]
            found &= np.logical_or.reduce([*parts, self.columns.tags.holding(word)])
        return found[self.columns.order]

    def _tells(self, column: str) -> bool:
        """Returns whether a column says anything of a case that its id does not say."""
        records = self._collection.records
        if column not in records:
            return False
        values = records[column]
        if column == "group" and values.equals(records["case_id"]):
            return False  # nobody said which images are of one patient
        return any(value != "" for value in values.dropna())

    def _rows(self, positions: np.ndarray) -> Iterator[dict[str, str]]:
        records = self._collection.records.iloc[positions]
        for row in records.to_dict("records"):
            labels = row["labels"]
            written = self.columns.tags.of_case(str(row["case_id"])) if self._written else {}
            yield {
                CASE: str(row["case_id"]),
                LABEL: case_text.labels(self._collection, tuple(labels if labels is not None else ())),
                "modality": str(row["modality"]),
                MODALITY: case_text.modality_said(row["modality"], row.get(TOLD_BY) == BY_MODEL),
                **{name: self._value(name, row[column]) for name, column in self._plain.items()},
                **{name: written[name] for name in self._written},
            }

    def _value(self, name: str, value: object) -> str:
        if pd.isna(value):  # pyright: ignore[reportArgumentType, reportCallIssue]
            return ""
        return case_text.value_name(self._collection, name, value)

    def _ranks(self, name: str) -> np.ndarray:
        if name == LABEL:
            values = self._labels
        elif name in self._written:
            values = self.columns.tags.texts(name).replace("", None)
        elif name == MODALITY:
            values = self._collection.records["modality"].map(self._modalities)
        else:
            written = self._collection.records[self._plain[name]]
            values = written if (known := numbers(written)) is None else known
        return values.rank(method="first", na_option="bottom").to_numpy()

    @cached_property
    def _sources(self) -> list[str]:
        return [str(name) for name in self._collection.records["source"].unique()]

    def _names_of(self, source: str) -> tuple[str, str, str]:
        facts = self._collection.source(source)
        return source, facts.title, case_text.source_title(facts)

    @cached_property
    def _modalities(self) -> dict[str, str]:
        return {str(key): modality_name(str(key)) for key in self._collection.records["modality"].unique()}

    @cached_property
    def _labels(self) -> pd.Series:
        """What the labels of each case are called for people."""
        written = {}
        named = []
        for labels in self._collection.records["labels"]:
            key = () if labels is None else tuple(labels)
            if key not in written:
                written[key] = case_text.labels(self._collection, key)
            named.append(written[key])
        return pd.Series(named, self._collection.records.index, dtype=str)

    @cached_property
    def _searched(self) -> list[pd.Series]:
        records = self._collection.records
        keys = pd.Series([" ".join(names if names is not None else ()) for names in records["labels"]])
        titles = records["source"].map({name: " ".join(self._names_of(name)) for name in self._sources})
        modalities = records["modality"].map({key: f"{key} {name}" for key, name in self._modalities.items()})
        plain = [records[column] for name, column in self._plain.items() if name != "source"]
        parts = [records["case_id"], self._labels, keys, titles, modalities, *plain]
        return [part.astype("string").fillna("").str.lower() for part in parts]
