"""The table of images that every step reads: one row an image, validated when it is made or loaded.

Columns: `case_id` (unique), `path` or `image` (file path or encoded bytes; exactly one of them), `modality`,
`labels` (list of class names; null = unlabelled, [] = none of the classes of a multi-label set), `task` (the
label set, such as "busi"), `task_kind` (multiclass, multilabel or ordinal), `group` (patient or lesion),
`split` (train, val, test or ""), `source` (data set). Further columns, such as sex, are kept as they are.

Every value is text that nothing here runs or opens: a path that does not exist is found when its image is
read, not when millions of rows are listed.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.data.remote import is_url, read_range
from mermed_core.data.validation import COLUMNS, SPLITS, TASK_KINDS, validated
from mermed_core.errors import ManifestError
from mermed_core.files import write_file
from mermed_core.records import Case

__all__ = ["COLUMNS", "SPLITS", "TASK_KINDS", "LabelSet", "Manifest", "concatenate"]

# Stated, not inferred: lists stay lists in a table without one label, and all images may pass 2 GiB together.
_STORED_TYPES = {"path": pa.string(), "image": pa.large_binary(), "labels": pa.list_(pa.string())}
_ROWS_PER_BLOCK = 10_000


@dataclass(frozen=True)
class LabelSet:
    """The classes that one task tells apart, in their order."""

    task: str
    kind: str
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Manifest:
    """A validated table of images; make one with `from_frame` or `load`.

    Attributes:
        frame: the table, indexed 0..n-1, with every column of `COLUMNS`.
    """

    frame: pd.DataFrame

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Self:
        """Fills in what may be left out, reads aliases of modalities and splits, and checks every row.

        Left out: `case_id` becomes source/row, `group` the case_id, `split` "", `task_kind` multiclass,
        `task` the source (source-modality where one source has several modalities).

        Raises:
            ManifestError: names the row and the column.
        """
        return cls(validated(frame))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a parquet file written by `save`; relative image paths are taken from its folder.

        Raises:
            ManifestError: not a parquet file, or not a valid manifest.
        """
        try:
            with pq.ParquetFile(path) as file:
                frame = file.read().to_pandas()
        except (OSError, pa.ArrowException) as error:
            raise ManifestError(f"{path} cannot be read as a parquet table ({error}).") from error
        if "path" in frame:
            folder = os.path.abspath(path.parent)
            frame["path"] = [
                os.path.join(folder, value)
                if isinstance(value, str) and value and not is_url(value)
                else value
                for value in frame["path"]
            ]
        return cls.from_frame(frame)

    def save(self, path: Path) -> None:
        """Writes the table as parquet, the whole file or nothing.

        Paths below the file's folder are stored relative to it, so that both move together; others absolute.

        Raises:
            ManifestError: a further column holds values that parquet cannot store.
        """
        frame = self.frame.copy()
        frame["path"] = _stored_paths(frame["path"], path.absolute().parent)
        table = pa.Table.from_pandas(frame, schema=_schema(frame), preserve_index=False)
        with write_file(path) as staging:
            pq.write_table(table, staging, row_group_size=_ROWS_PER_BLOCK)

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.frame)

    def __eq__(self, other: object) -> bool:
        """Returns whether both hold the same rows and columns in the same order."""
        return isinstance(other, Manifest) and self.frame.equals(other.frame)

    __hash__ = None  # type: ignore[assignment]  # a table has no hash

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
        names = labelled[["task", "task_kind", "labels"]].explode("labels").dropna()
        return tuple(
            LabelSet(str(task), str(kind), tuple(sorted(map(str, classes.unique()), key=_label_order)))
            for (task, kind), classes in names.groupby(["task", "task_kind"], sort=True)["labels"]
        )

    def image_source(self, position: int) -> bytes | Path:
        """Returns the encoded bytes or the path of one image, as `images.read_image` takes it.

        Where the table has the columns `offset` and `length`, the image lies in the middle of the file.

        Raises:
            DamagedImageError: such a file cannot be read.
        """
        image: Any = self.frame["image"].iat[position]
        path: Any = self.frame["path"].iat[position]
        if image is not None:
            return image
        offset: Any = self.frame["offset"].iat[position] if "offset" in self.frame else None
        if offset is None or pd.isna(offset):
            return Path(path)
        length: Any = self.frame["length"].iat[position]
        return read_range(path, int(offset), int(length))

    def cases(self) -> Iterator[Case]:
        """Yields the record of every row, without its pixels."""
        names = ("case_id", "modality", "labels", "source", "group", "split")
        columns = (self.frame[name].tolist() for name in names)
        for case_id, modality, labels, source, group, split in zip(*columns, strict=True):
            yield Case(case_id, modality, tuple(labels or ()), source, group, split)


def concatenate(manifests: Sequence[Manifest]) -> Manifest:
    """Joins manifests into one; case ids must stay unique.

    Raises:
        ManifestError: no manifest given, or two rows share a case_id.
    """
    if not manifests:
        raise ManifestError("there is nothing to join: no images were given.")
    return Manifest.from_frame(pd.concat([manifest.frame for manifest in manifests], ignore_index=True))


def _label_order(name: str) -> tuple[int, float, str]:
    return (0, float(name), name) if re.fullmatch(r"-?\d+(\.\d+)?", name) else (1, 0.0, name)


def _schema(frame: pd.DataFrame) -> pa.Schema:
    """Returns the stored type of every column: stated for some, found out for the others."""
    inferred = frame.drop(columns=list(_STORED_TYPES))
    fields = dict(_STORED_TYPES)
    for column in map(str, inferred):
        try:
            fields[column] = pa.Schema.from_pandas(inferred[[column]], preserve_index=False).field(0).type
        except pa.ArrowException as error:
            raise ManifestError(
                f"its values cannot be stored together ({error}); make them of one type.", column=column
            ) from error
    return pa.schema([(column, fields[column]) for column in map(str, frame)])


def _stored_paths(paths: pd.Series, folder: Path) -> pd.Series:
    here, prefix = os.getcwd(), str(folder).rstrip(os.sep) + os.sep
    stored = []
    for path in paths.tolist():
        full = path if path is None or is_url(path) else os.path.join(here, path)
        rest = full.removeprefix(prefix) if full else full
        # What a doubled separator leaves over would read as absolute.
        stored.append(full if rest is None or rest.startswith(os.sep) else rest)
    return pd.Series(stored, paths.index, object)
