"""The table of images that every step reads: one row an image, validated when it is made or loaded.

Columns: `case_id` (unique), `path` or `image` (file path or encoded bytes; exactly one of them), `modality`,
`labels` (list of class names; null = unlabelled, [] = none of the classes of a multi-label set), `task` (the label
set, such as "busi"), `task_kind` (multiclass, multilabel or ordinal), `group` (patient or lesion), `split`
(train, val, test or ""), `source` (data set). Further columns, such as sex or site, are kept as they are.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.artefacts import write_file
from mermed_core.errors import ManifestError, MermedError
from mermed_core.modalities import modality_key
from mermed_core.records import Case

SPLITS = ("train", "val", "test", "")
TASK_KINDS = ("multiclass", "multilabel", "ordinal")
COLUMNS = ("case_id", "path", "image", "modality", "labels", "task", "task_kind", "group", "split", "source")


@dataclass(frozen=True)
class LabelSet:
    """The classes that one task tells apart, in their order."""

    task: str
    kind: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """A validated table of images; make one with `from_frame` or `load`.

    Attributes:
        frame: the table, indexed 0..n-1, with every column of `COLUMNS`.
    """

    frame: pd.DataFrame

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Self:
        """Fills in what may be left out, reads aliases of modalities, and checks every row.

        Left out: `case_id` becomes source/row, `task` the source, `group` the case_id, `split` "".

        Raises:
            ManifestError: names the row and the column.
        """
        return cls(_checked(_filled(frame)))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a parquet file written by `save`; relative image paths are taken from its folder.

        Raises:
            ManifestError: not a parquet file, or not a valid manifest.
        """
        try:
            frame = pq.read_table(path).to_pandas()
        except (OSError, pa.ArrowException) as error:
            raise ManifestError(f"{path} cannot be read as a parquet table ({error}).") from error
        if "path" in frame:
            frame["path"] = [_absolute(value, path.parent) for value in frame["path"]]
        return cls.from_frame(frame)

    def save(self, path: Path) -> None:
        """Writes the table as parquet, the whole file or nothing."""
        with write_file(path) as staging:
            pq.write_table(pa.Table.from_pandas(self.frame, preserve_index=False), staging)

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.frame)

    def select(self, keep: np.ndarray | pd.Series | Sequence[int]) -> Self:
        """Returns the rows of a boolean mask or a list of positions, in order."""
        positions = np.asarray(keep)
        if positions.dtype == bool:
            positions = np.flatnonzero(positions)
        return type(self)(self.frame.iloc[positions.astype(np.int64)].reset_index(drop=True))

    def split(self, name: str) -> Self:
        """Returns the rows of one split."""
        return self.select(self.frame["split"] == name)

    def label_sets(self) -> tuple[LabelSet, ...]:
        """Returns each task with its kind and its classes (numbers in numeric order, else sorted)."""
        labelled = self.frame[self.frame["labels"].notna()]
        sets = []
        for task, rows in labelled.groupby("task", sort=True):
            names = {str(name) for labels in rows["labels"] for name in labels}
            if names:
                sets.append(
                    LabelSet(
                        str(task), str(rows["task_kind"].iloc[0]), tuple(sorted(names, key=_label_order))
                    )
                )
        return tuple(sets)

    def image_source(self, position: int) -> bytes | Path:
        """Returns the encoded bytes or the path of one image, as `images.read_image` takes it."""
        row = self.frame.iloc[position]
        return bytes(row["image"]) if row["image"] is not None else Path(row["path"])

    def cases(self) -> Iterator[Case]:
        """Yields the record of every row, without its pixels."""
        for row in self.frame.itertuples(index=False):
            labels = () if row.labels is None else tuple(map(str, row.labels))
            yield Case(
                *map(str, (row.case_id, row.modality)), labels, *map(str, (row.source, row.group, row.split))
            )


