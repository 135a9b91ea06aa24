"""Images of a folder that somebody else named, such as a visitor of the page: nothing outside it is read."""

import os
from pathlib import Path

from mermed_core.data.file_tree import DICOM_SUFFIXES, MANY_FRAMES_SUFFIXES, ONE_PICTURE_SUFFIXES, walk_files
from mermed_core.data.manifest import Manifest
from mermed_core.data.sources.dicom_tree import read_dicom_tree
from mermed_core.data.sources.image_folder import read_image_folder
from mermed_core.errors import ManifestError
from mermed_core.imaging.reader import looks_like_image

MOST_FILES = 100_000
"""Files in such a folder at most, so that nobody waits for hours, or keeps others waiting."""


def open_confined(folder: Path, modality: str | None = None) -> Manifest:
    """Lists the pictures or DICOM files of a folder, as `open_manifest` does.

    Tables of images are not read: a path in one can lead anywhere.

    Args:
        folder: the images.
        modality: the modality of images that do not state theirs.

    Raises:
        ManifestError: a link leads out of the folder, it holds more than `MOST_FILES`, or no image that
            states its modality.
    """
    root = Path(os.path.realpath(folder))
    _check_files(root)
    read = read_dicom_tree if _is_dicom(root) else read_image_folder
    return read(root, modality)


def _check_files(root: Path) -> None:
    """Raises ManifestError where a link below a folder leads out of it, or there are too many files."""
    count = 0
    for here, folders, names in os.walk(root):  # what a link within the folder leads to is walked by itself
        count += len(names)
        if count > MOST_FILES:
            raise ManifestError(f"it holds more than {MOST_FILES:,} files; name a folder within it.")
        for name in (*folders, *names):
            path = os.path.join(here, name)
            if os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(root):
                raise ManifestError(f"the link '{os.path.relpath(path, root)}' leads out of the folder.")


def _is_dicom(root: Path) -> bool:
    """Returns whether the first image of a folder is a DICOM file."""
    for name in walk_files(root):
        lowered = name.lower()
        if lowered.endswith(DICOM_SUFFIXES):
            return True
        if lowered.endswith((*ONE_PICTURE_SUFFIXES, *MANY_FRAMES_SUFFIXES)):
            return False
        if kind := looks_like_image(root / name):
            return kind == "DICOM"
    return False
