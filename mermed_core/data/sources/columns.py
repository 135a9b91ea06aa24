"""What the columns of a table mean, alike in CSV, parquet and shards: patients, classes, gaps and numbers.

Programs write one thing in many ways: patient 123 becomes 123.0 where a neighbouring cell is empty, a missing
class "nan", a class column per disease. What is read as something else than it says goes into the notes.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mermed_core.data.pseudonyms import pseudonyms
from mermed_core.errors import ManifestError

# How columns are called, in small letters and figures alone: PatientID, "Patient ID" and patient_id are one.
_NAMES = {
    "group": "group",
    "modality": "modality",
    "label": "label",
    "labels": "labels",
    "split": "split",
    "source": "source",
    "task": "task",
    "taskkind": "task_kind",
    "frame": "frame",
}
# Who or what an image is of, the widest first: images of one patient belong together, whatever their study.
_IDENTITIES = {
    "patient": (
        *("patientid", "patient", "patientno", "patientnumber", "patientname", "idpatient", "patid", "ptid"),
        *("subjectid", "subject", "participantid", "participant", "personid", "mrn", "pid"),
        *("paciente", "idpaciente", "pacienteid", "patientenid", "patientennummer"),
    ),
    "lesion": ("lesionid", "lesion"),
    "study": (
        *("studyid", "studyuid", "studyinstanceuid", "examid", "examinationid", "encounterid"),
        *("accession", "accessionnumber", "accessionno"),
    ),
}
_LEVEL_OF_NAME = {name: level for level, names in _IDENTITIES.items() for name in names}

_MISSING = {"", "nan", "none", "null", "n/a", "na", "<na>", "#n/a", "nat"}
_NOBODY = _MISSING | {"unknown", "anonymous", "anonymised", "anonymized", "anon", "?", "-"}
_WHOLE_NUMBER = re.compile(r"(-?(?:0|[1-9]\d*))(?:\.0*|,0{1,2})")  # 007 and 007.0 are no numbers but names
_BETWEEN_CLASSES = "|"
_UNLABELLED = "-1"  # how files of the Hub, whose classes are numbered, mark an image without a label

# Columns of 0 and 1 that say something else than a class.
_NO_CLASSES = {
    *("sex", "gender", "male", "female", "age", "smoker", "smoking", "pregnant", "dead", "death", "event"),
    *("train", "training", "val", "valid", "validation", "test", "testing", "split", "fold", "istrain"),
    *("left", "right", "laterality", "side", "eye", "view", "frontal", "lateral", "ap", "pa", "portable"),
    *("id", "index", "row", "number", "width", "height", "quality", "usable", "gradable", "include"),
    *("exclude", "istest", "isval", "isvalid", "augmented", "synthetic", "inverted", "flipped", "weight"),
    *("path", "image", "caseid", "offset", "length", "count"),
}
_CLASS_PREFIX = re.compile(r"(label|class|target|dx|diagnosis|finding)s?[_. :-]+", re.IGNORECASE)
_TRUTH = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


@dataclass
class TableColumns:
    """A table under the manifest's column names.

    Attributes:
        frame: the columns; those of classes and patients already read.
        own_names: how the table itself calls each column.
        notes: what was read as something else than it says.
    """

    frame: pd.DataFrame
    own_names: dict[str, str]
    notes: list[str] = field(default_factory=list)


def read_columns(
    table: pd.DataFrame, further: Mapping[str, str] | None = None, *, class_names: Sequence[str] = ()
) -> TableColumns:
    """Reads a table's columns, in any order and case, as the manifest has them.

    `group` is kept; without it (or where it is empty) patients, else lesions, else studies are the groups,
    by a pseudonym alone (columns such as patient_id, subject, lesion_id, StudyInstanceUID; the identifiers
    themselves are dropped). `label` holds one class, `labels` several (a list, or text separated by |).
    Where neither is there, two or more columns of 0 and 1 are classes: one of many if every row has exactly
    one 1, else several; a gap counts as 0, and a row with -1 (uncertain) as unlabelled. Blanks around values
    are dropped, whole numbers with a decimal point (123.0) read as whole (123), and words such as nan, none
    and N/A as missing.

    Args:
        table: rows of images.
        further: names of columns that this kind of table alone has, and what they are called here.
        class_names: of labels that are numbers.

    Raises:
        ManifestError: two columns mean the same, or a class is neither a name nor a whole number; the column
            is called as in the table.
    """
    own_names, identities = _named(table, further or {})
    frame = table.rename(columns={own: name for name, own in own_names.items()})
    columns = TableColumns(frame, own_names)
    for name in ("modality", "split", "source", "task", "task_kind"):
        if name in columns.frame:
            columns.frame[name] = _known(columns, name, _MISSING)
    _read_groups(columns, identities)
    _read_labels(columns, class_names)
    return columns


def _named(table: pd.DataFrame, further: Mapping[str, str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Returns the table's own name of each column that is known, and its columns that identify."""
    known = {**_NAMES, **further}
    named: dict[str, str] = {}
    identities: dict[str, list[str]] = {level: [] for level in _IDENTITIES}
    for column in map(str, table):
        plain = _plain(column)
        if name := known.get(plain):
            if name in named:
                raise ManifestError(
                    f"it means the same as '{named[name]}'; rename or remove one.", column=column
                )
            named[name] = column
        elif level := _LEVEL_OF_NAME.get(plain):
            identities[level].append(column)
    return named, identities


