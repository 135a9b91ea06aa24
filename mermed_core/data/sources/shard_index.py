"""The table beside shards that says where in which of them each image lies: `index.parquet`.

It may come from anywhere. It names shards in its own folder and nothing else, and it is never larger than
MERMED_TABLE_GB, as a file or in memory, unless it lies on this machine.
"""

import hashlib
import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from mermed_core.data.manifest import stored_facts
from mermed_core.data.remote import read_whole
from mermed_core.errors import ManifestError, RefusedDownloadError
from mermed_core.settings import Settings
from mermed_core.urls import is_url, shown_url

INDEX = "index.parquet"

_BYTES_OF_A_CELL = 8  # in memory at least, however well a column is packed
_SHARD = ".tar"


def read_index(folder: str, sha256: str | None = None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Reads the table in a folder of shards.

    Args:
        folder: a path on this machine, or a URL.
        sha256: of the table, in hexadecimal; None takes it as it is.

    Returns:
        A row for each image, with the name of its shard as `path`; and `left_out` and `notes` of the table.

    Raises:
        ManifestError: another table than the one asked for, or one that is not valid: a column is missing, or
            a shard lies elsewhere; names the row and the column.
        DownloadError: it cannot be fetched or is larger than MERMED_TABLE_GB.
        OSError: it cannot be read.
        pyarrow.ArrowException: it is no table.
    """
    place = f"{folder}/{INDEX}"
    limit = int(Settings.from_environment().table_gb * 1e9)
    data = read_whole(place, limit) if is_url(place) else Path(place).read_bytes()
    if sha256 and hashlib.sha256(data).hexdigest() != sha256.lower():
        raise ManifestError(
            f"{shown_url(place)} is not the table that was asked for (another SHA-256). Ask where it comes "
            "from for the right one."
        )
    with pq.ParquetFile(io.BytesIO(data)) as file:
        if is_url(place):
            _check_memory(place, file.metadata, limit)
        table = file.read()
    frame = table.to_pandas()
    _check_places(frame)
    return frame, stored_facts(table.schema)


def _check_memory(place: str, stated: pq.FileMetaData, limit: int) -> None:
    """Refuses a table that is small as a file and huge in memory."""
    unpacked = sum(stated.row_group(group).total_byte_size for group in range(stated.num_row_groups))
    if max(unpacked, stated.num_rows * stated.num_columns * _BYTES_OF_A_CELL) > limit:
        raise RefusedDownloadError(
            f"{shown_url(place)} takes more than {limit / 1e9:g} GB in memory. Set MERMED_TABLE_GB higher if "
            "that is right."
        )


def _check_places(frame: pd.DataFrame) -> None:
    """Makes sure that every row names a range of a shard in the folder."""
    for column in ("path", "offset", "length"):
        if column not in frame:
            raise ManifestError(f"this column is missing from {INDEX}.", column=column)
    problems = {name: problem for name in frame["path"].unique() if (problem := _problem(name))}
    wrong = np.flatnonzero(frame["path"].isin(list(problems)) | frame["path"].isna())
    if len(wrong):
        row = int(wrong[0])
        raise ManifestError(problems[frame["path"].iloc[row]], row=row, column="path")
    for column in ("offset", "length"):
        numbers = pd.to_numeric(frame[column], errors="coerce").astype(float)
        wrong = np.flatnonzero(~((numbers >= 0) & (numbers % 1 == 0)))
        if len(wrong):
            raise ManifestError("a number of bytes is a whole number.", row=int(wrong[0]), column=column)


def _problem(name: object) -> str:
    """Returns why a name is none of a shard in the folder; "" if it is one."""
    if not isinstance(name, str) or not name.endswith(_SHARD):
        return f"a shard is a file NAME{_SHARD} in the folder of {INDEX}."
    for read in (name, unquote(name)):  # a web server decodes %2e%2e
        parts = read.replace("\\", "/").split("/")
        outside = any(part in ("", ".", "..") for part in parts) or ":" in parts[0]
        if outside or any(letter in read for letter in "?#\0"):
            return (
                f"'{re.split('[?#]', shown_url(name))[0]}' does not lie in the folder of {INDEX}; a table "
                "can name only shards beside it."
            )
    return ""
