"""What people wrote beside a collection: tags of cases, and a note on a case; one file in its folder.

The file states its own checksum and is replaced as a whole. The manifest does not name it: who tags a case
need not wait for who adds images for hours, and no reader has to open the cases again. It names cases by id,
and none that the collection has not: who is removed from the collection is removed from it too.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mermed_core.collections.folder import open_folder
from mermed_core.collections.stated import read_stated
from mermed_core.collections.store import case_columns
from mermed_core.errors import CollectionError
from mermed_core.files import one_at_a_time, write_json

ANNOTATIONS = "annotations.json"
FORMAT = 1
MOST_TAGS = 200  # of a collection
LONGEST_TAG, LONGEST_NOTE = 40, 2000  # letters


@dataclass(frozen=True)
class Annotations:
    """The tags and notes of a collection.

    Attributes:
        tags: tag → ids of the cases that have it, at least one.
        notes: id of a case → what is noted on it.
    """

    tags: Mapping[str, frozenset[str]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def cases(self) -> frozenset[str]:
        """The ids of all cases that have a tag or a note."""
        return frozenset(self.notes).union(*self.tags.values())

    def tags_of(self, case_id: str) -> list[str]:
        """Returns the tags of a case, sorted."""
        return sorted(tag for tag, cases in self.tags.items() if case_id in cases)

    def table(self) -> pd.DataFrame:
        """Returns a row for each case that has either: case, tags with a bar between two, and note."""
        cases = sorted(self.cases)
        tags = ["|".join(self.tags_of(case)) for case in cases]
        return pd.DataFrame(
            {"case": cases, "tags": tags, "note": [self.notes.get(case, "") for case in cases]}
        )


def read_annotations(folder: Path) -> Annotations:
    """Reads what is written beside a collection; nothing where there is no file.

    Raises:
        CollectionError: the file is damaged.
    """
    path = folder / ANNOTATIONS
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        if stated["format"] != FORMAT:
            raise ValueError(f"it is of format {stated['format']}, and this version reads format {FORMAT}")
        if stated["sha256"] != _checksum(stated["tags"], stated["notes"]):
            raise ValueError("it is not as it was written")
        return Annotations({tag: frozenset(cases) for tag, cases in stated["tags"].items()}, stated["notes"])
    except FileNotFoundError:
        return Annotations()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CollectionError(
            f"The tags and notes in '{path}' cannot be read ({error}). Put a copy of the file in its place, "
            "or delete it and begin anew."
        ) from error


def tag_cases(folder: Path, tag: str, cases: Iterable[str], *, on: bool = True) -> list[str]:
    """Gives cases a tag, or takes it from them; returns the ids of those with which that changed something.

    With these, and the other value of `on`, another call takes the change back.

    Args:
        folder: the collection.
        tag: a word or a few, at most `LONGEST_TAG` letters.
        cases: ids; those that the collection has not (any more) are left out.
        on: give it; otherwise take it.

    Raises:
        CollectionError: the tag is empty or too long, there are too many, or the file is damaged.
    """
    name, wanted = tag_name(tag), frozenset(cases)
    with _writing(folder) as before:
        had = before.tags.get(name, frozenset())
        if on and name not in before.tags and len(before.tags) >= MOST_TAGS:
            raise CollectionError(
                f"A collection has at most {MOST_TAGS} tags; take one from all cases first."
            )
        changed = _there(folder, wanted - had) if on else wanted & had
        if changed:
            tagged = had | changed if on else had - changed
            _write(folder, Annotations({**before.tags, name: tagged}, before.notes))
    return sorted(changed)


def write_note(folder: Path, case_id: str, text: str) -> str:
    """Writes a note on a case in the place of the one before, which is returned; an empty one removes it.

    Raises:
        CollectionError: the collection has no such case, the note is too long, or the file is damaged.
    """
    text = text.strip()
    if len(text) > LONGEST_NOTE:
        raise CollectionError(f"A note has at most {LONGEST_NOTE} letters; this one has {len(text)}.")
    with _writing(folder) as before:
        if text and not _there(folder, frozenset([case_id])):
            raise CollectionError(f"The collection in '{folder}' has no case '{case_id}'.")
        if text != before.notes.get(case_id, ""):
            _write(folder, Annotations(before.tags, {**before.notes, case_id: text}))
    return before.notes.get(case_id, "")


def forget_removed(folder: Path) -> None:
    """Removes what is written about cases that the collection has not any more.

    Raises:
        CollectionError: the file is damaged.
    """
    if not (folder / ANNOTATIONS).exists():
        return
    with _writing(folder) as before:
        there = _there(folder, before.cases)
        if there != before.cases:
            tags = {tag: cases & there for tag, cases in before.tags.items()}
            notes = {case: text for case, text in before.notes.items() if case in there}
            _write(folder, Annotations(tags, notes))


def rename_cases(folder: Path, names: Mapping[str, str]) -> None:
    """Writes what is written about cases under new ids, given by the old ones.

    Raises:
        CollectionError: the file is damaged.
    """
    if not names or not (folder / ANNOTATIONS).exists():
        return
    with _writing(folder) as before:
        tags = {tag: frozenset(names.get(case, case) for case in cases) for tag, cases in before.tags.items()}
        notes = {names.get(case, case): text for case, text in before.notes.items()}
        if (tags, notes) != (before.tags, before.notes):
            _write(folder, Annotations(tags, notes))


def tag_name(tag: str) -> str:
    """Returns a tag as it is kept, with single spaces; raises CollectionError where it can be none."""
    name = " ".join(tag.split())
    if "|" in name or not 0 < len(name) <= LONGEST_TAG or not name.isprintable():
        raise CollectionError(f"A tag has 1 to {LONGEST_TAG} letters, no bar and no line break.")
    return name


@contextmanager
def _writing(folder: Path) -> Iterator[Annotations]:
    """Yields what is written, while nobody else writes."""
    read_stated(folder)  # before a lock is written into what is no collection
    try:
        with one_at_a_time(folder / ANNOTATIONS):
            yield read_annotations(folder)
    except PermissionError as error:
        raise CollectionError(f"Nothing can be written into '{folder}' ({error.strerror}).") from error


def _there(folder: Path, cases: frozenset[str]) -> frozenset[str]:
    """Returns those of some ids that the collection has now, whatever it had when somebody opened it."""
    if not cases:
        return cases
    column = case_columns(open_folder(folder))["case_id"]
    return frozenset(map(str, column[column.isin(list(cases))]))


def _write(folder: Path, annotations: Annotations) -> None:
    """Writes what is not empty; where nothing is, there is no file."""
    tags = {tag: sorted(cases) for tag, cases in sorted(annotations.tags.items()) if cases}
    notes = {case: text for case, text in sorted(annotations.notes.items()) if text}
    if tags or notes:
        stated = {"format": FORMAT, "sha256": _checksum(tags, notes), "tags": tags, "notes": notes}
        write_json(folder / ANNOTATIONS, stated)
    else:
        (folder / ANNOTATIONS).unlink(missing_ok=True)


def _checksum(tags: Mapping[str, list[str]], notes: Mapping[str, str]) -> str:
    written = json.dumps([tags, notes], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()
