"""Parquet files in the Hugging Face image-column convention, and those that a manifest was saved as."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.data.file_tree import walk_files
from mermed_core.data.frames import expand_frames, frames_of_images, with_own_frames
from mermed_core.data.manifest import COLUMNS, Manifest, log_reading
from mermed_core.data.sources.columns import read_columns
from mermed_core.data.sources.table_names import TableName, fill_names, join_tables, table_names
from mermed_core.data.validation import FILE, fill_modality
from mermed_core.errors import ManifestError
from mermed_core.modalities import LEFT_OPEN
from mermed_core.urls import is_url, shown_url

_BESIDE = "files beside the parquet files"


def parquet_files(folder: Path) -> list[Path]:
    """Returns the parquet files right in a folder, in the order of their names."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def read_parquet(
    path: Path, modality: str | None = None, names: Mapping[Path, TableName] | None = None
) -> Manifest:
    """Reads one parquet file, or joins all that lie in a folder.

    A file's columns: `image` (struct of bytes and path, or plain bytes), and `modality`, `source` (the file's
    name if missing, or the folder's where the file is named after a split), `label` or `labels` (text,
    number, list, or ClassLabel with its names in the file's metadata; a list makes a multi-label task; null
    is unlabelled) or columns of 0 and 1, `group` or a patient, `split` (else from a name like
    train-00000-of-00003), `task`, `task_kind`; see `read_columns`. Further columns are kept. The case_id is
    file/row, and the path beside an image's bytes becomes `file`. Encoded images of several frames get a row
    for each. A file of `Manifest.save` is read back.

    Args:
        path: a parquet file or a folder of them.
        modality: the modality of rows that state none.
        names: what each file is called, where other tables are opened with these.

    Raises:
        ManifestError: names the file, the row and the column.
    """
    files = parquet_files(path) if path.is_dir() else [path]
    if not files:
        raise ManifestError(f"{path} holds no parquet file.")
    names = names or table_names(files)
    manifest = join_tables([_read_file(file, modality, names[file]) for file in files])
    if path.is_dir():
        left_out = Counter(manifest.left_out)
        chosen = {file.name for file in files}
        left_out.update(_BESIDE for name in walk_files(path, left_out) if name not in chosen)
        manifest = replace(manifest, left_out=dict(left_out))
    log_reading(path.name, manifest)
    return manifest


def _read_file(file: Path, modality: str | None, name: TableName) -> Manifest:
    try:
        with pq.ParquetFile(file) as opened:
            if set(COLUMNS) <= set(opened.schema_arrow.names):
                return Manifest.load(file)
            table = opened.read()
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{file} cannot be read as a parquet table ({error}).") from error
    own_names: dict[str, str] = {}
    try:
        label = next((name for name in ("label", "labels") if name in table.column_names), "")
        if "image" not in table.column_names:
            raise ManifestError("this column of encoded images is missing.", column="image")
        columns = read_columns(
            table.drop_columns(["image"]).to_pandas(ignore_metadata=True).set_axis(range(table.num_rows)),
            class_names=_class_names(table.schema, label),
        )
        own_names = columns.own_names
        frame = columns.frame
        paths, images = _parts(table["image"])
        frame["path"], frame["image"] = _images(paths, images, file.absolute().parent)
        if FILE not in frame and any(paths):
            frame[FILE] = [original_name(path) for path in paths]
        frame = with_own_frames(frame)
        left_out: Counter[str] = Counter()
        frame = expand_frames(fill_names(frame, name), frames_of_images(frame, left_out))
        return Manifest.from_frame(
            fill_modality(frame, modality),
            left_out=left_out,
            notes=columns.notes,
            unstated=modality == LEFT_OPEN,
        )
    except ManifestError as error:
        column = own_names.get(error.column or "", error.column)
        raise ManifestError(f"{error.problem} ({file.name})", row=error.row, column=column) from error


def original_name(path: str | None) -> str:
    """Returns what an image's own file was called: as stated, of an absolute path or a URL the end alone."""
    name = shown_url(path or "")
    return name.rpartition("/")[2] if name.startswith("/") or is_url(name) else name


def _parts(column: pa.ChunkedArray) -> tuple[list[str | None], list[bytes | None]]:
    """Returns the paths and the bytes of a column of images."""
    paths: list[str | None] = [None] * len(column)
    if pa.types.is_struct(column.type):
        parts = dict(zip((field.name for field in column.type), column.flatten(), strict=True))
        if "bytes" not in parts:
            raise ManifestError("its struct has no field 'bytes'.", column="image")
        paths = parts["path"].to_pylist() if "path" in parts else paths
        column = parts["bytes"]
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise ManifestError(f"images are bytes or a struct with bytes, not {column.type}.", column="image")
    return paths, column.to_pylist()


def _images(paths: list[str | None], images: list[bytes | None], folder: Path) -> tuple[pd.Series, pd.Series]:
    """Returns the paths (of rows without bytes; relative ones are taken from the folder) and the bytes."""
    needed = [
        str(folder / path) if path and image is None else None
        for path, image in zip(paths, images, strict=True)
    ]
    return pd.Series(needed, dtype=object), pd.Series(images, dtype=object)


def _class_names(schema: pa.Schema, column: str) -> list[str]:
    """Returns the names of a ClassLabel, also one in a list, from the metadata; [] where there are none."""
    stored = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        feature: Any = json.loads(stored)["info"]["features"][column]
        while "names" not in feature:
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        return [str(name) for name in feature["names"]]
    except (KeyError, TypeError, IndexError, ValueError):
        return []
