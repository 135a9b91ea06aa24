"""The table of images that every step reads: one row per image, validated when it is made or loaded.

Columns: `case_id` (unique), `path` or `image` (file path or encoded bytes; exactly one of them), `modality`,
`labels` (list of class names; null = unlabelled, [] = none of the classes of a multi-label set), `task` (the
label set, such as "busi"), `task_kind` (multiclass, multilabel or ordinal), `group` (patient or lesion, by
a name that only its own source uses: patient 12 of two sources is two patients), `split` (train, val, test or
""), `source` (data set). Optional: `frame` (which frame or page of the file, from 0; 0 without the column),
`offset` and `length` (where the image lies in a larger file), `shard_sha256` (of that larger file, against
which a fetched copy is checked), `zip_member` (what the ZIP archive at `path` calls the image, "" where
`path` is the image), `file` (what the image's own file was called
where a table holds the bytes; "" where that is not known). Further columns, such as sex, are kept as they
are.

Values are never executed and paths never opened here: a file that does not exist is found when its image is
read, not when millions of rows are listed.
"""

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.data.remote import read_range
from mermed_core.data.validation import COLUMNS, SPLITS, TASK_KINDS, ZIP_MEMBER, validated
from mermed_core.data.zip_members import read_member
from mermed_core.errors import ManifestError
from mermed_core.files import write_file
from mermed_core.imaging.reader import MedicalImage, read_image
from mermed_core.modalities import LEFT_OPEN
from mermed_core.records import Case
from mermed_core.urls import is_url

__all__ = [
    "COLUMNS",
    "SHARD_CHECKSUM",
    "SPLITS",
    "TASK_KINDS",
    "LabelSet",
    "Manifest",
    "concatenate",
    "count_reasons",
    "log_reading",
    "stored_facts",
]

logger = logging.getLogger(__name__)

# Stated, not inferred: lists stay lists in a table without one label, and all images may pass 2 GiB together.
_STORED_TYPES = {"path": pa.string(), "image": pa.large_binary(), "labels": pa.list_(pa.string())}
_ROWS_PER_BLOCK = 10_000
SHARD_CHECKSUM = "shard_sha256"
_METADATA = b"mermed"  # the key under which a saved table holds what its rows do not say


@dataclass(frozen=True)
class LabelSet:
    """The classes that one task tells apart, in their order."""

    task: str
    kind: str
    classes: tuple[str, ...]

    @property
    def exclusive(self) -> bool:
        """Whether an image belongs to exactly one of the classes."""
        return self.kind != "multilabel"


