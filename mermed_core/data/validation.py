"""The checks on a table of images: what may be left out is filled in, then each column is checked once.

A million rows are checked in seconds: whole columns at a time, and row by row only to name the one at fault.
"""

from collections.abc import Iterable
from itertools import chain, repeat
from operator import contains
from typing import Any

import numpy as np
import pandas as pd

from mermed_core.errors import ManifestError
from mermed_core.modalities import LEFT_OPEN, UnknownModalityError, modality_key

SPLITS = ("train", "val", "test", "")
TASK_KINDS = ("multiclass", "multilabel", "ordinal")
COLUMNS = ("case_id", "path", "image", "modality", "labels", "task", "task_kind", "group", "split", "source")
FILE = "file"  # optional: what the image's own file was called
TOLD_BY = "modality told by"  # optional: who says the modality of an image
BY_MODEL, BY_FILE = "model", "file"
KIND = "kind of image"  # optional: whether the model takes an image for one of the seven kinds
KNOWN, UNUSUAL, UNKNOWN = "known", "unusual", "unknown"
NAMED_BY = "--modality cxr, or images:FOLDER?modality=cxr"
"""How a person names the modality of images that do not state theirs, for sentences that ask for it."""
ZIP_MEMBER = "zip_member"  # optional: what the archive at `path` calls the image

SPLIT_ALIASES = {
    "training": "train",
    "validation": "val",
    "valid": "val",
    "dev": "val",
    "testing": "test",
}


def validated(frame: pd.DataFrame, *, unstated: bool = False) -> pd.DataFrame:
    """Returns a complete table, indexed 0..n-1, with every column of `COLUMNS` first; changes nothing given.

    Args:
        frame: the table.
        unstated: a modality may be missing; it becomes `LEFT_OPEN`.

    Raises:
        ManifestError: names the row and the column.
    """
    frame = frame.reset_index(drop=True)
    if frame.empty:
        raise ManifestError("the table holds no images.")
    for column in ("modality", "source"):
        if column not in frame:
            raise ManifestError("this column is missing from the table.", column=column)
    frame["modality"] = _modality_keys(frame["modality"], unstated)
    frame["source"] = _texts(frame["source"])
    frame = _with_images(_with_names(frame))
    frame["labels"] = _label_lists(frame)
    if "frame" in frame:
        frame["frame"] = _frame_numbers(frame["frame"])
    for column in (FILE, ZIP_MEMBER):
        if column in frame:
            frame[column] = frame[column].astype(object).where(frame[column].notna(), "").astype(str)
    if ZIP_MEMBER in frame and (frame[ZIP_MEMBER] == "").all():
        frame = frame.drop(columns=ZIP_MEMBER)
    return frame[[*COLUMNS, *(column for column in frame if column not in COLUMNS)]]


def split_name(text: str) -> str:
    """Returns the split that a name stands for, such as "val" for "Validation"; an unknown name as it is."""
    lowered = text.strip().lower()
    return SPLIT_ALIASES.get(lowered, lowered if lowered in SPLITS else text)


def fill_modality(frame: pd.DataFrame, modality: str | None) -> pd.DataFrame:
    """Gives the modality, which may be `LEFT_OPEN`, to the rows that do not state theirs.

    Raises:
        ManifestError: the table has no modality column and none is given.
    """
    if "modality" not in frame and modality is None:
        raise ManifestError(
            f"this column is missing; add it, or name the modality of all images ({NAMED_BY}).",
            column="modality",
        )
    if modality is None:
        return frame
    known = frame["modality"].astype(object) if "modality" in frame else pd.Series(None, frame.index, object)
    return frame.assign(modality=known.where(known.notna(), modality))


def row_names(starts: pd.Series) -> pd.Series:
    """Returns start/000000, start/000001 and so on, by the row."""
    numbers = pd.Series(range(len(starts)), starts.index).astype(str).str.zfill(6)
    return starts.astype(str) + "/" + numbers


def _with_names(frame: pd.DataFrame) -> pd.DataFrame:
    if "case_id" not in frame:
        frame["case_id"] = row_names(frame["source"])
    if "task" not in frame:
        frame["task"] = default_tasks(frame)
    for column in ("case_id", "task"):
        frame[column] = _texts(frame[column])
    refuse(frame["case_id"].duplicated(), frame["case_id"], "'{}' is in an earlier row too.")
    groups = frame["group"].astype(object) if "group" in frame else frame["case_id"]
    frame["group"] = _texts(groups.where(groups.notna(), frame["case_id"]).rename("group"))
    frame["task_kind"] = _task_kinds(frame)
    frame["split"] = _splits(frame)
    return frame


def default_tasks(frame: pd.DataFrame) -> pd.Series:
    """Returns the source; one of several modalities has a task for each, for classes are of one modality."""
    several = frame.groupby("source")["modality"].transform("nunique") > 1
    return frame["source"].where(~several, frame["source"] + "-" + frame["modality"])


