"""A collection of format 2, as versions before this one wrote it, becomes one of today's format.

Format 2 is records.parquet, vectors.npz (eight bits a number), map.npz and perhaps thumbnails.parquet.
Nothing is embedded again, and every vector and every point of the map stays what it was.
"""

import json
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.folder import FolderWriter
from mermed_core.collections.segment import SEGMENT_ROWS
from mermed_core.collections.sources import source_facts
from mermed_core.collections.stated import FORMAT, MANIFEST, StatedBroken, damaged
from mermed_core.collections.store import load_collection, write_whole
from mermed_core.errors import CollectionError
from mermed_core.files import checksum, remove_leftovers, write_folder
from mermed_core.search.quantised import QuantisedVectors

_RECORDS, _VECTORS, _MAP, _THUMBNAILS = "records.parquet", "vectors.npz", "map.npz", "thumbnails.parquet"
_BATCH = 128


def migrate_collection(folder: Path) -> Collection:
    """Replaces a collection of format 2 by the same one in today's format, whole or not at all.

    Raises:
        CollectionError: the folder holds no collection of format 2, or a damaged one.
    """
    remove_leftovers(folder)  # also where this one is migrated already: the old one lies beside it then
    stated = _read_manifest(folder)
    try:
        table = _plain(pq.read_table(folder / _RECORDS))
        vectors, coordinates = _read_vectors(folder / _VECTORS), _read_map(folder / _MAP)
        pictures = _pictures(folder / _THUMBNAILS) if _THUMBNAILS in stated["checksums"] else None
        if not len(table) == len(vectors) == len(coordinates):
            raise ValueError("its parts differ in length")
        description = Description(
            stated["name"],
            stated["text"],
            bool(stated["synthetic"]),
            stated["fingerprint"],
            source_facts(dict(stated["sources"])),
        )
        with write_folder(folder) as staging:
            writer, segments = FolderWriter(staging), []
            for first in range(0, len(table), SEGMENT_ROWS):
                rows = np.arange(first, min(first + SEGMENT_ROWS, len(table)))
                some = None if pictures is None else islice(pictures, len(rows))
                segments.append(writer.segment(table.slice(first, len(rows)), vectors.take(rows), some))
            write_whole(
                writer,
                segments,
                description,
                {name: StatedBroken(reason=str(why)) for name, why in stated.get("broken", {}).items()},
                dict(stated.get("left_out", {})),
                coordinates,
            )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise CollectionError(damaged(folder, str(error))) from error
    return load_collection(folder)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise CollectionError(f"There is no collection in '{folder}'; make one with mermed collect.")
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        number, sums = stated.get("format"), dict(stated.get("checksums", {}))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CollectionError(damaged(folder, f"'{MANIFEST}' cannot be read ({error})")) from error
    if number != FORMAT - 1:
        raise CollectionError(
            f"The collection in '{folder}' is of format {number}; only format {FORMAT - 1} can be brought up "
            f"to format {FORMAT}."
        )
    for name in {_RECORDS, _VECTORS, _MAP, *sums}:
        file = folder / name
        if Path(name).name != name or not file.is_file() or checksum(file) != sums.get(name):
            raise CollectionError(damaged(folder, f"'{file}' is missing or damaged"))
    return {**stated, "checksums": sums}


def _plain(table: pa.Table) -> pa.Table:
    """Returns the records as segments have them: without pandas' notes, and no column without a type."""
    table = table.replace_schema_metadata()
    kinds = [
        (field.name, pa.string() if pa.types.is_null(field.type) else field.type) for field in table.schema
    ]
    return table.cast(pa.schema(kinds)).combine_chunks()


def _read_vectors(path: Path) -> QuantisedVectors:
    with np.load(path, allow_pickle=False) as stored:
        codes, lowest, step = (stored[name] for name in ("codes", "lowest", "step"))
    if codes.ndim != 2 or codes.dtype != np.uint8 or not lowest.shape == step.shape == codes.shape[1:]:
        raise ValueError(f"'{path.name}' does not hold vectors of eight bits")
    return QuantisedVectors.of(codes, lowest, step)


def _read_map(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as stored:
        return stored["coordinates"]


def _pictures(path: Path) -> Iterator[bytes]:
    for batch in pq.ParquetFile(path).iter_batches(_BATCH):
        yield from batch.column(0).to_pylist()