@dataclass(frozen=True, eq=False)
class Manifest:
    """A validated table of images; make one with `from_frame` or `load`.

    Attributes:
        frame: the table, indexed 0..n-1, with every column of `COLUMNS`.
        left_out: how many files, frames or rows of the sources are not in the table, by reason.
        notes: sentences on how the sources were read, such as which words count as a missing label.
        unstated: rows may state no modality (`modalities.LEFT_OPEN`), which is then to be told before it is
            needed.
    """

    frame: pd.DataFrame
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unstated: bool = False

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        left_out: Mapping[str, int] | None = None,
        notes: Sequence[str] = (),
        unstated: bool = False,
    ) -> Self:
        """Fills in what may be left out, reads aliases of modalities and splits, and checks every row.

        Left out: `case_id` becomes source/row, `group` the case_id, `split` "", `task_kind` multiclass,
        `task` the source (source-modality where one source has several modalities).

        Raises:
            ManifestError: names the row and the column.
        """
        return cls(validated(frame, unstated=unstated), dict(left_out or {}), tuple(notes), unstated)

    def with_frame(self, frame: pd.DataFrame) -> Self:
        """Returns a manifest of another table, validated, that was read from the same sources.

        Raises:
            ManifestError: names the row and the column.
        """
        return replace(self, frame=validated(frame, unstated=self.unstated))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a parquet file written by `save`; relative image paths are taken from its folder.

        Raises:
            ManifestError: not a parquet file, or not a valid manifest.
        """
        try:
            with pq.ParquetFile(path) as file:
                table = file.read()
                frame = table.to_pandas()
                stored = stored_facts(table.schema)
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
        return cls.from_frame(frame, **stored)

    def save(self, path: Path) -> None:
        """Writes the table as parquet, the whole file or nothing.

        Paths below the file's folder are stored relative to it, so that both move together; others absolute.

        Raises:
            ManifestError: a further column holds values that parquet cannot store.
        """
        frame = self.frame.copy()
        frame["path"] = _stored_paths(frame["path"], path.absolute().parent)
        table = pa.Table.from_pandas(frame, schema=_schema(frame), preserve_index=False)
        if self.left_out or self.notes:
            known = {"left_out": self.left_out, "notes": self.notes}
            metadata = {**(table.schema.metadata or {}), _METADATA: json.dumps(known).encode()}
            table = table.replace_schema_metadata(metadata)
        with write_file(path) as staging:
            pq.write_table(table, staging, row_group_size=_ROWS_PER_BLOCK)

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.frame)

    def __eq__(self, other: object) -> bool:
        """Returns whether both hold the same rows and columns in the same order, wherever they came from."""
        return isinstance(other, Manifest) and self.frame.equals(other.frame)

    __hash__ = None  # type: ignore[assignment]  # a table has no hash

    def select(self, keep: np.ndarray | pd.Series | Sequence[int]) -> Self:
        """Returns the rows of a boolean mask or a list of positions, in order."""
        positions = np.asarray(keep)
        if positions.dtype == bool:
            positions = np.flatnonzero(positions)
        return replace(self, frame=self.frame.iloc[positions.astype(np.int64)].reset_index(drop=True))

    def split(self, name: str) -> Self:
        """Returns the rows of one split."""
        return self.select(self.frame["split"] == name)

    def without_modality(self) -> np.ndarray:
        """Returns a mask (images,) of those of which nothing states the modality."""
        return (self.frame["modality"] == LEFT_OPEN).to_numpy(bool)

    def label_sets(self) -> tuple[LabelSet, ...]:
        """Returns each task with its kind and its classes (numbers in numeric order, else sorted)."""
        labelled = self.frame[self.frame["labels"].notna()]
        names = labelled[["task", "task_kind", "labels"]].explode("labels").dropna()
        return tuple(
            LabelSet(str(task), str(kind), tuple(sorted(map(str, classes.unique()), key=_label_order)))
            for (task, kind), classes in names.groupby(["task", "task_kind"], sort=True)["labels"]
        )

    def patients(self) -> np.ndarray:
        """Returns (images,) texts that are equal exactly where the source and the group are.

        The group itself where only one source has a group of that name, else source and group. Images are
        told apart by these wherever those of one patient must stay together.
        """
        groups, sources = self.frame["group"], self.frame["source"]
        shared = sources.groupby(groups).transform("nunique") > 1
        return groups.where(~shared, sources + "\0" + groups).to_numpy(dtype=object)

    def read_image(self, row: int) -> MedicalImage:
        """Reads the image of a row: its frame where the file holds several.

        Raises:
            ImageError: the file is missing, damaged or of a kind that is not read, or has no such frame.
        """
        frame: Any = self.frame["frame"].iat[row] if "frame" in self.frame else 0
        return read_image(self.image_source(row), frame=int(frame))

    def image_source(self, row: int) -> bytes | Path:
        """Returns the encoded bytes or the path of a row's file, which may hold further frames.

        Where the table has the columns `offset` and `length`, the image lies in the middle of the file; where
        it has `zip_member`, in an archive.

        Raises:
            UnsupportedFormatError: such an archive has a password.
            DamagedImageError: such a file cannot be read.
            ImageTooLargeError: it has more bytes than an image may have.
        """
        image: Any = self.frame["image"].iat[row]
        path: Any = self.frame["path"].iat[row]
        if image is not None:
            return image
        member: Any = self.frame[ZIP_MEMBER].iat[row] if ZIP_MEMBER in self.frame else ""
        if member:
            return read_member(Path(path), member)
        offset: Any = self.frame["offset"].iat[row] if "offset" in self.frame else None
        if offset is None or pd.isna(offset):
            return Path(path)
        length: Any = self.frame["length"].iat[row]
        sha256: Any = self.frame[SHARD_CHECKSUM].iat[row] if SHARD_CHECKSUM in self.frame else None
        known = isinstance(sha256, str) and sha256 != ""
        return read_range(path, int(offset), int(length), sha256=sha256 if known else None)

    def cases(self) -> Iterator[Case]:
        """Yields the record of every row, without its pixels."""
        names = ("case_id", "modality", "labels", "source", "group", "split")
        columns = (self.frame[name].tolist() for name in names)
        for case_id, modality, labels, source, group, split in zip(*columns, strict=True):
            yield Case(case_id, modality, tuple(labels or ()), source, group, split)


def concatenate(manifests: Sequence[Manifest]) -> Manifest:
    """Joins manifests into one, with what was left out of each; case ids must stay unique.

    Raises:
        ManifestError: no manifest given, or two rows share a case_id.
    """
    if not manifests:
        raise ManifestError("there is nothing to join: no images were given.")
    left_out: Counter[str] = Counter()
    for manifest in manifests:
        left_out.update(manifest.left_out)
    notes = dict.fromkeys(note for manifest in manifests for note in manifest.notes)  # each once, in order
    frame = pd.concat([manifest.frame for manifest in manifests], ignore_index=True)
    unstated = any(manifest.unstated for manifest in manifests)
    return Manifest.from_frame(frame, left_out=left_out, notes=tuple(notes), unstated=unstated)


def count_reasons(left_out: Mapping[str, int]) -> str:
    """Returns what was left out as text, the commonest reason first, such as "3 unreadable"; else "none"."""
    counts = sorted(left_out.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {reason}" for reason, count in counts) or "none"


def stored_facts(schema: pa.Schema) -> dict[str, Any]:
    """Returns what a saved table holds beside its rows: `left_out` and `notes`, for `Manifest.from_frame`.

    Raises:
        ManifestError: it is not what `Manifest.save` writes.
    """
    try:
        facts = json.loads((schema.metadata or {}).get(_METADATA, b"{}"))
        left_out = {str(reason): int(count) for reason, count in facts.get("left_out", {}).items()}
        notes = facts.get("notes", [])
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise TypeError("notes are a list of sentences")
    except (ValueError, TypeError, AttributeError) as error:
        raise ManifestError(f"what the table says of itself is damaged ({error}); save it again.") from error
    return {"left_out": left_out, "notes": notes}


def log_reading(source: str, manifest: Manifest, what: str = "images") -> None:
    """Logs what was read of a source, what was left out of it and why, and its notes as warnings."""
    logger.info("%s: %d %s; left out: %s", source, len(manifest), what, count_reasons(manifest.left_out))
    for note in manifest.notes:
        logger.warning("%s: %s", source, note)


def _label_order(name: str) -> tuple[int, float, str]:
    return (0, float(name), name) if re.fullmatch(r"-?\d+(\.\d+)?", name) else (1, 0.0, name)


def _schema(frame: pd.DataFrame) -> pa.Schema:
    """Returns the stored type of every column: stated for some, inferred for the others."""
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
