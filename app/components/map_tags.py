"""The tags of the cases as a column of the map, and which points have a tag or a note."""

from collections.abc import Callable, Iterable
from functools import cached_property

import numpy as np
import pandas as pd

from mermed_core.collections.annotations import Annotations
from mermed_core.collections.collection import Collection

TAGS = "tags"  # the column of the map
ROW_TAGS, ROW_NOTE = "mm_tags", "mm_note"  # of a case, in its row beside what its record holds
_BETWEEN = " | "  # tags of one case; no tag has a bar


class MapTags:
    """What is written beside a collection, by the position of its cases. Thread-safe.

    Args:
        collection: whose map it is.
        written: returns the tags and notes, the same object as long as they are the same; None where nobody
            writes and nothing is written.
    """

    def __init__(self, collection: Collection, written: Callable[[], Annotations] | None) -> None:
        self._collection = collection
        self._written = written
        self.there = written is not None

    @property
    def columns(self) -> tuple[str, ...]:
        """What the map can be coloured by."""
        return (TAGS,) if self.there and TAGS not in self._collection.cases else ()

    def written(self) -> Annotations:
        """Returns the tags and notes."""
        return Annotations() if self._written is None else self._written()

    def counts(self) -> dict[str, int]:
        """Returns how many cases of the collection have each tag, by tag in order of the alphabet."""
        tags = sorted(self.written().tags.items())
        return {tag: count for tag, cases in tags if (count := len(self._positions(cases)))}

    def mask(self, cases: Iterable[str]) -> np.ndarray:
        """Returns a mask (cases,) of some ids; those that the collection has not are left out."""
        found = np.zeros(len(self._collection), bool)
        found[self._positions(cases)] = True
        return found

    def named(self) -> tuple[np.ndarray, list[str]]:
        """Returns which name each case has (cases,), −1 for none, and the names: a case's tags are one."""
        joined = self.texts(ROW_TAGS)
        codes, names = pd.factorize(joined.replace("", None))
        return codes, [str(name) for name in names]

    def texts(self, name: str) -> pd.Series:
        """Returns the tags or the note of each case (cases,) as a text, "" for none."""
        texts = np.full(len(self._collection), "", object)
        of_case = self.written().notes if name == ROW_NOTE else self._joined()
        positions = self._ids.get_indexer(pd.Index(list(of_case), dtype=object))
        for text, position in zip(of_case.values(), positions, strict=True):
            if position >= 0:
                texts[position] = text
        return pd.Series(texts)

    def of_case(self, case_id: str) -> dict[str, str]:
        """Returns the tags and the note of a case, as its row has them."""
        written = self.written()
        return {ROW_TAGS: _BETWEEN.join(written.tags_of(case_id)), ROW_NOTE: written.notes.get(case_id, "")}

    def holding(self, word: str) -> np.ndarray:
        """Returns a mask (cases,) of the cases in whose tags or note a word in small letters occurs."""
        written = self.written()
        cases = [case for case, note in written.notes.items() if word in note.lower()]
        return self.mask(
            set(cases).union(*(each for tag, each in written.tags.items() if word in tag.lower()))
        )

    def _joined(self) -> dict[str, str]:
        """Returns the tags of each case that has any, as one text."""
        tags_of: dict[str, list[str]] = {}
        for tag, cases in sorted(self.written().tags.items()):
            for case in cases:
                tags_of.setdefault(case, []).append(tag)
        return {case: _BETWEEN.join(tags) for case, tags in tags_of.items()}

    def _positions(self, cases: Iterable[str]) -> np.ndarray:
        positions = self._ids.get_indexer(pd.Index(list(cases), dtype=object))
        return positions[positions >= 0]

    @cached_property
    def _ids(self) -> pd.Index:
        return pd.Index(self._collection.cases["case_id"].astype(object))
