"""Vectors of images that were made elsewhere, read from a file; nothing is unpickled.

.npy holds the numbers alone, a row an image. .npz and .safetensors hold them as `vectors` and may name the
images: in an array `case_ids` of texts, or as a JSON list in the metadata. .parquet has a column of lists
called `vector`, `vectors` or `embedding`, and perhaps one called `case_id`.
"""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from mermed_core.errors import VectorsError
from mermed_core.files import checksum

MOST_NUMBERS = 16_384
"""Numbers of a vector at most."""
_BLOCK = 16_384  # rows that are checked at once
_VECTORS, _IDS = "vectors", "case_ids"
_COLUMNS, _ID_COLUMN = ("vector", "vectors", "embedding"), "case_id"

_Content = tuple[np.ndarray, list[str] | None]


@dataclass(frozen=True, eq=False)
class VectorFile:
    """The vectors of a file.

    Attributes:
        name: of the file.
        sha256: of the file, in hexadecimal.
        vectors: (rows, numbers), of any type of real number; may be mapped into memory.
        case_ids: (rows,) whose each is; None where the file does not say it.
    """

    name: str
    sha256: str
    vectors: np.ndarray
    case_ids: tuple[str, ...] | None = None

    def rows_of(self, case_ids: pd.Series) -> np.ndarray:
        """Returns the row (images,) int64 of each image of a table; without ids in the file, its own place.

        Args:
            case_ids: (images,) of all images of the table, in its order.

        Raises:
            VectorsError: there are more or fewer vectors than images, or they are of others.
        """
        if self.case_ids is None:
            if len(self.vectors) != len(case_ids):
                raise VectorsError(
                    f"'{self.name}' has {len(self.vectors):,} vectors, and the table has {len(case_ids):,} "
                    "images. Without case ids in the file there must be one for each image, in the table's "
                    "order."
                )
            return np.arange(len(case_ids))
        known = pd.Index(self.case_ids)
        rows = known.get_indexer(pd.Index(case_ids))
        if (missing := rows < 0).any():
            raise VectorsError(
                f"'{self.name}' has no vector of '{case_ids[missing].iloc[0]}' ({int(missing.sum()):,} such "
                "in all)."
            )
        unknown = known[~known.isin(case_ids)]
        if len(unknown):
            raise VectorsError(
                f"'{self.name}' has a vector of '{unknown[0]}' ({len(unknown):,} such in all), which the "
                "table of images does not have."
            )
        return rows.astype(np.int64)


def read_vectors(path: Path) -> VectorFile:
    """Reads and checks a file of vectors.

    Raises:
        VectorsError: it is missing, of another kind, damaged, or holds anything but one finite vector a row
            that is not zero.
    """
    if not path.is_file():
        raise VectorsError(f"There is no file '{path}' of vectors.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise VectorsError(f"'{path}' is not a file of vectors: it must be {', '.join(_READERS)}.")
    try:
        vectors, ids = reader(path)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise _unreadable(path, error) from error
    except (zipfile.BadZipFile, pa.ArrowException, SafetensorError) as error:
        raise _unreadable(path, error) from error
    _check(path.name, vectors)
    if ids is not None:
        _check_ids(path.name, ids, len(vectors))
    return VectorFile(path.name, checksum(path), vectors, None if ids is None else tuple(ids))


def _unreadable(path: Path, error: Exception) -> VectorsError:
    return VectorsError(f"'{path}' cannot be read as vectors ({error}).")


def _read_npy(path: Path) -> _Content:
    return np.load(path, mmap_mode="r", allow_pickle=False), None


def _read_npz(path: Path) -> _Content:
    with np.load(path, allow_pickle=False) as stored:
        if _VECTORS not in stored:
            raise ValueError(f"it holds no array '{_VECTORS}', but {', '.join(stored.files) or 'nothing'}")
        ids = [str(each) for each in stored[_IDS].tolist()] if _IDS in stored else None
        return stored[_VECTORS], ids


def _read_safetensors(path: Path) -> _Content:
    with safe_open(path, framework="numpy") as stored:
        if _VECTORS not in stored.keys():  # noqa: SIM118  # it is no dictionary
            raise ValueError(f"it holds no tensor '{_VECTORS}', but {', '.join(stored.keys()) or 'nothing'}")
        text = (stored.metadata() or {}).get(_IDS)
        ids = None if text is None else json.loads(text)
        if ids is not None and not (isinstance(ids, list) and all(isinstance(each, str) for each in ids)):
            raise ValueError(f"its '{_IDS}' are no list of texts")
        return stored.get_tensor(_VECTORS), ids


def _read_parquet(path: Path) -> _Content:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        name = next((each for each in _COLUMNS if each in names), None)
        if name is None:
            raise ValueError(f"it has no column {' or '.join(_COLUMNS)}, but {', '.join(names)}")
        table = file.read([name, *[_ID_COLUMN] * (_ID_COLUMN in names)])
    ids = [str(each) for each in table[_ID_COLUMN].to_pylist()] if _ID_COLUMN in names else None
    return _matrix(table[name].combine_chunks(), name), ids


def _matrix(column: Any, name: str) -> np.ndarray:
    """Returns the lists of a column as rows."""
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(kind(column.type) for kind in kinds) or column.null_count:
        raise ValueError(f"the column '{name}' does not hold a list in every row")
    numbers = column.flatten()
    if len(column) == 0 or numbers.null_count or len(numbers) % len(column):
        raise ValueError(f"the lists of the column '{name}' are empty or differ in length")
    width = len(numbers) // len(column)
    if not pa.types.is_fixed_size_list(column.type) and set(np.diff(column.offsets.to_numpy())) != {width}:
        raise ValueError(f"the lists of the column '{name}' differ in length")
    return numbers.to_numpy(zero_copy_only=False).reshape(len(column), width)


_READERS: dict[str, Callable[[Path], _Content]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
}


def _check(name: str, vectors: np.ndarray) -> None:
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu" or not vectors.size:
        raise VectorsError(
            f"'{name}' holds an array of shape {vectors.shape} of {vectors.dtype}; it must have a row of "
            "real numbers for each image."
        )
    if not 2 <= vectors.shape[1] <= MOST_NUMBERS:
        raise VectorsError(
            f"The vectors in '{name}' have {vectors.shape[1]:,} numbers each; there may be 2 to "
            f"{MOST_NUMBERS:,}."
        )
    for first in range(0, len(vectors), _BLOCK):
        block = np.asarray(vectors[first : first + _BLOCK], np.float32)
        for bad, what in (
            (~np.isfinite(block).all(axis=1), "is not finite (NaN or infinite)"),
            (~block.any(axis=1), "has no direction: all of its numbers are 0"),
        ):
            if bad.any():
                row = first + int(np.argmax(bad))
                raise VectorsError(f"The vector in row {row:,} of '{name}' (counted from 0) {what}.")


def _check_ids(name: str, ids: list[str], rows: int) -> None:
    if len(ids) != rows:
        raise VectorsError(f"'{name}' has {rows:,} vectors and {len(ids):,} case ids.")
    repeated = pd.Index(ids).duplicated()
    if repeated.any():
        raise VectorsError(f"'{name}' has two vectors of '{ids[int(np.argmax(repeated))]}'.")