def concatenate(manifests: Sequence[Manifest]) -> Manifest:
    """Joins manifests into one; case ids must stay unique.

    Raises:
        ManifestError: no manifest given, or two rows share a case_id.
    """
    if not manifests:
        raise ManifestError("There is nothing to join: no images were given.")
    return Manifest.from_frame(pd.concat([manifest.frame for manifest in manifests], ignore_index=True))


def _label_order(name: str) -> tuple[int, float, str]:
    return (0, float(name), name) if name.isdecimal() else (1, 0.0, name)


def _absolute(value: Any, folder: Path) -> str | None:
    return None if _missing(value) else os.path.join(folder, value)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA


def _filled(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.reset_index(drop=True).copy()
    for column in ("modality", "source"):
        if column not in frame:
            raise ManifestError("this column is missing from the table.", column=column)
    for column in ("path", "image", "labels"):
        values = frame[column] if column in frame else [None] * len(frame)
        frame[column] = pd.Series([None if _missing(value) else value for value in values], dtype=object)
    defaults = {
        "case_id": [f"{source}/{row:06d}" for row, source in enumerate(frame["source"])],
        "task": frame["source"],
        "task_kind": "multiclass",
        "split": "",
    }
    for column, default in defaults.items():
        frame[column] = frame[column] if column in frame else default
    frame["group"] = frame["group"] if "group" in frame else frame["case_id"]
    rest = [column for column in frame if column not in COLUMNS]
    return frame[[*COLUMNS, *rest]]


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.empty:
        raise ManifestError("The table holds no images.")
    modalities = []
    for row, record in enumerate(frame.itertuples(index=False)):
        modalities.append(_check_row(row, record))
    frame["modality"] = modalities
    for column in ("case_id", "task", "group", "split", "source"):
        frame[column] = frame[column].astype(str)
    repeated = frame["case_id"].duplicated()
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        raise ManifestError(
            f"'{frame['case_id'].iloc[row]}' stands in an earlier row too.", row=row, column="case_id"
        )
    kinds = frame.groupby("task")["task_kind"].nunique()
    if (kinds > 1).any():
        raise ManifestError(f"task '{kinds.idxmax()}' has more than one kind.", column="task_kind")
    return frame


def _check_row(row: int, record: Any) -> str:
    """Checks one row and returns its modality's key."""
    try:
        modality = modality_key(record.modality)
    except MermedError as error:
        raise ManifestError(str(error), row=row, column="modality") from error
    if (record.path is None) == (record.image is None):
        raise ManifestError("exactly one of 'path' and 'image' must be given.", row=row, column="path")
    if record.path is not None and not (isinstance(record.path, str) and record.path):
        raise ManifestError("a path is a text that is not empty.", row=row, column="path")
    if record.image is not None and not isinstance(record.image, bytes):
        raise ManifestError("an image is given as the bytes of its file.", row=row, column="image")
    for column in ("case_id", "task", "group", "split", "source"):
        if _missing(getattr(record, column)):
            raise ManifestError("a value is missing.", row=row, column=column)
    if record.split not in SPLITS:
        raise ManifestError(f"'{record.split}' is not one of train, val, test.", row=row, column="split")
    if record.task_kind not in TASK_KINDS:
        raise ManifestError(
            f"'{record.task_kind}' is not one of {', '.join(TASK_KINDS)}.", row=row, column="task_kind"
        )
    _check_labels(row, record)
    return modality


def _check_labels(row: int, record: Any) -> None:
    labels = record.labels
    if labels is None:
        return
    if isinstance(labels, str) or not isinstance(labels, (list, tuple, np.ndarray)):
        raise ManifestError("labels are a list of class names.", row=row, column="labels")
    if any(not isinstance(label, str) or not label for label in labels):
        raise ManifestError("a class name is a text that is not empty.", row=row, column="labels")
    if record.task_kind != "multilabel" and len(labels) != 1:
        raise ManifestError(f"a {record.task_kind} task has one label a row.", row=row, column="labels")
