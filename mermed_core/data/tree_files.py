"""The files of a folder tree, those in its ZIP archives among them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mermed_core.data.file_tree import walk_files
from mermed_core.data.validation import SPLITS, split_name
from mermed_core.data.zip_members import ZIP_SUFFIX, is_zip, member_names, open_member, read_member
from mermed_core.errors import ImageError
from mermed_core.imaging.kinds import HEAD_BYTES
from mermed_core.imaging.reader import looks_like_image
from mermed_core.modalities import UnknownModalityError, modality_key

CLOSED_ARCHIVE = "ZIP archives that cannot be opened"
NESTED_ARCHIVE = "ZIP archives within ZIP archives"


@dataclass(frozen=True)
class TreeFile:
    """A file of a tree.

    Attributes:
        name: relative to the tree with "/"; of a file in an archive with the archive's name before it.
        path: of the file, or of the archive that it lies in.
        folders: that it lies in and that say what it is: an archive counts as unpacked where it lies.
        member: what its archive calls it, "" where it lies in none.
    """

    name: str
    path: Path
    folders: tuple[str, ...]
    member: str = ""

    @property
    def kind(self) -> str | None:
        """The kind of image by the content, see `looks_like_image`; None for no image."""
        if not self.member:
            return looks_like_image(self.path)
        try:
            with self.opened() as file:
                return looks_like_image(file.read(HEAD_BYTES))
        except ImageError:
            return None

    @property
    def source(self) -> Path | bytes:
        """The path, or the bytes where it lies in an archive; raises ImageError where those are damaged."""
        return read_member(self.path, self.member) if self.member else self.path

    def opened(self) -> AbstractContextManager[BinaryIO]:
        """Opens the file for reading."""
        return open_member(self.path, self.member) if self.member else self.path.open("rb")


def tree_files(folder: Path, left_out: Counter[str], notes: list[str]) -> Iterator[TreeFile]:
    """Yields the files below a folder and those in its ZIP archives, in sorted order.

    Args:
        folder: the tree.
        left_out: where what is hidden, and archives that are not read, are counted.
        notes: where archives that are not read are named, with the reason.

    Raises:
        ManifestError: as `walk_files`.
    """
    for name in walk_files(folder, left_out):
        path = folder / name
        if not is_zip(path):
            yield TreeFile(name, path, tuple(name.split("/")[:-1]))
            continue
        try:
            packed = archive_files(name, path)
        except ImageError as error:
            left_out[CLOSED_ARCHIVE] += 1
            notes.append(f"'{name}' is not read: {error}")
            continue
        for file in packed:
            if file.name.lower().endswith(ZIP_SUFFIX):
                left_out[NESTED_ARCHIVE] += 1
                notes.append(f"'{file.name}' is not read: it is an archive in an archive. Unpack '{name}'.")
            else:
                yield file


def archive_files(name: str, path: Path) -> list[TreeFile]:
    """Returns the files in an archive of a tree, archives among them, in sorted order.

    Args:
        name: of the archive, relative to the tree.
        path: where it is.

    Raises:
        ImageError: it has a password, is packed in a rare way or damaged.
    """
    above = tuple(name.split("/")[:-1])
    members = member_names(path)
    skipped = _wrappers(members)
    return [
        TreeFile(f"{name}/{inner}", path, above + tuple(inner.split("/")[skipped:-1]), member)
        for inner, member in members.items()
    ]


def _wrappers(members: Iterable[str]) -> int:
    """Returns how many folders at the top of an archive only hold all others, and say nothing."""
    places = [name.split("/")[:-1] for name in members]
    depth = 0
    while places and all(len(place) > depth + 1 for place in places):
        tops = {place[depth] for place in places}
        if len(tops) > 1 or _says(tops.pop()):
            break
        depth += 1
    return depth


def _says(name: str) -> bool:
    """Returns whether the name of a folder says the modality or the split."""
    try:
        return bool(modality_key(name))
    except UnknownModalityError:
        return bool(name) and split_name(name) in SPLITS