def _with_images(frame: pd.DataFrame) -> pd.DataFrame:
    for column in ("path", "image"):
        values = frame[column].astype(object) if column in frame else pd.Series(None, frame.index, object)
        frame[column] = values.where(values.notna(), None)
    paths, images = frame["path"], frame["image"]
    refuse(paths.isna() == images.isna(), paths, "exactly one of 'path' and 'image' must be given.")
    named = paths[paths.notna()].tolist()
    if not set(map(type, named)) <= {str} or not all(named) or any(map(contains, named, repeat("\0"))):
        unnamed = [path is not None and not _names_a_file(path) for path in paths]
        refuse(unnamed, paths, "a path is a text that is not empty and has no null character.")
    if not set(map(type, images)) <= {bytes, type(None)}:
        not_encoded = [image is not None and not isinstance(image, bytes) for image in images]
        refuse(not_encoded, images, "an image is given as the bytes of its file.")
    return frame


def _names_a_file(path: Any) -> bool:
    return isinstance(path, str) and path != "" and "\0" not in path


def _frame_numbers(values: pd.Series) -> pd.Series:
    """Returns which frame of its file each image is; 0 where none is stated."""
    stated = values.notna()
    numbers = pd.to_numeric(values.where(stated, 0), errors="coerce").astype(float)
    whole = (numbers >= 0) & (numbers % 1 == 0)
    refuse(~whole, values, "'{}' is not the number of a frame (0, 1, 2, …).")
    return numbers.astype(np.int64)


def _modality_keys(names: pd.Series, unstated: bool) -> pd.Series:
    names = names.astype(object).where(names.notna(), "").astype(str)
    keys, problems = ({LEFT_OPEN: LEFT_OPEN} if unstated else {}), {}
    for name in set(names.unique()) - keys.keys():
        try:
            keys[name] = modality_key(name)
        except UnknownModalityError as error:
            problems[name] = str(error)
    unknown = np.flatnonzero(names.isin(list(problems)))
    if len(unknown):
        row = int(unknown[0])
        raise ManifestError(problems[names.iloc[row]], row=row, column="modality")
    return names.map(keys)


def _task_kinds(frame: pd.DataFrame) -> pd.Series:
    if "task_kind" not in frame:
        return pd.Series("multiclass", frame.index, str)
    kinds = _texts(frame["task_kind"])
    refuse(~kinds.isin(TASK_KINDS), kinds, f"'{{}}' is not one of {', '.join(TASK_KINDS)}.")
    first = kinds.groupby(frame["task"]).transform("first")
    refuse(kinds != first, frame["task"], "task '{}' has another kind in an earlier row.", "task_kind")
    return kinds


def _splits(frame: pd.DataFrame) -> pd.Series:
    if "split" not in frame:
        return pd.Series("", frame.index, str)
    given = frame["split"].astype(object)
    given = given.where(given.notna(), "").astype(str)
    splits = given.map({text: split_name(text) for text in given.unique()})
    refuse(~splits.isin(SPLITS), given, "'{}' is not one of train, val, test.")
    return splits


def _texts(values: pd.Series) -> pd.Series:
    refuse(values.isna(), values, "a value is missing.")
    texts = values.astype(str)
    refuse(texts == "", values, "a value is missing.")
    return texts


def _label_lists(frame: pd.DataFrame) -> pd.Series:
    values = frame["labels"].astype(object) if "labels" in frame else pd.Series(None, frame.index, object)
    known = values.where(values.notna(), None).tolist()
    kinds = frame["task_kind"].tolist()
    _check_labels(known, kinds)
    lists = [None if labels is None else list(labels) for labels in known]
    return pd.Series(lists, frame.index, object)


def _check_labels(known: list[Any], kinds: list[str]) -> None:
    """Raises ManifestError on the first row whose labels are no list of class names that its kind allows."""
    lists = [labels for labels in known if labels is not None]
    if all(issubclass(kind, (list, tuple, np.ndarray)) for kind in set(map(type, lists))):
        names = list(chain.from_iterable(lists))
        texts = all(issubclass(kind, str) for kind in set(map(type, names)))
        single = len(names) == len(lists) and all(map(len, lists))
        distinct = single or (set(kinds) == {"multilabel"} and sum(map(len, map(set, lists))) == len(names))
        if texts and "" not in names and distinct:
            return
    for row, (labels, kind) in enumerate(zip(known, kinds, strict=True)):
        if labels is not None and (problem := _label_problem(labels, kind)):
            raise ManifestError(problem, row=row, column="labels")


def _label_problem(labels: Any, kind: str) -> str:
    if not isinstance(labels, (list, tuple, np.ndarray)):
        return "labels are a list of class names."
    for label in labels:
        if not isinstance(label, str) or not label:
            return "a class name is a text that is not empty."
    if kind != "multilabel" and len(labels) != 1:
        return f"a {kind} task has one label a row."
    return "a class is named twice." if len(set(labels)) != len(labels) else ""


def refuse(bad: Iterable[bool], values: pd.Series, problem: str, column: str | None = None) -> None:
    """Raises an error on the first row that is marked; "{}" in the problem stands for its value."""
    rows = np.flatnonzero(np.asarray(bad, dtype=bool))
    if len(rows):
        row = int(rows[0])
        raise ManifestError(problem.format(values.iloc[row]), row=row, column=column or str(values.name))
