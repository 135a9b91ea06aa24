"""What the files of images are called, for a collection that is to keep it."""

import os
from collections.abc import Sequence
from pathlib import Path

from mermed_core.data.manifest import Manifest
from mermed_core.data.validation import FILE, ZIP_MEMBER
from mermed_core.specs import DATA
from mermed_core.urls import is_url


def with_file_names(manifest: Manifest, specs: Sequence[str | Path]) -> Manifest:
    """Returns a manifest whose column `file` says where each image lies in the folder of its source.

    That is the folder that was named, or the one in which the table lies; of several sources the folder that
    they are all in. Images in archives and tables have no file of their own; a name that is stated stays.

    Args:
        manifest: the images.
        specs: the sources that it was opened from, see `open_manifests`.
    """
    frame = manifest.frame
    known = frame[FILE].fillna("").astype(str) if FILE in frame else frame["path"].map(lambda _: "")
    folders = [folder for spec in specs if (folder := _folder(str(spec)))]
    if not folders:
        return manifest.with_frame(frame.assign(**{FILE: known}))
    root = os.path.commonpath(folders)
    members = frame[ZIP_MEMBER] if ZIP_MEMBER in frame else [""] * len(frame)
    names = [
        name or ("" if member or not isinstance(path, str) or is_url(path) else os.path.relpath(path, root))
        for name, path, member in zip(known, frame["path"], members, strict=True)
    ]
    return manifest.with_frame(frame.assign(**{FILE: names}))


def _folder(spec: str) -> str:
    """Returns the absolute folder that a source's files lie in, "" where it has none on this machine."""
    target = DATA.parse(os.path.expandvars(spec)).target
    path = Path(target).expanduser()
    if is_url(target) or not path.exists():
        return ""
    return os.path.abspath(path if path.is_dir() else path.parent)
