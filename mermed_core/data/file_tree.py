"""Folder trees: which files lie in them, and which of those are images."""

import os
from collections.abc import Iterator
from pathlib import Path

from mermed_core.errors import ManifestError

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")

_DICOM_MARK = b"DICM"
_DICOM_MARK_OFFSET = 128


def walk_files(folder: Path) -> Iterator[str]:
    """Yields the files below a folder, relative to it with "/", in sorted order; hidden ones are skipped.

    Links to folders are followed, each real folder once, so that a circle of links ends.

    Raises:
        ManifestError: a folder cannot be listed, or a name is not UTF-8; to skip it would lose images.
    """
    visited: set[tuple[int, int]] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        prefix = os.path.relpath(here, folder).replace(os.sep, "/")
        for name in sorted(names):
            if not name.startswith("."):
                yield _text(name if prefix == "." else f"{prefix}/{name}")


def _refuse(error: OSError) -> None:
    raise ManifestError(f"the folder {error.filename} cannot be listed ({error.strerror}).") from error


def _text(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ManifestError(f"the file name {name!a} is not UTF-8; rename the file.") from error
    return name


def is_picture(name: str) -> bool:
    """Returns whether a file name ends like an image other than DICOM."""
    return name.lower().endswith(PICTURE_SUFFIXES)


def is_dicom(path: Path) -> bool:
    """Returns whether a file is named like DICOM or bears its mark; many DICOM files have no suffix."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    if path.suffix and not path.suffix[1:].isdigit():  # "1.2.840.1" has none either: its end is a number
        return False
    try:
        with path.open("rb") as file:
            file.seek(_DICOM_MARK_OFFSET)
            return file.read(len(_DICOM_MARK)) == _DICOM_MARK
    except OSError:
        return False
