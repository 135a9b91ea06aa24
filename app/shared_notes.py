"""The tags and notes beside the collection of the page: all read them, the host says whether all write."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from mermed_core.collections.annotations import (
    ANNOTATIONS,
    Annotations,
    read_annotations,
    tag_cases,
    write_note,
)
from mermed_core.errors import CollectionError
from mermed_core.files import file_mark

from .texts import note_text


class SharedNotes:
    """Reads the file again when it has changed, whoever changed it. Thread-safe.

    Attributes:
        writable: whether visitors may write.
    """

    def __init__(self, folder: Path, *, writable: bool) -> None:
        """Takes the collection's folder, and whether the host lets visitors write."""
        self.writable = writable and os.access(folder, os.W_OK)
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] | None = None
        self._read, self._problem = Annotations(), ""

    def read(self) -> Annotations:
        """Returns what is written; the same object until it changes; nothing where it is damaged."""
        with self._lock:
            seen = file_mark(self._folder / ANNOTATIONS)
            if seen != self._seen:
                try:
                    self._read, self._problem = read_annotations(self._folder), ""
                except CollectionError as error:
                    self._read, self._problem = Annotations(), str(error)
                self._seen = seen
            return self._read

    @property
    def problem(self) -> str:
        """Why nothing can be read, "" where it can."""
        self.read()
        return self._problem

    def tag(self, tag: str, cases: Iterable[str], *, on: bool) -> list[str]:
        """Gives or takes a tag; see `annotations.tag_cases`."""
        self._check()
        return tag_cases(self._folder, tag, cases, on=on)

    def note(self, case_id: str, text: str) -> str:
        """Writes a note; see `annotations.write_note`."""
        self._check()
        return write_note(self._folder, case_id, text)

    def _check(self) -> None:
        if not self.writable:
            raise CollectionError(note_text.READ_ONLY)
