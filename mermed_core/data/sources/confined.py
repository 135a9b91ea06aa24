"""Images of a folder that somebody else named, such as a visitor of the page: nothing outside it is read."""

import os
from pathlib import Path

from mermed_core.data.manifest import Manifest
from mermed_core.data.sources import dicom_tree, image_tree
from mermed_core.data.sources.image_tree import read_image_tree
from mermed_core.data.zip_members import is_zip, member_names
from mermed_core.errors import ImageError, ManifestError

MOST_FILES = 100_000
"""Files in such a folder and its archives at most: nobody waits for hours, or keeps others waiting."""


def open_confined(folder: Path, modality: str | None = None) -> Manifest:
    """Lists the images of a folder, as `open_manifest` does.

    Tables of images are not read: a path in one can lead anywhere.

    Args:
        folder: the images.
        modality: the modality of images that do not state theirs; with `LEFT_OPEN` they have none yet.

    Raises:
        ManifestError: a link leads out of the folder, it holds more than `MOST_FILES`, or no image that
            states its modality.
    """
    root = Path(os.path.realpath(folder))
    _check_files(root)
    return read_image_tree(root, modality)


def _check_files(root: Path) -> None:
    """Raises ManifestError where a link below a folder leads out of it, or there are too many files."""
    count = 0
    for here, folders, names in os.walk(root):  # what a link within the folder leads to is walked by itself
        for name in (*folders, *names):
            path = os.path.join(here, name)
            if os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(root):
                raise ManifestError(f"the link '{os.path.relpath(path, root)}' leads out of the folder.")
        count += sum(_files_in(Path(here, name)) for name in names)
        if count > MOST_FILES:
            raise ManifestError(f"it holds more than {MOST_FILES:,} files; name a folder within it.")


def _files_in(path: Path) -> int:
    """Returns how many files one is: an archive is those in it."""
    try:
        return len(member_names(path)) if is_zip(path) else 1
    except ImageError:
        return 1


def without_modality(manifest: Manifest) -> int:
    """Returns how many images were left out because nothing states their modality."""
    return sum(manifest.left_out.get(reason, 0) for reason in (image_tree.UNSTATED, dicom_tree.UNSTATED))
