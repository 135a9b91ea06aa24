"""A collection as a folder: built from a manifest, written whole or not at all, checked when it is read.

records.parquet (a row a case), vectors.npz (`quantised`), map.npz, thumbnails.parquet (row i is of case i;
only where the collection has pictures of its own), and manifest.json with the checksums of the others. A
large one has a search index beside them (`search.stored`), which is made again where it is missing.
"""

import json
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.collections.collection import (
    CASE_COLUMNS,
    CHECKSUM,
    FRAME,
    Collection,
    Description,
    Thumbnails,
    filter_columns,
    filter_masks,
)
from mermed_core.collections.pictures import Pictures, picture_checksum
from mermed_core.collections.projection import compute_map
from mermed_core.collections.quantised import QuantisedVectors
from mermed_core.collections.sources import SourceFacts, source_facts
from mermed_core.data.manifest import Manifest
from mermed_core.data.validation import FILE
from mermed_core.errors import CollectionError, ManifestError
from mermed_core.files import check_replaceable, checksum, write_folder, write_json
from mermed_core.models.embedder import Embedder, Embeddings, embed_manifest, make_thumbnail
from mermed_core.models.embedding_cache import EmbeddingCache
from mermed_core.models.retrieval_space import RetrievalSpace
from mermed_core.search.stored import open_engine

FORMAT = 2
MANIFEST = "manifest.json"
RECORDS = "records.parquet"
VECTORS = "vectors.npz"
MAP = "map.npz"
THUMBNAILS = "thumbnails.parquet"
_CHECKED = (RECORDS, VECTORS, MAP)
_THUMBNAIL = "thumbnail"
_ORIGIN = (FILE, FRAME, CHECKSUM)
# Thumbnails that are read together, and such groups that stay in memory: some 10 MB.
_GROUP = 128
_GROUPS_HELD = 16


def build_collection(
    folder: Path,
    embedder: Embedder,
    manifest: Manifest,
    *,
    space: RetrievalSpace,
    name: str,
    text: str,
    synthetic: bool,
    sources: Mapping[str, Any] | None = None,
    keep: Sequence[str] = (),
    pictures: bool = True,
    cache: EmbeddingCache | None = None,
    workers: int = 0,
) -> Collection:
    """Embeds a manifest and writes the collection; what stood in `folder` stays until all is done.

    Args:
        folder: the place.
        embedder: the model.
        manifest: the images.
        space: the model's retrieval space.
        name: short name for people.
        text: one or two sentences: what it holds, under which licence.
        synthetic: whether its images are drawn rather than of patients.
        sources: facts about data sets by source, see `source_facts`; those without a case are left out.
        keep: further columns of the manifest that are kept, to be filtered by; see `write_collection`.
        pictures: keep a small picture of each case.
        cache: where embeddings are kept, so that they need not be made again.
        workers: processes that read images ahead.

    Raises:
        ManifestError: not one image could be read, or a column to keep is not there.
        OccupiedError: the folder holds something other than a collection.
    """
    _check_kept(manifest, keep)
    check_replaceable(folder, MANIFEST)
    known = source_facts(sources or {}, manifest.frame["source"].unique())
    if cache is None:
        embeddings = embed_manifest(embedder, manifest, thumbnails=pictures, workers=workers)
    else:
        embeddings = cache.embed(embedder, manifest, workers=workers)
    description = Description(name, text, synthetic, space.fingerprint(embedder.fingerprint), known)
    return write_collection(folder, embeddings, description, space=space, keep=keep, pictures=pictures)


def write_collection(
    folder: Path,
    embeddings: Embeddings,
    description: Description,
    *,
    space: RetrievalSpace,
    keep: Sequence[str] = (),
    pictures: bool = True,
) -> Collection:
    """Writes the collection of images that are embedded already.

    The names of the images' own files are kept of data sets that the description knows: what a hospital calls
    its files may say who the patient is. Of others they are kept if `keep` names the column `file`.

    Args:
        folder: the place.
        embeddings: unit vectors, as the model whose fingerprint the description states makes them.
        description: what the collection states about itself.
        space: the model's retrieval space.
        keep: further columns of the manifest that are kept, to be filtered by. None is kept without being
            named: a table from a hospital may hold what must not leave it.
        pictures: keep a small picture of each case; made now where the embeddings come without.

    Raises:
        ManifestError: a column to keep is not there.
        OccupiedError: the folder holds something other than a collection.
    """
    _check_kept(embeddings.manifest, keep)
    check_replaceable(folder, MANIFEST)
    stored = QuantisedVectors.encode(space.project(embeddings.vectors))
    vectors = stored.decode()
    records = _records(embeddings.manifest, description.sources, keep)
    thumbnails = _thumbnails(embeddings) if pictures else None
    with write_folder(folder) as staging:
        pq.write_table(_table(records), staging / RECORDS, compression="zstd")
        stored.save(staging / VECTORS)
        engine = open_engine(vectors, staging, checksum(staging / VECTORS), _masks(records))
        coordinates = compute_map(vectors, engine)
        np.savez(staging / MAP, coordinates=coordinates)
        if thumbnails is not None:
            table = pa.table({_THUMBNAIL: pa.array(thumbnails, pa.binary())})
            pq.write_table(table, staging / THUMBNAILS, compression="none", row_group_size=_GROUP)
        write_json(staging / MANIFEST, _stated(description, embeddings, vectors.shape[1], staging))
    return Collection(description, records, vectors, coordinates, thumbnails, engine)


