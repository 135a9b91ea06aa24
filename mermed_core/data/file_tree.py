"""Folder trees: which files lie in them."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mermed_core.errors import ManifestError

# Files so named hold one picture, or one and a thumbnail; others are opened to see what they hold.
ONE_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".png", ".jp2", ".j2k")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
MANY_FRAMES_SUFFIXES = (".tif", ".tiff", ".webp", *DICOM_SUFFIXES)

HIDDEN = "hidden files and folders"


def walk_files(folder: Path, left_out: Counter[str] | None = None) -> Iterator[str]:
    """Yields the files below a folder, relative to it with "/", in sorted order; hidden ones are skipped.

    Links to folders are followed, each real folder once, so that a circle of links ends.

    Args:
        folder: the tree.
        left_out: where what is hidden is counted.

    Raises:
        ManifestError: a folder cannot be listed, or a name is not UTF-8; to skip it would lose images.
    """
    counts = Counter() if left_out is None else left_out
    visited: set[tuple[int, int]] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        counts.update(HIDDEN for name in (*folders, *names) if name.startswith("."))
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
