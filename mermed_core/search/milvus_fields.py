"""What a row is on a Milvus server: its id, its fields, and a filter as an expression over them.

Nothing of a row is written there but its vector and the columns to filter by. Ids and digests are hashes, so
that both sides can be compared without sending either.
"""

import hashlib
import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mermed_core.errors import SearchServerError
from mermed_core.search.filters import Filter

ID, DIGEST, VECTOR = "id", "digest", "vector"
NOTHING = f"{ID} < 0"  # what no row passes
LONGEST = 1024  # bytes of a text; a longer one is stored as its hash
MOST_LABELS = 4096  # values in a list of one row, Milvus's own limit
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_MARK = "#"  # begins whatever is not simply a text; alone it stands for a missing value


class RowIds:
    """The id of every row on the server, and back: 63 bits of a hash of the row's name.

    Attributes:
        ids: (rows,) int64.

    Raises:
        SearchServerError: two rows have one name, or two names one id, which happens to one of twenty
            collections of a billion rows.
    """

    def __init__(self, names: Sequence[str] | np.ndarray) -> None:
        self.ids = hashes(names)
        self._order = np.argsort(self.ids, kind="stable")
        self._sorted = self.ids[self._order]
        if len(same := np.flatnonzero(self._sorted[1:] == self._sorted[:-1])):
            one, other = (names[row] for row in self._order[same[0] : same[0] + 2])
            raise SearchServerError(
                f"The cases '{one}' and '{other}' would have one id on the search server; rename one of them."
            )

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.ids)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Returns the rows (some,) of ids (some,), −1 where there is none."""
        if not len(self.ids):
            return np.full(len(ids), -1)
        places = np.minimum(np.searchsorted(self._sorted, ids), len(self.ids) - 1)
        return np.where(self._sorted[places] == ids, self._order[places], -1)

    @cached_property
    def checksum(self) -> str:
        """What all ids together are known by, in whatever order."""
        return hashlib.sha256(self._sorted.tobytes()).hexdigest()


@dataclass(frozen=True)
class Fields:
    """The columns that rows can be filtered by on the server.

    Attributes:
        lists: whether a row has any number of values in it, by column.
    """

    lists: Mapping[str, bool]

    def expression(self, where: Filter) -> str | None:
        """Returns a filter in Milvus's language, None where it names a column that is not here."""
        if where.allowed.keys() - self.lists.keys():
            return None
        parts = []
        for column, wanted in where.allowed.items():
            texts = [text_of(value) for value in wanted if not _missing(value)]
            if not texts:
                return NOTHING  # a missing value matches nothing
            field, values = field_of(column), json.dumps(texts, ensure_ascii=False)
            parts.append(
                f"array_contains_any({field}, {values})" if self.lists[column] else f"{field} in {values}"
            )
        return " and ".join(parts)


def fields_of(columns: Mapping[str, pd.Series]) -> Fields:
    """Returns the fields of columns; one that holds lists has any number of values a row."""
    return Fields({name: bool(column.map(_is_list).any()) for name, column in columns.items()})


def field_of(column: str) -> str:
    """Returns what a column is called on the server: its name where that is plain, else a hash of it."""
    digest = hashlib.sha256(column.encode()).hexdigest()[:24]
    return f"by_{column}" if _PLAIN.fullmatch(column) else f"as_{digest}"


def text_of(value: Hashable) -> str:
    """Returns a value as the server holds it: different values of a column never share a text."""
    if isinstance(value, np.generic):
        value = value.item()
    if _missing(value):
        return _MARK
    if isinstance(value, str):
        text = _MARK + value if value.startswith(_MARK) else value
    elif isinstance(value, int | float):  # True, 1 and 1.0 are one value, as they are in Python
        whole = isinstance(value, int) or value.is_integer()
        text = _MARK + (str(int(value)) if whole else repr(value))
    else:
        text = f"{_MARK}{type(value).__name__} {value}"
    long = len(text.encode()) > LONGEST
    return f"{_MARK}sha256 {hashlib.sha256(text.encode()).hexdigest()}" if long else text


def values_of(column: pd.Series, is_list: bool) -> list[Any]:
    """Returns the values of some rows as the server holds them."""
    if not is_list:
        return [text_of(value) for value in column.tolist()]
    return [sorted({text_of(each) for each in value}) if _is_list(value) else [] for value in column]


def digests(vectors: np.ndarray, values: Mapping[str, list[Any]]) -> np.ndarray:
    """Returns a hash (rows,) int64 of all that the server holds of each row.

    Args:
        vectors: (rows, dim) float32.
        values: of each column, as `values_of` gives them.
    """
    with np.errstate(over="ignore"):
        words = np.ascontiguousarray(vectors, np.float32).view(np.uint32).astype(np.uint64)
        total = _mixed(words @ _odd(words.shape[1], "vector"))
        for name, texts in values.items():
            joined = ["\0".join(text) + "\0" if isinstance(text, list) else text for text in texts]
            total = _mixed(total * _odd(1, name) + hashes(joined).view(np.uint64))
    return total.view(np.int64)


def hashes(texts: Sequence[str] | np.ndarray) -> np.ndarray:
    """Returns the upper 63 bits of a hash of each text, (texts,) int64, the same on every machine."""
    found = pd.util.hash_array(np.asarray(texts, object), categorize=False)
    return (found >> np.uint64(1)).view(np.int64)


def id_list(ids: Iterable[int], *, barred: bool = False) -> str:
    """Returns an expression that rows of some ids pass, or all others; "" where all rows do."""
    listed = ",".join(map(str, ids))
    if barred:
        return f"{ID} not in [{listed}]" if listed else ""
    return f"{ID} in [{listed}]" if listed else NOTHING


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _odd(count: int, seed: str) -> np.ndarray:
    """Returns odd numbers (count,) uint64 that a seed decides."""
    generator = np.random.default_rng(list(seed.encode()))
    return generator.integers(0, 2**64, count, np.uint64, endpoint=False) | np.uint64(1)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Lets every bit (rows,) uint64 depend on every other, as splitmix64 does."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return numbers ^ (numbers >> np.uint64(31))
