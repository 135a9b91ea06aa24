"""What a table's place among the files tells: which set its rows are of, and which split they are."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mermed_core.data.manifest import Manifest, concatenate
from mermed_core.data.validation import SPLIT_ALIASES, SPLITS, default_tasks, row_names, split_name

# Such as train, val_2 and test-00000-of-00003 (how the Hub names its files, formerly with a digest behind).
_PART = re.compile(
    rf"({'|'.join([*filter(None, SPLITS), *SPLIT_ALIASES])})([-_]?\d+)?(-of-\d+)?(-[0-9a-f]{{16}})?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class TableName:
    """What the rows of a table are called where the table does not say.

    Attributes:
        source: the set; the tables of its splits have it in common.
        table: the start of the rows' case ids, of this table alone.
        split: train, val, test, or "" where the file's name tells none.
    """

    source: str
    table: str
    split: str


def table_names(files: Iterable[Path]) -> dict[Path, TableName]:
    """Names tables after their files.

    A file that is named after a split (train.csv, test-00000-of-00003.parquet) is a part of the set that its
    folder is named after; any other is a set of its own. Where two sets would have one name, as of
    a/labels.csv and b/labels.csv, the folders above stand before it.
    """
    places = {file: _place(file) for file in files}
    sources = _shortest_names({place for place, _ in places.values()})
    return {file: _name(file, sources[place], split) for file, (place, split) in places.items()}


def fill_names(frame: pd.DataFrame, name: TableName) -> pd.DataFrame:
    """Gives case_id, source and split to the rows of a table that does not state them."""
    source = frame["source"].astype(object) if "source" in frame else pd.Series(None, frame.index, object)
    frame = frame.assign(source=source.where(source.notna(), name.source))
    if "case_id" not in frame:
        frame["case_id"] = row_names(pd.Series(name.table, frame.index))
    if "split" not in frame and name.split:
        frame["split"] = name.split
    return frame


def with_default_tasks(manifest: Manifest, names: Iterable[TableName]) -> Manifest:
    """Gives a set of several modalities a task for each, also where each of its tables holds one alone."""
    frame = manifest.frame
    parted = {name.source for name in names if name.split}
    default = frame["source"].isin(parted) & (frame["task"] == frame["source"])
    if not default.any():
        return manifest
    return manifest.with_frame(frame.assign(task=frame["task"].where(~default, default_tasks(frame))))


def join_tables(tables: Sequence[Manifest]) -> Manifest:
    """Joins tables, of which some may be parts of one set.

    Where one part of a task has rows of several classes (multilabel) and another happens to have one class in
    every row (multiclass), the whole task is multilabel.

    Raises:
        ManifestError: as `concatenate`.
    """
    kinds = {(task, kind) for table in tables for task, kind in _kinds_of_tasks(table)}
    mixed = [task for task, kind in kinds if kind == "multilabel" and (task, "multiclass") in kinds]
    return concatenate([_as_multilabel(table, mixed) for table in tables] if mixed else tables)


def _kinds_of_tasks(table: Manifest) -> Iterable[tuple[str, str]]:
    return table.frame[["task", "task_kind"]].drop_duplicates().itertuples(index=False, name=None)


def _as_multilabel(table: Manifest, tasks: Sequence[str]) -> Manifest:
    frame = table.frame
    return table.with_frame(
        frame.assign(task_kind=frame["task_kind"].where(~frame["task"].isin(tasks), "multilabel"))
    )


def _place(file: Path) -> tuple[Path, str]:
    """Returns what a table's set is named after, and the split that the file's name tells."""
    whole = Path(os.path.abspath(file))
    part = _PART.fullmatch(whole.stem)
    if part and whole.parent.name:
        return whole.parent, split_name(part[1])
    return whole.parent / whole.stem, split_name(part[1]) if part else ""


def _name(file: Path, source: str, split: str) -> TableName:
    return TableName(source, f"{source}/{file.stem}" if split else source, split)


def _shortest_names(places: Collection[Path]) -> dict[Path, str]:
    """Returns the last name of each path, with as many before it as tell it from the others."""
    names: dict[Path, str] = {}
    pending, length = set(places), 0
    while pending:
        length += 1
        ends = {place: place.parts[-length:] for place in pending}
        counts = Counter(ends.values())
        names |= {place: "/".join(end).lstrip("/") for place, end in ends.items() if counts[end] == 1}
        pending -= names.keys()
    return names
