"""Images in parquet tables of which only the names are read; the bytes of one come when it is asked for."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.data.sources.parquet_files import original_name, parquet_files
from mermed_core.data.sources.table_names import TableName, table_names
from mermed_core.data.validation import FILE, row_names
from mermed_core.errors import DamagedImageError, ManifestError

# Row groups whose images stay in memory: cases that are shown together often lie together.
_GROUPS_HELD = 2


@dataclass(frozen=True)
class _Group:
    """A row group of a file, whose first row is the table's `start`."""

    file: Path
    number: int
    start: int


class ParquetImages:
    """The images of one parquet file, or of all that lie in a folder, in the Hugging Face convention.

    Attributes:
        names: `case_id` and `file` ("" where it is not known) of every row, as `read_parquet` gives them.

    Raises:
        ManifestError: a file cannot be read, or there is none.
    """

    def __init__(self, place: Path) -> None:
        files = parquet_files(place) if place.is_dir() else [place]
        if not files:
            raise ManifestError(f"{place} holds no parquet file.")
        names, self._groups, rows = table_names(files), list[_Group](), 0
        tables = []
        for file in files:
            try:
                with pq.ParquetFile(file) as opened:
                    tables.append(_names(opened, names[file]))
                    for number, start in _starts(opened):
                        self._groups.append(_Group(file, number, rows + start))
            except (OSError, pa.ArrowException) as error:
                raise ManifestError(f"{file} cannot be read as a parquet table ({error}).") from error
            rows += len(tables[-1])
        self.names: pd.DataFrame = pd.concat(tables, ignore_index=True)
        self._starts = [group.start for group in self._groups]
        self._read = lru_cache(maxsize=_GROUPS_HELD)(_read_group)

    def encoded(self, row: int) -> bytes | Path:
        """Returns the encoded bytes of a row's image, or its path where the table holds none.

        Raises:
            DamagedImageError: the table can no longer be read, or has no image there.
        """
        group = self._groups[bisect_right(self._starts, row) - 1]
        try:
            images, paths = self._read(group.file, group.number)
        except (OSError, pa.ArrowException) as error:
            raise DamagedImageError(f"{group.file} can no longer be read ({error}).") from error
        position = row - group.start
        image = images[position].as_py() if position < len(images) else None
        path = paths[position].as_py() if image is None and paths is not None else None
        if image is None and not path:
            raise DamagedImageError(f"{group.file} has no image in row {position} any longer.")
        return group.file.parent / str(path) if image is None else image


def _starts(opened: pq.ParquetFile) -> Iterator[tuple[int, int]]:
    start = 0
    for number in range(opened.num_row_groups):
        yield number, start
        start += opened.metadata.row_group(number).num_rows


def _names(opened: pq.ParquetFile, name: TableName) -> pd.DataFrame:
    """Returns the names of a table's rows without reading an image."""
    schema = opened.schema_arrow
    if "image" not in schema.names:
        raise ManifestError(f"this column of encoded images is missing ({name.table}).", column="image")
    own = [column for column in ("case_id", FILE) if column in schema.names]
    if FILE not in own and pa.types.is_struct(schema.field("image").type):
        own.append("image.path")
    table = opened.read(columns=own)
    count = opened.metadata.num_rows
    frame = pd.DataFrame({"case_id": row_names(pd.Series(name.table, range(count)))})
    if "case_id" in own:
        frame["case_id"] = table["case_id"].cast(pa.string()).to_pylist()
    frame[FILE] = ""
    if FILE in own:
        frame[FILE] = [value or "" for value in table[FILE].cast(pa.string()).to_pylist()]
    elif "image" in table.column_names and table["image"].type.get_field_index("path") >= 0:
        frame[FILE] = [
            original_name(image["path"] if image else None) for image in table["image"].to_pylist()
        ]
    return frame


def _read_group(file: Path, number: int) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """Returns the images of a row group, and the paths that stand in for missing ones where there are any."""
    with pq.ParquetFile(file, memory_map=True) as opened:
        nested = pa.types.is_struct(opened.schema_arrow.field("image").type)
        stands_in = "path" in opened.schema_arrow.names
        table = opened.read_row_group(number, columns=["image", *["path"] * stands_in])
    if not nested:
        return table["image"], table["path"] if stands_in else None
    parts = dict(zip((field.name for field in table["image"].type), table["image"].flatten(), strict=True))
    return parts["bytes"], parts.get("path")
