"""A CSV that lists image files, one row per image, as spreadsheets and scripts of any country write it."""

import io
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mermed_core.data.frames import with_own_frames
from mermed_core.data.manifest import Manifest, log_reading
from mermed_core.data.sources.columns import TableColumns, read_columns
from mermed_core.data.sources.table_names import TableName, fill_names, table_names
from mermed_core.data.validation import fill_modality, refuse
from mermed_core.errors import ManifestError
from mermed_core.modalities import LEFT_OPEN

_NAMES = {
    "imagepath": "path",
    "path": "path",
    "image": "path",
    "imageid": "case_id",
    "caseid": "case_id",
}
_SEPARATORS = ",;\t"
_STATED_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # the line that Excel puts before the header
_ABSOLUTE = r"/|\w+://" if os.sep == "/" else r"[/\\]|\w:[/\\]|\w+://"


@dataclass(frozen=True)
class _Table:
    """The cells of a CSV, the lines of the file before its first row, its empty rows, and a note if any."""

    cells: pd.DataFrame
    lines_before: int
    empty_rows: int
    notes: list[str]


def read_csv(
    file: Path, modality: str | None = None, names: Mapping[Path, TableName] | None = None
) -> Manifest:
    """Reads a CSV with a header line, separated by commas, semicolons or tabs, also with Excel's sep= line.

    Columns, in any order and case: `image_path` (relative paths are taken from the CSV's folder; backslashes
    separate folders too), `modality` (a key or an alias), and optionally `image_id` (becomes the case_id,
    else file/row), `label` (one class), `labels` (classes separated by |; a lone | is none of them) or
    columns of 0 and 1, `group` or a patient, `split` (else from a name like train.csv), `source` (the file's
    name if missing, or the folder's where the file is named after a split), `task`, `task_kind`, `frame`
    (which frame of a file of several, from 0); see `read_columns`. Further columns are kept as text. No file
    is opened: a path that does not exist is found when its image is read.

    Args:
        file: the table, in UTF-8 or UTF-16; in neither, it is read as Windows-1252, with a note.
        modality: the modality of rows that state none.
        names: what each file is called, where other tables are opened with this one.

    Raises:
        ManifestError: names the line, the row (0 is the first image) and the column.
    """
    table = _read_table(file)
    named: dict[str, str] = {}
    try:
        columns = read_columns(table.cells, _NAMES)
        named = columns.own_names
        _read_paths(columns, file)
        frame = fill_names(columns.frame, (names or table_names([file]))[file])
        left_out = {"empty rows": table.empty_rows} if table.empty_rows else {}
        notes = [*table.notes, *columns.notes]
        filled, unstated = fill_modality(frame, modality), modality == LEFT_OPEN
        manifest = Manifest.from_frame(filled, left_out=left_out, notes=notes, unstated=unstated)
    except ManifestError as error:
        line = f", line {error.row + table.lines_before + 1}" if error.row is not None else ""
        column = named.get(error.column or "", error.column)
        raise ManifestError(f"{error.problem} ({file.name}{line})", row=error.row, column=column) from error
    log_reading(file.name, manifest)
    return manifest


def _read_table(file: Path) -> _Table:
    try:
        text, notes = _decoded(file.read_bytes())
        first, _, rest = text.partition("\n")
        stated = _STATED_SEPARATOR.fullmatch(first.strip("\r"))
        separator = stated[1] if stated else _separator(text)
        with warnings.catch_warnings():
            # pandas only warns where all rows have more cells than the header, and drops them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            cells = pd.read_csv(
                io.StringIO(rest if stated else text),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                na_values=[""],
                index_col=False,
            )
        filled = cells.dropna(how="all").reset_index(drop=True)
        return _Table(filled, 2 if stated else 1, len(cells) - len(filled), notes)
    except UnicodeDecodeError as error:
        raise ManifestError(f"{file} cannot be read as text; save it as CSV UTF-8.") from error
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning) as error:
        raise ManifestError(f"{file} cannot be read as a table: {error}".strip()) from error


def _decoded(data: bytes) -> tuple[str, list[str]]:
    """Returns the text of a file, and a note where its encoding had to be guessed."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16"), []
    if data[:64].count(0) > len(data[:64]) // 4:  # every second byte of Latin text in UTF-16
        return data.decode("utf-16-le" if data[:1] != b"\0" else "utf-16-be"), []
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        note = "The table is not in UTF-8 and was read as Windows-1252; check letters other than a to z."
        return data.decode("cp1252", "replace"), [note]


def _separator(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", header)
    return max(_SEPARATORS, key=bare.count)


def _read_paths(columns: TableColumns, file: Path) -> None:
    """Makes the paths absolute, and keeps `frame` where a file may hold several."""
    if "path" not in columns.frame:
        raise ManifestError("this column is missing; it names the image files.", column="image_path")
    frame = columns.frame
    folder = os.path.abspath(file.parent)
    paths = frame["path"].astype(str).fillna("").str.strip()
    refuse(paths == "", paths, "a value is missing.", "path")
    foreign = paths.str.contains("\\", regex=False) if os.sep == "/" else pd.Series(False, paths.index)
    if foreign.any() and not os.path.exists(os.path.join(folder, paths[foreign].iloc[0])):
        paths = paths.str.replace("\\", "/", regex=False)
        columns.notes.append(f"Backslashes in {foreign.sum():,} paths are read as separators of folders.")
    absolute = paths.str.match(_ABSOLUTE)
    frame["path"] = paths.where(absolute, folder.rstrip(os.sep) + os.sep + paths)
    columns.frame = with_own_frames(frame)
