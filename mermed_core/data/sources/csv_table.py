"""A CSV that lists image files, one row an image."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mermed_core.data.manifest import Manifest
from mermed_core.data.pseudonyms import pseudonym
from mermed_core.data.sources.table_names import TableName, fill_names, table_names
from mermed_core.data.validation import fill_modality, refuse
from mermed_core.errors import ManifestError

_NAMES = {
    "image_path": "path",
    "path": "path",
    "image": "path",
    "image_id": "case_id",
    "case_id": "case_id",
    "patient_id": "patient_id",
    "group": "group",
    "modality": "modality",
    "label": "label",
    "labels": "labels",
    "split": "split",
    "source": "source",
    "task": "task",
    "task_kind": "task_kind",
}
_SEPARATORS = ",;\t"
_BETWEEN_LABELS = "|"


def read_csv(
    file: Path, modality: str | None = None, names: Mapping[Path, TableName] | None = None
) -> Manifest:
    """Reads a CSV (or one separated by ; or tabs) with a header line.

    Columns, in any order and case: `image_path` (relative paths are taken from the CSV's folder), `modality`
    (a key or an alias), and if wanted `image_id` (becomes the case_id, else file/row), `label` (one class) or
    `labels` (classes separated by |; a lone | is none of them), `group` (kept as it is) or `patient_id` (kept
    only as a pseudonym), `split` (else told by a name like train.csv), `source` (the file's name if missing,
    or the folder's where the file is named after a split), `task`, `task_kind`. An empty cell is a missing
    value. Further columns are kept as text. No file is opened: a path that does not exist is found when its
    image is read.

    Args:
        file: the table, in UTF-8.
        modality: the modality of rows that state none.
        names: what each file is called, where other tables are opened with this one.

    Raises:
        ManifestError: names the line, the row (0 is the first image) and the column.
    """
    table = _read_table(file)
    named = _named_columns(table, file)
    table = table.rename(columns={column: name for name, column in named.items()})
    try:
        frame = fill_names(_frame(table, file), (names or table_names([file]))[file])
        return Manifest.from_frame(fill_modality(frame, modality))
    except ManifestError as error:
        line = f", line {error.row + 2}" if error.row is not None else ""
        column = named.get(error.column or "", error.column)
        raise ManifestError(f"{error.problem} ({file.name}{line})", row=error.row, column=column) from error


def _named_columns(table: pd.DataFrame, file: Path) -> dict[str, str]:
    """Returns the CSV's own name of each column that is known here."""
    named: dict[str, str] = {}
    for column in map(str, table):
        name = _NAMES.get(column.strip().lower())
        if name in named:
            raise ManifestError(
                f"it means the same as '{named[name]}'; rename or remove one ({file.name}).", column=column
            )
        if name is not None:
            named[name] = column
    if "path" not in named:
        raise ManifestError(
            f"this column is missing; it names the image files ({file.name}).", column="image_path"
        )
    return named


def _read_table(file: Path) -> pd.DataFrame:
    try:
        with file.open(encoding="utf-8-sig") as opened:
            header = opened.readline()
        with warnings.catch_warnings():
            # pandas only warns where all rows have more cells than the header, and drops them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                file,
                sep=max(_SEPARATORS, key=header.count),
                dtype=str,
                encoding="utf-8-sig",
                keep_default_na=False,
                na_values=[""],
                index_col=False,
            )
    except UnicodeDecodeError as error:
        raise ManifestError(f"{file} is not UTF-8 text; save it as CSV UTF-8.") from error
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning) as error:
        raise ManifestError(f"{file} cannot be read as a table: {error}".strip()) from error


def _frame(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    refuse(table["path"].isna(), table["path"], "a value is missing.")
    frame = table.copy()
    folder = os.path.abspath(file.parent)
    frame["path"] = [os.path.join(folder, path) for path in table["path"].tolist()]
    return _with_labels(_with_groups(frame))


def _with_groups(frame: pd.DataFrame) -> pd.DataFrame:
    if "patient_id" not in frame:
        return frame
    if "group" not in frame:
        patients = frame["patient_id"]
        frame["group"] = patients.map({name: pseudonym(name) for name in patients.dropna().unique()})
    return frame.drop(columns="patient_id")


def _with_labels(frame: pd.DataFrame) -> pd.DataFrame:
    """Turns the column `labels`, else `label`, into lists."""
    if "labels" in frame:
        texts = frame["labels"].tolist()
        lists = [_classes(text) if isinstance(text, str) else None for text in texts]
        kind = "multilabel"
    elif "label" in frame:
        lists = [[text] if isinstance(text, str) else None for text in frame["label"].tolist()]
        kind = "multiclass"
    else:
        return frame
    frame["labels"] = pd.Series(lists, dtype=object)
    frame["task_kind"] = frame.get("task_kind", kind)
    return frame.drop(columns="label", errors="ignore")


def _classes(text: str) -> list[str]:
    return [name for part in text.split(_BETWEEN_LABELS) if (name := part.strip())]
