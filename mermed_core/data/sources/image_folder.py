"""A folder of images whose sub-folders say modality and class."""

import os
from collections import Counter
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from mermed_core.data.file_tree import MANY_FRAMES_SUFFIXES, ONE_PICTURE_SUFFIXES, walk_files
from mermed_core.data.frames import count_readable_frames, expand_frames
from mermed_core.data.manifest import Manifest, count_reasons, log_reading
from mermed_core.data.validation import SPLITS, split_name
from mermed_core.errors import ManifestError
from mermed_core.modalities import MODALITY_KEYS, UnknownModalityError, modality_key

_LAYOUT = (
    "The layout that is read is MODALITY/CLASS/image.png, if wanted in train, val and test folders; "
    f"images right in MODALITY are unlabelled. A modality is one of {', '.join(MODALITY_KEYS)}. "
    "For a folder of one modality, CLASS/image.png or image.png alone, name it (modality=...)."
)


def read_image_folder(folder: Path, modality: str | None = None) -> Manifest:
    """Lists the images of `[split/]modality/class/…/image`, or `[split/][class/…/]image` of one modality.

    The case_id is the path in the folder, so it stays when images are added. Folders below the class are not
    read as patients; name patients in a CSV. A name such as .png, .jpg or .jp2 is believed; any other file is
    an image if it looks like one, and every frame or page of it is listed, as one group. What is no image is
    counted in `left_out`.

    Args:
        folder: the images; its name becomes the source.
        modality: the modality of all images; the folders then name classes only.

    Raises:
        ManifestError: no image, or a folder that names no modality.
    """
    source = folder.resolve().name or "images"
    left_out: Counter[str] = Counter()
    names, frames = [], []
    for name in tqdm(walk_files(folder, left_out), desc="listing images", unit="file", disable=None):
        if count := _count_frames(folder, name, left_out):
            names.append(name)
            frames.append(count)
    if not names:
        raise ManifestError(f"{folder} holds no image; left out: {count_reasons(left_out)}. {_LAYOUT}")
    splits, modalities, labels = zip(*(_place(name, modality, folder) for name in names), strict=True)
    files = pd.DataFrame({"case_id": [f"{source}/{name}" for name in names], "source": source})
    files["path"] = [os.path.join(os.path.abspath(folder), name) for name in names]
    files["split"], files["modality"] = splits, modalities
    files["labels"] = pd.Series(labels, dtype=object)
    manifest = Manifest.from_frame(expand_frames(files, frames), left_out=left_out)
    log_reading(source, manifest)
    return manifest


def _count_frames(folder: Path, name: str, left_out: Counter[str]) -> int:
    lowered = name.lower()
    if lowered.endswith(ONE_PICTURE_SUFFIXES):
        return 1
    return count_readable_frames(folder / name, left_out, trusted=lowered.endswith(MANY_FRAMES_SUFFIXES))


def _place(name: str, modality: str | None, folder: Path) -> tuple[str, str, list[str] | None]:
    """Returns the split, the modality and the labels that an image's folders say."""
    parts = name.split("/")[:-1]
    split = ""
    for position, part in enumerate(parts[: 1 if modality else 2]):  # also modality/split/class
        if split_name(part) in SPLITS and part:
            split = split_name(parts.pop(position))
            break
    if modality is None:
        modality = _modality_of(parts.pop(0) if parts else "", name, folder)
    return split, modality, parts[:1] or None


def _modality_of(part: str, name: str, folder: Path) -> str:
    try:
        return modality_key(part)
    except UnknownModalityError:
        where = f"the folder '{part}' names no modality" if part else "it lies in no modality's folder"
        raise ManifestError(f"{folder / name}: {where}. {_LAYOUT}", column="modality") from None
