"""As much of pymilvus's client as is used here, in memory: its expressions happen to be Python's.

It lets what is sent and asked be tested where no server can be had; whether servers understand it is tested
with them.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

Row = dict[str, Any]


class StandIn:
    """Collections in memory, all vectors of which are compared."""

    def __init__(self) -> None:
        self._collections: dict[str, SimpleNamespace] = {}

    def has_collection(self, name: str) -> bool:
        return name in self._collections

    def create_schema(self, **_: Any) -> "Fields":
        return Fields()

    def create_collection(self, name: str, *, schema: "Fields", **_: Any) -> None:
        self._collections[name] = SimpleNamespace(fields=schema.fields, rows={}, properties={}, index={})

    def drop_collection(self, name: str) -> None:
        del self._collections[name]

    def describe_collection(self, name: str) -> Row:
        known = self._collections[name]
        return {"fields": known.fields, "properties": known.properties}

    def alter_collection_properties(self, name: str, properties: dict[str, str]) -> None:
        self._collections[name].properties.update(properties)

    def prepare_index_params(self) -> "Indexes":
        return Indexes()

    def create_index(self, name: str, index: "Indexes") -> None:
        self._collections[name].index = index.made

    def drop_index(self, name: str, _: str) -> None:
        self._collections[name].index = {}

    def list_indexes(self, name: str) -> list[str]:
        return list(self._collections[name].index)

    def describe_index(self, name: str, index: str) -> Row:
        return {**self._collections[name].index[index], "pending_index_rows": 0}

    def load_collection(self, name: str, timeout: float) -> None:
        assert timeout > 0
        assert self._collections[name].index

    def release_collection(self, name: str, timeout: float | None = None) -> None:
        assert name in self._collections
        assert timeout is None or timeout > 0

    flush = compact = release_collection

    def upsert(self, name: str, rows: list[Row]) -> None:
        known = self._collections[name]
        for row in rows:
            assert row.keys() == {field["name"] for field in known.fields}
            known.rows[row["id"]] = row

    def delete(self, name: str, *, filter: str) -> None:
        for row in self._passing(name, filter):
            del self._collections[name].rows[row["id"]]

    def query(self, name: str, *, filter: str, output_fields: list[str], **_: Any) -> list[Row]:
        assert output_fields == ["count(*)"]
        return [{"count(*)": len(self._passing(name, filter))}]

    def query_iterator(self, name: str, *, batch_size: int, **_: Any) -> SimpleNamespace:
        rows = self._passing(name, "")
        blocks = iter([rows[first : first + batch_size] for first in range(0, len(rows), batch_size)])
        return SimpleNamespace(next=lambda: next(blocks, []), close=lambda: None)

    def search(
        self, name: str, *, data: list[np.ndarray], filter: str, limit: int, **_: Any
    ) -> list[list[Row]]:
        rows = self._passing(name, filter)
        found = []
        for query in data:
            values = [float(query @ row["vector"]) for row in rows]
            best = np.argsort([-value for value in values], kind="stable")[:limit]
            found.append([{"id": rows[place]["id"], "distance": values[place]} for place in best])
        return found

    def _passing(self, name: str, expression: str) -> list[Row]:
        rows = list(self._collections[name].rows.values())
        if not expression:
            return rows
        code = compile(expression, "filter", "eval")
        known: dict[str, Callable[..., bool]] = {
            "array_contains_any": lambda own, any_of: not {*any_of}.isdisjoint(own)
        }
        return [row for row in rows if eval(code, known, row)]


class Fields:
    """A schema."""

    def __init__(self) -> None:
        self.fields: list[Row] = []

    def add_field(self, name: str, kind: Any, **options: Any) -> None:
        self.fields.append({"name": name, "type": kind, "params": options})


class Indexes:
    """What an index is to be."""

    def __init__(self) -> None:
        self.made: dict[str, Row] = {}

    def add_index(self, name: str, *, params: Row, **_: Any) -> None:
        self.made[name] = dict(params)
