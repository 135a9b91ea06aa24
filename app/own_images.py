"""Images that a visitor brings: a ZIP archive unpacked for the visit, or a folder that the host opens."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mermed_core.data.manifest import Manifest
from mermed_core.data.sources.confined import open_confined
from mermed_core.data.validation import SPLITS, split_name
from mermed_core.errors import ManifestError, UnsupportedFormatError
from mermed_core.imaging.archives import ArchiveLimits, is_archive, unpack_into
from mermed_core.modalities import modality_named

from .texts import own_collection_text

LIMITS = ArchiveLimits(max_files=20_000, max_bytes=2 * 2**30)
_SPARE = 256 * 2**20  # bytes that the place of an archive must have beyond what is in it
_NAME_LETTERS = 60


@dataclass(frozen=True)
class OwnImages:
    """A folder of images that a visitor brought.

    Attributes:
        name: for people.
        shown: what the visitor calls the folder; no error names another place.
        folder: where it is.
        room: what is deleted when the images are not needed any more; None where they are the host's.
    """

    name: str
    shown: str
    folder: Path
    room: Path | None = None

    def manifest(self, modality: str | None) -> Manifest:
        """Lists the images.

        Args:
            modality: of images that do not state theirs; `LEFT_OPEN` where the model is to tell it.

        Raises:
            ManifestError: there is none that can be used.
        """
        try:
            return open_confined(self.folder, modality)
        except ManifestError as error:
            if error.column == "modality":
                raise ManifestError(own_collection_text.NO_MODALITY) from None
            place = os.path.realpath(self.folder)
            said = str(error).replace(place, self.shown).replace(str(self.folder), self.shown)
            raise ManifestError(said) from None
        except OSError as error:
            raise ManifestError(own_collection_text.NOT_OPEN) from error

    def forget(self) -> None:
        """Deletes what was unpacked, and the room where nothing else is in it."""
        if self.room is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.room.rmdir()


def from_archive(name: str, data: bytes, room: Path) -> tuple[OwnImages, int]:
    """Unpacks a ZIP archive; returns its images and how many files it has.

    What the archive is called may say who the patient is: neither the folder nor a case is named after it,
    unless it is the name of a modality, which is then that of images that state no other.

    Args:
        name: of the archive.
        data: its bytes.
        room: a private folder of the visitor.

    Raises:
        ImageError: it is no archive, damaged, or larger than may be.
    """
    if not is_archive(data):
        raise UnsupportedFormatError(own_collection_text.NO_ARCHIVE)
    stem = _plain(PurePosixPath(name).stem) or "images"
    folder = room / (modality_named(stem) or "images")
    folder.mkdir()
    free = shutil.disk_usage(room).free - _SPARE
    limits = ArchiveLimits(LIMITS.max_files, min(LIMITS.max_bytes, max(0, free)))
    count = unpack_into(folder, data, limits)
    _unwrap(folder)
    return OwnImages(stem, stem, folder, room), count


def _unwrap(folder: Path) -> None:
    """Moves up what lies in the one folder of an archive, which is there when a folder was packed as a whole.

    A folder that says something, the modality or the split, stays.
    """
    while len(inside := list(folder.iterdir())) == 1 and inside[0].is_dir() and not _says(inside[0].name):
        wrapper = inside[0].rename(folder / secrets.token_hex(8))
        for path in wrapper.iterdir():
            path.rename(folder / path.name)
        wrapper.rmdir()


def _says(name: str) -> bool:
    """Returns whether the name of a folder says the modality or the split."""
    return modality_named(name) is not None or split_name(name) in SPLITS


def from_folder(typed: str, allowed: Sequence[Path]) -> OwnImages:
    """Returns the folder that a visitor named, in or below one of those that the host allows.

    Whether another folder exists is not told.

    Args:
        typed: an absolute path, or one from an allowed folder on.
        allowed: what the host allows.

    Raises:
        ManifestError: it is none of them.
    """
    for root in allowed:
        real = Path(os.path.realpath(root))
        try:
            folder = Path(os.path.realpath(real / typed.strip()))
            if folder.is_relative_to(real) and folder.is_dir():
                return OwnImages(_plain(folder.name) or "images", typed.strip(), folder)
        except (OSError, ValueError):  # a name that no folder can have
            continue
    raise ManifestError(own_collection_text.NOT_OPEN)


def _plain(name: str) -> str:
    """Returns a name that is one part of a path and none that is hidden."""
    return re.sub(r"[^\w .-]", "_", name).strip(" .")[:_NAME_LETTERS]