def _plain(column: str) -> str:
    return "".join(character for character in column.casefold() if character.isalnum())


def tidied(value: Any) -> str:
    """Returns a value as the text that every program's way of writing it comes to, "" for a missing one."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:  # NaN alone differs from itself
        return ""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    text = str(value).strip()
    whole = _WHOLE_NUMBER.fullmatch(text)
    return whole[1] if whole else text


def is_missing(text: str, words: Iterable[str] = _MISSING) -> bool:
    """Returns whether a text stands for a missing value."""
    return text.casefold() in words


def is_nobody(text: str) -> bool:
    """Returns whether a text names no patient in particular."""
    return is_missing(text, _NOBODY)


def _known(columns: TableColumns, name: str, missing: set[str]) -> pd.Series:
    """Returns a column as tidy texts, None for words that mean a missing value; these are noted."""
    values = columns.frame[name].astype(object)
    texts = {value: tidied(value) for value in values.dropna().unique()}
    words = values.map({value: text for value, text in texts.items() if text and is_missing(text, missing)})
    _note_words(columns, columns.own_names.get(name, name), words.dropna())
    kept = {value: text for value, text in texts.items() if not is_missing(text, missing)}
    known = values.map(kept)
    return known.astype(object).where(known.notna(), None)


def _note_words(columns: TableColumns, column: str, words: Iterable[str]) -> None:
    if counts := Counter(words):
        examples = ", ".join(f"'{word}' ({count:,})" for word, count in counts.most_common(3))
        columns.notes.append(f"Column '{column}': {examples} is read as a missing value.")


def _read_groups(columns: TableColumns, identities: Mapping[str, list[str]]) -> None:
    frame = columns.frame
    if "group" not in frame and not any(identities.values()):
        return
    groups = pd.Series(None, frame.index, object)
    if "group" in frame:
        groups = _known(columns, "group", _NOBODY)
    for level, names in identities.items():
        # A patient's pseudonym is that of the identifier alone, so that it is the same as in a DICOM tree.
        before = "" if level == "patient" else f"{level} "
        for name in names:
            known = _known(columns, name, _NOBODY)
            texts = known.dropna().unique()
            names_of = pseudonyms(before + text for text in texts)
            groups = groups.where(
                groups.notna(), known.map({text: names_of[before + text] for text in texts})
            )
            frame = frame.drop(columns=name)
    columns.frame = frame.assign(group=groups.astype(object).where(groups.notna(), None))


def _read_labels(columns: TableColumns, class_names: Sequence[str]) -> None:
    frame = columns.frame
    if "labels" in frame:
        name, several = "labels", True
    elif "label" in frame:
        name, several = "label", bool({list, np.ndarray} & set(map(type, frame["label"].tolist())))
    else:
        _read_class_columns(columns)
        return
    lists = _class_lists(columns, name, class_names)
    frame = frame.drop(columns=["label", "labels"], errors="ignore")
    frame["labels"] = pd.Series(lists, frame.index, object)
    kind = pd.Series("multilabel" if several else "multiclass", frame.index, object)
    stated = frame.get("task_kind", kind)
    columns.frame = frame.assign(task_kind=stated.where(stated.notna(), kind))


def _class_lists(columns: TableColumns, name: str, class_names: Sequence[str]) -> list[list[str] | None]:
    """Returns the classes of each row, None for the unlabelled; each different value is looked at once."""
    own_name = columns.own_names[name]
    known: dict[Any, tuple[list[str] | None, list[str]]] = {}
    words: list[str] = []
    lists: list[list[str] | None] = []
    for row, value in enumerate(columns.frame[name].tolist()):
        value = tuple(value) if isinstance(value, (list, np.ndarray)) else value
        key = (type(value), value)
        try:
            if key not in known:
                known[key] = _classes(value, class_names, split=name == "labels")
        except (TypeError, ValueError) as error:  # the former of a list of lists
            raise ManifestError(str(error), row=row, column=own_name) from None
        classes, missing = known[key]
        lists.append(classes)
        words += missing
    _note_words(columns, own_name, words)
    return lists


def _classes(value: Any, names: Sequence[str], *, split: bool) -> tuple[list[str] | None, list[str]]:
    """Returns the classes that a cell names, None where it names none, and its words for a missing value."""
    items = list(value) if isinstance(value, tuple) else [value]
    if split and isinstance(value, str):
        items = value.split(_BETWEEN_CLASSES)
    texts = list(filter(None, (_class_name(item, names) for item in items)))
    missing = [text for text in texts if not names and is_missing(text)]
    classes = [text for text in texts if text not in missing]
    several = value == () or (isinstance(value, str) and split and len(items) > 1)
    return (classes if classes or (several and not missing) else None), missing


def _class_name(value: Any, names: Sequence[str]) -> str:
    """Returns the name of a class, "" for none."""
    text = tidied(value)
    if not text or isinstance(value, str):
        return text
    if not (isinstance(value, (int, np.integer, np.bool_)) or text.removeprefix("-").isdecimal()):
        raise ValueError(f"{value!r} is no class; a class is a name or a whole number.")
    if not names:
        return text
    if text == _UNLABELLED:
        return ""
    if not 0 <= int(value) < len(names):
        raise ValueError(f"{text} is not one of the {len(names)} classes that the file names.")
    return names[int(value)].strip()


def _read_class_columns(columns: TableColumns) -> None:
    """Reads columns of 0 and 1, one for each class, where there are several."""
    frame = columns.frame
    values = {str(column): _zeros_and_ones(frame[column]) for column in frame if _may_be_class(str(column))}
    classes = {column: numbers for column, numbers in values.items() if numbers is not None}
    prefixed = {column: numbers for column, numbers in classes.items() if _CLASS_PREFIX.match(column)}
    with_prefix = len(prefixed) > 1
    classes = prefixed if with_prefix else classes
    if len(classes) < 2:
        return
    names = np.array([_CLASS_PREFIX.sub("", name, 1) if with_prefix else name for name in classes])
    numbers = np.stack(list(classes.values()), axis=1)
    uncertain, empty = (numbers == -1).any(axis=1), np.isnan(numbers).all(axis=1)
    unlabelled = uncertain | empty
    chosen = numbers == 1
    exclusive = bool((chosen.sum(axis=1) == 1)[~unlabelled].all())
    lists = [None if skip else names[row].tolist() for row, skip in zip(chosen, unlabelled, strict=True)]
    frame = frame.drop(columns=list(classes))
    frame["labels"] = pd.Series(lists, frame.index, object)
    columns.frame = frame.assign(task_kind="multiclass" if exclusive else "multilabel")
    what = "of which every row has one" if exclusive else "of which a row may have several or none"
    note = f"The columns {', '.join(names)} of 0 and 1 are read as classes, {what}"
    if uncertain.any():
        note += f"; {uncertain.sum():,} rows with -1 (uncertain) are unlabelled"
    if gaps := int((np.isnan(numbers).any(axis=1) & ~unlabelled).sum()):
        note += f"; empty cells in {gaps:,} rows count as 0"
    columns.notes.append(f"{note}. Add a column label or labels if they are no classes.")


def _may_be_class(column: str) -> bool:
    plain = _plain(column)
    return (
        bool(plain) and plain not in _NAMES and plain not in _NO_CLASSES and not plain.startswith("unnamed")
    )


def _zeros_and_ones(values: pd.Series) -> np.ndarray | None:
    """Returns 0, 1, -1 and NaN for a gap; None for a column that holds anything else or no 0 and 1 at all."""
    numbers: dict[Any, float] = {}
    try:
        for value in values.dropna().unique():
            text = tidied(value)
            numbers[value] = np.nan if is_missing(text) else _TRUTH.get(text.casefold(), _number(text))
    except TypeError:  # lists and the like
        return None
    known = {number for number in numbers.values() if number == number}
    if not known <= {0.0, 1.0, -1.0} or not known & {0.0, 1.0}:
        return None
    return values.astype(object).map(numbers).to_numpy(dtype=float, na_value=np.nan)


def _number(text: str) -> float:
    return float(text) if text in ("0", "1", "-1") else 2.0
