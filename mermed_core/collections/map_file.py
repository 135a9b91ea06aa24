"""The map of a collection as a file: a row a case with its place, and any further columns of the map."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.errors import CollectionError

_PLACES = ("x", "y", "placed")
_FACTS = b"mermed"  # the key of the facts in the file's own metadata


@dataclass(frozen=True, eq=False)
class MapData:
    """A map; row i of every part is case i.

    Attributes:
        coordinates: (cases, 2) float32.
        placed: mask (cases,) of the cases that came after the map was computed and were placed on it.
        columns: further columns (cases,) of numbers by name, such as the cluster of each case at a level.
        facts: what is stated about them: plain values for JSON, nothing about a single case.
    """

    coordinates: np.ndarray
    placed: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def computed(cls, coordinates: np.ndarray) -> Self:
        """Returns a map (cases, 2) that was computed as a whole and has no further columns."""
        return cls(np.asarray(coordinates, np.float32), np.zeros(len(coordinates), bool))

    def __len__(self) -> int:
        """Returns the number of cases."""
        return len(self.coordinates)

    def take(self, rows: np.ndarray) -> "MapData":
        """Returns the map of some cases, given as a mask or as positions."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return MapData(self.coordinates[rows], self.placed[rows], columns, self.facts)

    def extended(self, coordinates: np.ndarray, columns: Mapping[str, np.ndarray]) -> "MapData":
        """Returns the map with further cases placed at (cases, 2), and their values in its columns."""
        return MapData(
            np.concatenate([self.coordinates, coordinates.astype(np.float32)]),
            np.concatenate([self.placed, np.ones(len(coordinates), bool)]),
            {name: np.concatenate([values, columns[name]]) for name, values in self.columns.items()},
            self.facts,
        )


def write_map(path: Path, data: MapData) -> None:
    """Writes a map into a folder that nobody reads yet."""
    arrays = {"x": data.coordinates[:, 0], "y": data.coordinates[:, 1], "placed": data.placed, **data.columns}
    table = pa.table({name: pa.array(values) for name, values in arrays.items()})
    metadata = {_FACTS: json.dumps(dict(data.facts), ensure_ascii=False).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd", use_dictionary=False)


def read_map(path: Path) -> MapData:
    """Reads a map.

    Raises:
        CollectionError: the file is damaged.
    """
    try:
        table = pq.read_table(path)
        x, y, placed = (table[name].to_numpy() for name in _PLACES)
        columns = {name: table[name].to_numpy() for name in table.column_names if name not in _PLACES}
        facts = json.loads((table.schema.metadata or {}).get(_FACTS, b"{}"))
        return MapData(np.column_stack([x, y]).astype(np.float32), placed.astype(bool), columns, dict(facts))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise CollectionError(f"'{path}' is damaged ({error}).") from error
