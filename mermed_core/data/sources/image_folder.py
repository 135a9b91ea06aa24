"""Pictures of a folder tree whose folders say modality and class."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mermed_core.data.file_tree import MANY_FRAMES_SUFFIXES, ONE_PICTURE_SUFFIXES
from mermed_core.data.frames import count_readable_frames, expand_frames
from mermed_core.data.manifest import Manifest, count_reasons, log_reading
from mermed_core.data.tree_files import TreeFile, tree_files
from mermed_core.data.validation import NAMED_BY, SPLITS, ZIP_MEMBER, split_name
from mermed_core.errors import ImageError, ManifestError
from mermed_core.modalities import LEFT_OPEN, MODALITY_KEYS, modality_key, modality_named
from mermed_core.progress_bar import progress_bar

_LAYOUT = (
    "The layout that is read is MODALITY/CLASS/image.png, if wanted in train, val and test folders; "
    f"images right in MODALITY are unlabelled. A modality is one of {', '.join(MODALITY_KEYS)}. "
    "For a folder of one modality, CLASS/image.png or image.png alone, name the folder after it or name it "
    f"by {NAMED_BY}."
)


@dataclass(frozen=True)
class Place:
    """What the folders that a file lies in say of it.

    Attributes:
        split: train, val, test or "".
        modality: our key; `LEFT_OPEN` where they name none and need not, None where they name none.
        labels: the class, or None.
        unknown: the folder that should have named a modality and does not, "" where there is none.
    """

    split: str
    modality: str | None
    labels: list[str] | None
    unknown: str = ""

    @classmethod
    def of(cls, folders: Sequence[str], given: "Given") -> "Place":
        """Reads the folders `[split/]modality/class/…`, or `[split/][class/…]` of one modality."""
        parts, split = list(folders), ""
        for position, part in enumerate(parts[: 1 if given.all else 2]):  # also modality/split/class
            if split_name(part) in SPLITS and part:
                split = split_name(parts.pop(position))
                break
        modality = given.all
        if modality is None:
            modality = given.others if (named := modality_named(parts[0] if parts else "")) is None else named
            if modality is None:
                return cls(split, None, None, parts[0] if parts else "")
            parts = parts if named is None else parts[1:]
        return cls(split, modality, parts[:1] or None)


@dataclass(frozen=True)
class Given:
    """Which modality the images of a folder have, before the folders in it are asked.

    Attributes:
        all: of all images, as a person said; None where the folders say it.
        others: of those that lie in no modality's folder: what the whole folder is called, `LEFT_OPEN`, or
            None where that must not be.
        called: what the whole folder is called, where `others` follows from that.
    """

    all: str | None
    others: str | None
    called: str = ""

    @classmethod
    def of(cls, folder: Path, modality: str | None) -> "Given":
        """Takes what a person said: a modality, `LEFT_OPEN`, or None; then what a folder is called."""
        name = folder.resolve().name
        if modality:
            return cls(modality_key(modality), None)
        named = modality_named(name)
        return cls(None, modality) if named is None else cls(None, named, name)

    def note(self, files: Iterable[TreeFile]) -> list[str]:
        """Says of how many files the modality follows from what the whole folder is called, if of any."""
        count = 0
        if self.called:
            count = sum(Place.of(file.folders, _NOTHING_GIVEN).modality is None for file in files)
        said = f"{count} files in no modality's folder are taken for {self.others}"
        why = f"as the whole folder is called '{self.called}'"
        return [f"{said}, {why}; say another by {NAMED_BY}."] if count else []


_NOTHING_GIVEN = Given(None, None)


def read_image_folder(folder: Path, modality: str | None = None) -> Manifest:
    """Lists the images of `[split/]modality/class/…/image`, or `[split/][class/…/]image` of one modality.

    The folder itself may be named after the modality of what lies in no other modality's folder. The case_id
    is the path in the folder, so it stays when images are added. Folders below the class are not
    read as patients; name patients in a CSV. A name such as .png, .jpg or .jp2 is believed; any other file is
    an image if it looks like one, and every frame or page of it is listed, as one group. What is no image is
    counted in `left_out`. Files in ZIP archives are read as if those had been unpacked where they lie.

    Args:
        folder: the images; its name becomes the source.
        modality: the modality of all images; the folders then name classes only. With `LEFT_OPEN` images in
            no modality's folder have none yet.

    Raises:
        ManifestError: no image, or a folder that names no modality.
    """
    source = folder.resolve().name or "images"
    left_out: Counter[str] = Counter()
    notes: list[str] = []
    pictures = count_pictures(tree_files(folder, left_out, notes), left_out)
    if not pictures:
        raise ManifestError(f"{folder} holds no image; left out: {count_reasons(left_out)}. {_LAYOUT}")
    given = Given.of(folder, modality)
    notes += given.note(file for file, _ in pictures)
    places = [stated_place(file, given, folder) for file, _ in pictures]
    table, unstated = picture_table(pictures, places, source), modality == LEFT_OPEN
    manifest = Manifest.from_frame(table, left_out=left_out, notes=notes, unstated=unstated)
    log_reading(source, manifest)
    return manifest


def count_pictures(files: Iterable[TreeFile], left_out: Counter[str]) -> list[tuple[TreeFile, int]]:
    """Returns the images among files, with the number of their frames; the others are counted, by reason."""
    listed = progress_bar("listing images", "file", of=files)
    counted = ((file, _count_frames(file, left_out)) for file in listed)
    return [(file, count) for file, count in counted if count]


def stated_place(file: TreeFile, given: Given, folder: Path) -> Place:
    """Returns what a file's folders say; raises ManifestError where nothing names its modality."""
    place = Place.of(file.folders, given)
    if place.modality is None:
        unknown = place.unknown
        where = f"the folder '{unknown}' names no modality" if unknown else "it lies in no modality's folder"
        raise ManifestError(f"{folder / file.name}: {where}. {_LAYOUT}", column="modality")
    return place


def picture_table(
    pictures: Sequence[tuple[TreeFile, int]],
    places: Sequence[Place],
    source: str,
    groups: list[str | None] | None = None,
) -> pd.DataFrame:
    """Returns a row for every frame of every picture, each with its path in the folder as case_id.

    Args:
        pictures: each with the number of its frames.
        places: what the folders of each say.
        source: the name of the set.
        groups: whose pictures they are, where that is known.
    """
    files = pd.DataFrame(
        {
            "case_id": [f"{source}/{file.name}" for file, _ in pictures],
            "source": source,
            "path": [os.path.abspath(file.path) for file, _ in pictures],
            "split": [place.split for place in places],
            "modality": [place.modality for place in places],
            "labels": pd.Series([place.labels for place in places], dtype=object),
            ZIP_MEMBER: [file.member for file, _ in pictures],
        }
    )
    if groups is not None:
        files["group"] = pd.Series(groups, dtype=object)
    return expand_frames(files, [count for _, count in pictures])


def _count_frames(file: TreeFile, left_out: Counter[str]) -> int:
    lowered = file.name.lower()
    if lowered.endswith(ONE_PICTURE_SUFFIXES):
        return 1
    try:
        source = file.source
    except ImageError:
        return 1  # the error comes when it is read
    return count_readable_frames(source, left_out, trusted=lowered.endswith(MANY_FRAMES_SUFFIXES))
