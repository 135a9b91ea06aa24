"""A folder of any images: DICOM files by their headers, pictures by their folders, ZIP archives unpacked."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mermed_core.data.file_tree import DICOM_SUFFIXES, ONE_PICTURE_SUFFIXES
from mermed_core.data.manifest import Manifest, count_reasons, log_reading
from mermed_core.data.pseudonyms import pseudonyms
from mermed_core.data.sources.dicom_tree import DicomFile, dicom_files, dicom_table
from mermed_core.data.sources.image_folder import (
    Given,
    Place,
    count_pictures,
    picture_table,
    stated_place,
)
from mermed_core.data.tree_files import TreeFile, tree_files
from mermed_core.data.validation import NAMED_BY
from mermed_core.errors import ManifestError
from mermed_core.modalities import LEFT_OPEN

UNSTATED = f"pictures that lie in no modality's folder (name it: {NAMED_BY})"


def read_image_tree(folder: Path, modality: str | None = None) -> Manifest:
    """Lists every image below a folder, each for what it is.

    DICOM files as `read_dicom_tree` lists them, all others as `read_image_folder` does, files in ZIP archives
    as if those had been unpacked where they lie. Where there are DICOM files, the folders say the modality of
    one whose header leaves it open, its split, and its class where a picture has the same one. A folder that
    is named after the patient whose DICOM files lie in it is no class: its pictures are of that patient and
    have pseudonyms for case ids. The folder itself may be named after a modality, which is then that of what
    lies in no other modality's folder. Otherwise a picture there is left out and counted, unless there is
    nothing but such pictures outside of archives.

    Args:
        folder: the images; its name becomes the source.
        modality: the modality of images that do not state theirs; with `LEFT_OPEN` they have none yet.

    Raises:
        ManifestError: no image that states its modality; says what was left out.
    """
    given = Given.of(folder, modality)
    source = folder.resolve().name or "images"
    left_out: Counter[str] = Counter()
    notes: list[str] = []
    of_dicom, others = _divided(list(tree_files(folder, left_out, notes)))
    found = list(dicom_files(of_dicom, lambda file: Place.of(file.folders, given).modality, left_out))
    pictures = count_pictures(others, left_out)
    if not pictures and not found:
        raise ManifestError(f"{folder} holds no image that is read; left out: {count_reasons(left_out)}.")
    if of_dicom or any(file.member for file, _ in pictures):
        stated = [each for each in pictures if Place.of(each[0].folders, given).modality is not None]
        if stated or found:  # else the first one says what is wrong
            left_out.update([UNSTATED] * (len(pictures) - len(stated)))
            pictures = stated
    notes += given.note(file for file, _ in pictures)
    places = [stated_place(file, given, folder) for file, _ in pictures]
    of_pictures = _picture_table(pictures, places, found, source)
    of_headers = _dicom_table(found, set(of_pictures["labels"].explode()), given, source)
    tables = [table for table in (of_headers, of_pictures) if len(table)]
    table, unstated = pd.concat(tables), modality == LEFT_OPEN
    manifest = Manifest.from_frame(table, left_out=+left_out, notes=notes, unstated=unstated)
    log_reading(source, manifest)
    return manifest


def _divided(files: Sequence[TreeFile]) -> tuple[list[TreeFile], list[TreeFile]]:
    """Returns the DICOM files and all others; without any, names such as .png are believed unread."""
    believed = [file.name.lower().endswith(ONE_PICTURE_SUFFIXES) for file in files]
    dicom = {file.name for file, known in zip(files, believed, strict=True) if not known and _is_dicom(file)}
    if dicom:
        dicom |= {file.name for file, known in zip(files, believed, strict=True) if known and _is_dicom(file)}
    return [file for file in files if file.name in dicom], [file for file in files if file.name not in dicom]


def _is_dicom(file: TreeFile) -> bool:
    kind = file.kind
    return kind == "DICOM" or (kind is None and file.name.lower().endswith(DICOM_SUFFIXES))


def _dicom_table(
    found: Sequence[DicomFile], classes: Collection[str], given: Given, source: str
) -> pd.DataFrame:
    """Returns the rows of DICOM files with the splits and, of these, the classes that their folders say."""
    own = [Place.of(each.file.folders, given) for each in found]
    table = dicom_table(found, source)
    rows = [position for position, each in enumerate(found) for _ in range(each.frames)]
    labels = [place.labels if place.labels and place.labels[0] in classes else None for place in own]
    table["labels"] = pd.Series([labels[row] for row in rows], dtype=object)
    table["split"] = [own[row].split for row in rows]
    return table


def _picture_table(
    pictures: Sequence[tuple[TreeFile, int]],
    places: Sequence[Place],
    found: Sequence[DicomFile],
    source: str,
) -> pd.DataFrame:
    """Returns the rows of pictures; those in a patient's folder are the patient's."""
    folders = _patient_folders(found)
    people = [_person(file, folders) for file, _ in pictures]
    hidden = pseudonyms([*filter(None, people), *(file.name for file, _ in pictures)])
    shown, kept = [], []
    for (file, count), place, person in zip(pictures, places, people, strict=True):
        shown.append((file if person is None else replace(file, name=hidden[file.name]), count))
        kept.append(place if person is None else replace(place, labels=None))
    groups = [None if person is None else hidden[person] for person in people]
    return picture_table(shown, kept, source, groups)


def _patient_folders(found: Sequence[DicomFile]) -> dict[tuple[str, ...], str]:
    """Returns the folders that are named after the patient whose DICOM files lie in them."""
    named = {}
    for each in found:
        names = {_folded(name) for name in each.names} - {""}
        for depth, folder in enumerate(each.file.folders, 1):
            if each.person and _folded(folder) in names:
                named[each.file.folders[:depth]] = each.person
    return named


def _person(file: TreeFile, folders: dict[tuple[str, ...], str]) -> str | None:
    depths = range(1, len(file.folders) + 1)
    return next((folders[file.folders[:depth]] for depth in depths if file.folders[:depth] in folders), None)


def _folded(name: str) -> str:
    """Returns a name by which Doe^Jane and "jane doe" are one."""
    return "".join(sorted(re.findall(r"[^\W_]+", name.casefold())))
