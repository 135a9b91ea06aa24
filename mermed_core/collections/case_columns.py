"""The records of cases as columns, each read when it is first wanted; there is no object for a case."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from mermed_core.search.filters import Column, ListColumn, ScalarColumn

CASE_COLUMNS = ("case_id", "modality", "labels", "source", "group", "split")
CHECKSUM = "checksum"  # of a case's encoded image, as `pictures.picture_checksum` gives it
FRAME = "frame"  # which frame of its file a case is; 0 without the column
LABEL = "label"  # what the labels are called in a filter: a case passes if it has one of them
_BLOCK = 65_536  # texts that are objects at the same time


class CaseColumns:
    """One value a case in each of several columns, held as Arrow arrays. Thread-safe.

    Args:
        names: of the columns, in order.
        count: how many cases.
        read: reads a column, (cases,).
    """

    def __init__(self, names: Sequence[str], count: int, read: Callable[[str], pd.Series]) -> None:
        self.names = tuple(names)
        self._count = count
        self._read = read
        self._series: dict[str, pd.Series] = {}
        self._found: dict[str, _RowsOfText] = {}
        self._lock = threading.RLock()

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """Returns the columns of a table, indexed 0..n-1."""
        return cls([str(name) for name in frame], len(frame), lambda name: frame[name])

    def __len__(self) -> int:
        """Returns the number of cases."""
        return self._count

    def __contains__(self, name: object) -> bool:
        """Returns whether there is such a column."""
        return name in self.names

    def __getitem__(self, name: str) -> pd.Series:
        """Returns a column, indexed 0..n-1; raises KeyError where there is none."""
        with self._lock:
            if name not in self._series:
                if name not in self.names:
                    raise KeyError(name)
                self._series[name] = self._read(name)
            return self._series[name]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All columns as a table, which shares their memory."""
        return pd.DataFrame({name: self[name] for name in self.names}, copy=False)

    def rows_with(self, name: str, text: str) -> np.ndarray:
        """Returns the rows (some,), rising, whose text in a column is this one.

        The first search of a column sorts it by numbers made of its texts; later ones take microseconds.
        """
        with self._lock:
            if name not in self._found:
                self._found[name] = _RowsOfText(self[name])
            return self._found[name].rows(text)


class FilterColumns(Mapping[str, Column]):
    """What a filter can name: every column, the labels under the name "label"; each is made when wanted."""

    def __init__(self, columns: CaseColumns) -> None:
        self._columns = columns
        self._names = (LABEL, *(name for name in columns.names if name != "labels"))
        self._made: dict[str, Column] = {}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Column:
        """Returns a column; raises KeyError where there is none."""
        with self._lock:
            if name not in self._made:
                if name not in self._names:
                    raise KeyError(name)
                label = name == LABEL
                self._made[name] = (
                    ListColumn(self._columns["labels"]) if label else ScalarColumn(self._columns[name])
                )
            return self._made[name]

    def __contains__(self, name: object) -> bool:
        """Returns whether there is such a column, without making it."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Yields the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self._names)


class _RowsOfText:
    """Finds the rows of a text by a number of 64 bits that is made of it."""

    def __init__(self, column: pd.Series) -> None:
        self._column = column
        numbers = [_numbers(column.iloc[first : first + _BLOCK]) for first in range(0, len(column), _BLOCK)]
        all_numbers = np.concatenate([np.empty(0, np.uint64), *numbers])
        order = np.argsort(all_numbers, kind="stable")
        self._order = order.astype(np.uint32 if len(order) < 2**32 else np.int64)
        self._numbers = all_numbers[order]

    def rows(self, text: str) -> np.ndarray:
        """Returns the rows (some,) with a text, rising."""
        number = _numbers(pd.Series([text]))[0]
        first, end = (np.searchsorted(self._numbers, number, side=side) for side in ("left", "right"))
        rows = self._order[first:end].astype(np.int64)
        return rows[(self._column.iloc[rows] == text).to_numpy(bool)]  # two texts may share a number


def _numbers(texts: pd.Series) -> np.ndarray:
    return pd.util.hash_array(texts.to_numpy(object, na_value=""), categorize=False)


def arrow_series(column: pa.ChunkedArray) -> pd.Series:
    """Returns an Arrow column as pandas has it, without an object for each text or list."""

    def kept(kind: pa.DataType) -> Any:
        return pd.ArrowDtype(kind) if pa.types.is_list(kind) or pa.types.is_large_list(kind) else None

    return pa.table({"column": column}).to_pandas(types_mapper=kept)["column"]
