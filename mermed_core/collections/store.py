"""A collection as a folder: built from a manifest, written whole or not at all, checked when it is read.

records.parquet (a row a case, with its thumbnail), vectors.npy, index.faiss, map.npz, and manifest.json with
the checksums of the others.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.collections.collection import CASE_COLUMNS, Collection, Description
from mermed_core.collections.projection import compute_map
from mermed_core.data.manifest import Manifest
from mermed_core.errors import CollectionError, ManifestError, SearchError
from mermed_core.files import check_replaceable, checksum, write_folder, write_json
from mermed_core.models.embedder import Embedder, Embeddings, embed_manifest
from mermed_core.search.faiss_engine import FaissEngine

FORMAT = 1
MANIFEST = "manifest.json"
RECORDS = "records.parquet"
VECTORS = "vectors.npy"
INDEX = "index.faiss"
MAP = "map.npz"
_CHECKED = (RECORDS, VECTORS, INDEX, MAP)
_THUMBNAIL = "thumbnail"


def build_collection(
    folder: Path,
    embedder: Embedder,
    manifest: Manifest,
    *,
    name: str,
    text: str,
    synthetic: bool,
    keep: Sequence[str] = (),
    workers: int = 0,
) -> Collection:
    """Embeds a manifest and writes the collection; what stood in `folder` stays until all is done.

    Args:
        folder: the place.
        embedder: the model.
        manifest: the images.
        name: short name for people.
        text: one or two sentences: what it holds, under which licence.
        synthetic: whether its images are drawn rather than of patients.
        keep: further columns of the manifest that are kept, to be filtered by. None is kept without being
            named: a table from a hospital may hold what must not leave it.
        workers: processes that read images ahead.

    Raises:
        ManifestError: not one image could be read, or a column to keep is not there.
        OccupiedError: the folder holds something other than a collection.
    """
    check_replaceable(folder, MANIFEST)
    if missing := [column for column in keep if column not in manifest.frame]:
        raise ManifestError("the table has no such column to keep.", column=missing[0])
    embeddings = embed_manifest(embedder, manifest, thumbnails=True, workers=workers)
    records = embeddings.manifest.frame[list(dict.fromkeys([*CASE_COLUMNS, *keep]))]
    engine = FaissEngine.build(embeddings.vectors)
    coordinates = compute_map(embeddings.vectors, engine)
    description = Description(name, text, synthetic, embedder.fingerprint)
    collection = Collection(
        description, records, embeddings.vectors, coordinates, embeddings.thumbnails, engine
    )
    with write_folder(folder) as staging:
        pq.write_table(_table(records, embeddings.thumbnails), staging / RECORDS)
        np.save(staging / VECTORS, embeddings.vectors, allow_pickle=False)
        engine.save(staging / INDEX)
        np.savez(staging / MAP, coordinates=coordinates)
        write_json(staging / MANIFEST, _stated(description, embeddings, staging))
    return collection


def load_collection(folder: Path) -> Collection:
    """Reads a collection after verifying every file against its checksum.

    Raises:
        CollectionError: the folder is missing, incomplete, damaged or of a newer format.
    """
    stated = _read_manifest(folder)
    for file in _CHECKED:
        path = folder / file
        if not path.is_file() or checksum(path) != stated["checksums"].get(file):
            raise CollectionError(f"'{path}' is missing or damaged; build the collection again.")
    table = pq.read_table(folder / RECORDS)
    if _THUMBNAIL not in table.column_names:
        raise CollectionError(f"'{folder / RECORDS}' holds no thumbnails; build the collection again.")
    with np.load(folder / MAP, allow_pickle=False) as stored:
        coordinates = stored["coordinates"]
    try:
        engine = FaissEngine.load(folder / INDEX)
    except SearchError as error:
        raise CollectionError(f"{error} Build the collection again.") from error
    description = Description(
        stated["name"], stated["text"], bool(stated["synthetic"]), stated["fingerprint"]
    )
    records = table.drop_columns([_THUMBNAIL]).to_pandas()
    vectors = np.load(folder / VECTORS, allow_pickle=False)
    return Collection(
        description, records, vectors, coordinates, _StoredThumbnails(table[_THUMBNAIL]), engine
    )


class _StoredThumbnails:
    """The column of the table; a picture is copied out of it only when it is needed."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, position: int) -> bytes:
        return self._column[position].as_py()


def _table(records: pd.DataFrame, thumbnails: Sequence[bytes]) -> pa.Table:
    labels = [list(names) if names is not None else [] for names in records["labels"]]
    table = pa.Table.from_pandas(records.drop(columns="labels"), preserve_index=False)
    # Stated, so that a column keeps its type where every value is empty.
    table = table.append_column("labels", pa.array(labels, pa.list_(pa.string())))
    table = table.append_column(_THUMBNAIL, pa.array(thumbnails, pa.binary()))
    for name in CASE_COLUMNS:
        if name != "labels":
            place = table.column_names.index(name)
            table = table.set_column(place, name, table[name].cast(pa.string()))
    further = [name for name in table.column_names if name not in (*CASE_COLUMNS, _THUMBNAIL)]
    return table.select([*CASE_COLUMNS, *further, _THUMBNAIL]).replace_schema_metadata()


def _stated(description: Description, embeddings: Embeddings, folder: Path) -> dict[str, Any]:
    return {
        "format": FORMAT,
        **asdict(description),
        "cases": len(embeddings.vectors),
        "dim": int(embeddings.vectors.shape[1]),
        "broken": embeddings.broken,
        "left_out": embeddings.manifest.left_out,
        "checksums": {file: checksum(folder / file) for file in _CHECKED},
    }


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise CollectionError(f"There is no collection in '{folder}'; make one with mermed collect.")
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        missing = {"format", "name", "text", "synthetic", "fingerprint", "checksums"} - stated.keys()
        stated["checksums"] = dict(stated.get("checksums", {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise CollectionError(f"'{path}' is damaged; build the collection again.") from error
    if missing or stated["format"] != FORMAT:
        raise CollectionError(f"'{path}' is not a collection of format {FORMAT}; build it again.")
    return stated
