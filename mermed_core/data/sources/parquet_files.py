"""Parquet files in the Hugging Face image-column convention, and those that a manifest was saved as."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.data.manifest import COLUMNS, Manifest, concatenate
from mermed_core.data.sources.table_names import TableName, fill_names, table_names
from mermed_core.data.validation import fill_modality
from mermed_core.errors import ManifestError

_MISSING_CLASS = -1


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
    is unlabelled), `group`, `split` (else told by a name like train-00000-of-00003), `task`, `task_kind`.
    Further columns are kept. The case_id is file/row. A file of `Manifest.save` is read back.

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
    return concatenate([_read_file(file, modality, names[file]) for file in files])


def _read_file(file: Path, modality: str | None, name: TableName) -> Manifest:
    try:
        with pq.ParquetFile(file) as opened:
            if set(COLUMNS) <= set(opened.schema_arrow.names):
                return Manifest.load(file)
            table = opened.read()
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{file} cannot be read as a parquet table ({error}).") from error
    try:
        return Manifest.from_frame(fill_modality(fill_names(_frame(table, file), name), modality))
    except ManifestError as error:
        raise ManifestError(f"{error.problem} ({file.name})", row=error.row, column=error.column) from error


def _frame(table: pa.Table, file: Path) -> pd.DataFrame:
    if "image" not in table.column_names:
        raise ManifestError("this column of encoded images is missing.", column="image")
    label = next((name for name in ("label", "labels") if name in table.column_names), None)
    frame = table.drop_columns(["image", label] if label else ["image"]).to_pandas(ignore_metadata=True)
    frame.index = pd.RangeIndex(table.num_rows)
    frame["path"], frame["image"] = _images(table["image"], file.absolute().parent)
    if label is not None:
        frame["labels"] = _labels(table[label], label, _class_names(table.schema, label))
        kind = "multilabel" if _is_list(table[label].type) else "multiclass"
        frame["task_kind"] = frame.get("task_kind", kind)
    return frame


def _images(column: pa.ChunkedArray, folder: Path) -> tuple[pd.Series, pd.Series]:
    """Returns the paths (of rows without bytes; relative ones are taken from the folder) and the bytes."""
    paths: list[str | None] = [None] * len(column)
    if pa.types.is_struct(column.type):
        parts = dict(zip((field.name for field in column.type), column.flatten(), strict=True))
        if "bytes" not in parts:
            raise ManifestError("its struct has no field 'bytes'.", column="image")
        paths = parts["path"].to_pylist() if "path" in parts else paths
        column = parts["bytes"]
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise ManifestError(f"images are bytes or a struct with bytes, not {column.type}.", column="image")
    images = column.to_pylist()
    needed = [
        str(folder / path) if path and image is None else None
        for path, image in zip(paths, images, strict=True)
    ]
    return pd.Series(needed, dtype=object), pd.Series(images, dtype=object)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


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


def _labels(column: pa.ChunkedArray, column_name: str, names: Sequence[str]) -> pd.Series:
    labels: list[list[str] | None] = []
    for row, value in enumerate(column.to_pylist()):
        values = value if isinstance(value, list) else [] if _unlabelled(value, names) else [value]
        try:
            classes = [_class_name(item, names) for item in values]
        except ValueError as error:
            raise ManifestError(str(error), row=row, column=column_name) from None
        labels.append(classes if classes or isinstance(value, list) else None)
    return pd.Series(labels, dtype=object)


def _unlabelled(value: Any, names: Sequence[str]) -> bool:
    missing = value is None or value == "" or value != value  # NaN alone differs from itself
    return missing or (bool(names) and value == _MISSING_CLASS)


def _class_name(value: Any, names: Sequence[str]) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers become floats where some are missing
    if isinstance(value, str):
        return value
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no class; a class is a name or a whole number.")
    if not names:
        return str(value)
    if not 0 <= value < len(names):
        raise ValueError(f"{value} is not one of the {len(names)} classes that the file names.")
    return names[value]
