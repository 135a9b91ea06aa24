"""Visitors' collections that the host keeps, each found again by the token of its page and nothing else."""

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from mermed_core.collections.stated import MANIFEST, read_stated
from mermed_core.errors import CollectionError

_DIGITS = 32


@dataclass(frozen=True)
class KeptCollection:
    """A collection as its visitor knows it.

    Attributes:
        token: that the address of its page holds.
        name: for people.
        cases: how many images it has.
        changed: the day on which it was last changed; mostly that on which it was made.
    """

    token: str
    name: str
    cases: int
    changed: date


class KeptCollections:
    """The folder that kept collections lie in.

    A collection's folder is named after a hash of its token: who sees the folder cannot open the page.

    Args:
        folder: the place.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, token: str) -> Path:
        """Returns where the collection of a token is, or is to be."""
        return self._folder / f"own-{hashlib.sha256(token.encode()).hexdigest()[:_DIGITS]}"

    def find(self, token: str) -> Path | None:
        """Returns where the collection of a token is, None where there is none."""
        folder = self.place(token)
        return folder if (folder / MANIFEST).is_file() else None

    def of(self, tokens: Iterable[str]) -> list[KeptCollection]:
        """Returns the collections of some tokens in their order, without those that are gone or damaged."""
        found = []
        for token in tokens:
            folder = self.place(token)
            try:
                stated = read_stated(folder)
                changed = date.fromtimestamp((folder / MANIFEST).stat().st_mtime)
            except (CollectionError, OSError):
                continue
            found.append(KeptCollection(token, stated.name, stated.cases, changed))
        return found

    def forget(self, token: str) -> None:
        """Deletes the collection of a token; does nothing where there is none."""
        shutil.rmtree(self.place(token), ignore_errors=True)