def load_collection(folder: Path, *, pictures: Pictures | None = None) -> Collection:
    """Reads a collection after verifying every file against its checksum.

    Args:
        folder: the collection.
        pictures: where the pictures of cases can be had that the collection itself has none of.

    Raises:
        CollectionError: the folder is missing, incomplete, damaged or of another format.
    """
    stated = _read_manifest(folder)
    checked = (*_CHECKED, *[THUMBNAILS] * (THUMBNAILS in stated["checksums"]))
    for file in checked:
        path = folder / file
        if not path.is_file() or checksum(path) != stated["checksums"].get(file):
            raise CollectionError(f"'{path}' is missing or damaged; build the collection again.")
    try:
        records = pq.read_table(folder / RECORDS).to_pandas()
        thumbnails = _StoredThumbnails(folder / THUMBNAILS) if THUMBNAILS in checked else None
        with np.load(folder / MAP, allow_pickle=False) as stored:
            coordinates = stored["coordinates"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise CollectionError(f"'{folder}' is damaged ({error}); build the collection again.") from error
    vectors = QuantisedVectors.load(folder / VECTORS).decode()
    description = Description(
        stated["name"],
        stated["text"],
        bool(stated["synthetic"]),
        stated["fingerprint"],
        source_facts(stated["sources"]),
    )
    engine = open_engine(vectors, folder, stated["checksums"][VECTORS], _masks(records))
    return Collection(description, records, vectors, coordinates, thumbnails, engine, pictures=pictures)


def _masks(records: pd.DataFrame) -> Iterator[np.ndarray]:
    yield from filter_masks(filter_columns(records))  # costs nothing where no index is built


class _StoredThumbnails:
    """The column of the table; pictures are read in small groups when one of them is needed. Thread-safe."""

    def __init__(self, path: Path) -> None:
        # Stays open, so that a collection that replaces the folder does not lend its pictures to this one.
        self._file = pq.ParquetFile(path)
        self._lock = threading.Lock()
        self._read: Callable[[int], pa.ChunkedArray] = lru_cache(maxsize=_GROUPS_HELD)(self._group)

    def __len__(self) -> int:
        return self._file.metadata.num_rows

    def __getitem__(self, position: int) -> bytes:
        with self._lock:
            group = self._read(position // _GROUP)
        return group[position % _GROUP].as_py()

    def _group(self, number: int) -> pa.ChunkedArray:
        return self._file.read_row_group(number)[_THUMBNAIL]


def _check_kept(manifest: Manifest, keep: Sequence[str]) -> None:
    if missing := [column for column in keep if column not in manifest.frame]:
        raise ManifestError("the table has no such column to keep.", column=missing[0])


def _records(manifest: Manifest, sources: Mapping[str, SourceFacts], keep: Sequence[str]) -> pd.DataFrame:
    """Returns a row a case: what it is, and which picture is its."""
    frame = manifest.frame
    files = frame[FILE] if FILE in frame else pd.Series("", frame.index)
    known = frame["source"].isin(sources.keys()) | (FILE in keep)
    return frame[list(dict.fromkeys([*CASE_COLUMNS, *keep]))].assign(
        **{
            FILE: files.where(known, ""),
            FRAME: frame[FRAME].astype(np.int32) if FRAME in frame else np.int32(0),
            CHECKSUM: _checksums(manifest),
        }
    )


def _checksums(manifest: Manifest) -> list[str]:
    of_file = lru_cache(maxsize=1)(picture_checksum)  # a file of many frames is read once
    sources = (manifest.image_source(row) for row in range(len(manifest)))
    return [of_file(source) if isinstance(source, Path) else picture_checksum(source) for source in sources]


def _thumbnails(embeddings: Embeddings) -> Thumbnails:
    manifest = embeddings.manifest
    return embeddings.thumbnails or [
        make_thumbnail(manifest.read_image(row).pixels) for row in range(len(manifest))
    ]


def _table(records: pd.DataFrame) -> pa.Table:
    labels = [list(names) if names is not None else [] for names in records["labels"]]
    table = pa.Table.from_pandas(records.drop(columns="labels"), preserve_index=False)
    # Stated, so that a column keeps its type where every value is empty.
    table = table.append_column("labels", pa.array(labels, pa.list_(pa.string())))
    for name in (*CASE_COLUMNS, FILE, CHECKSUM):
        if name != "labels":
            place = table.column_names.index(name)
            table = table.set_column(place, name, table[name].cast(pa.string()))
    further = [name for name in table.column_names if name not in (*CASE_COLUMNS, *_ORIGIN)]
    return table.select([*CASE_COLUMNS, *_ORIGIN, *further]).replace_schema_metadata()


def _stated(description: Description, embeddings: Embeddings, dim: int, folder: Path) -> dict[str, Any]:
    files = (name for name in (*_CHECKED, THUMBNAILS) if (folder / name).is_file())
    return {
        "format": FORMAT,
        **asdict(description),
        "cases": len(embeddings.vectors),
        "dim": dim,
        "broken": embeddings.broken,
        "left_out": embeddings.manifest.left_out,
        "checksums": {file: checksum(folder / file) for file in files},
    }


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise CollectionError(f"There is no collection in '{folder}'; make one with mermed collect.")
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        if stated.get("format") != FORMAT:
            raise CollectionError(
                f"The collection in '{folder}' is of format {stated.get('format')}, and this version reads "
                f"format {FORMAT}; build it again with mermed collect."
            )
        missing = {"name", "text", "synthetic", "fingerprint", "sources", "checksums"} - stated.keys()
        stated["checksums"] = dict(stated.get("checksums", {}))
        stated["sources"] = dict(stated.get("sources", {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise CollectionError(f"'{path}' is damaged; build the collection again.") from error
    if missing:
        raise CollectionError(f"'{path}' does not state '{min(missing)}'; build the collection again.")
    return stated
