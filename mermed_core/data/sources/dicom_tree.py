"""DICOM files of a tree, listed from their headers; nothing that names a patient is kept or logged."""

import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pydicom

from mermed_core.data.file_tree import DICOM_SUFFIXES
from mermed_core.data.frames import NO_IMAGE, NO_PICTURE, expand_frames, limited
from mermed_core.data.manifest import Manifest, count_reasons, log_reading
from mermed_core.data.pseudonyms import pseudonyms
from mermed_core.data.sources.columns import is_nobody
from mermed_core.data.tree_files import TreeFile, tree_files
from mermed_core.data.validation import NAMED_BY, ZIP_MEMBER
from mermed_core.errors import ManifestError
from mermed_core.imaging.dicom_modality import MODALITY_OF_TAG, is_chest
from mermed_core.modalities import LEFT_OPEN, modality_key
from mermed_core.progress_bar import progress_bar

_SILENT_TAGS = ("", "OT")
_REGION_TAGS = ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")
_TEXT_TAGS = ("Modality", "PatientID", "PatientName", "StudyInstanceUID", "ImageType", *_REGION_TAGS)
_HEADER_TAGS = ["Rows", "Columns", "NumberOfFrames", "AnatomicRegionSequence", *_TEXT_TAGS]
_CHEST_CODES = {"T-D3000", "51185008", "T-28000", "39607008"}  # SNOMED's thorax and lung, in both codes

_UNREADABLE = "unreadable"
_PICTURE = "pictures that are not DICOM (open the folder without dicom: for them)"
_SLIDE_LABEL = "labels and overviews of slides"
UNSTATED = f"that do not state their modality (name it: {NAMED_BY})"
_OTHER_PART = "X-rays of another part of the body or named in a word that is not known here"
_NO_PART = "X-rays that do not state the part of the body (--modality cxr takes them as chest)"


@dataclass(frozen=True)
class _Header:
    """What is read of a header: texts by tag, the codes of the anatomic region, the frames."""

    texts: dict[str, str]
    region_codes: frozenset[str]
    has_picture: bool
    frames: int

    def __getitem__(self, tag: str) -> str:
        return self.texts[tag]


@dataclass(frozen=True)
class DicomFile:
    """A DICOM image of a tree, as its header says.

    Attributes:
        file: where it is.
        modality: our key, or `LEFT_OPEN`.
        frames: how many it has.
        person: the PatientID, else the study; None where it states neither.
        names: how the patient is called in the header; never kept.
    """

    file: TreeFile
    modality: str
    frames: int
    person: str | None
    names: tuple[str, ...]


def read_dicom_tree(folder: Path, modality: str | None = None) -> Manifest:
    """Lists the DICOM images below a folder by reading headers only; the content decides, not the name.

    An X-ray (CR, DX, RG) counts as a chest X-ray only where the body part, or else a description, says chest
    in a language that is known here; a hand among chests would be worse than a chest left out. Every frame of
    a file of several is listed, and so are files in ZIP archives. Whatever else lies in the folder is counted
    in `left_out`: files of other modalities, without a picture, unreadable, or no DICOM at all. `group` is a
    pseudonym of the PatientID (of the study where there is none); the case_id is a pseudonym of the file's
    place, as folders are often named after patients. `path` is the true path.

    Args:
        folder: the tree; its name becomes the source.
        modality: the modality of files whose header leaves it open: no modality or "other", and for "cxr"
            also X-rays that do not state the part of the body. May be `LEFT_OPEN`.

    Raises:
        ManifestError: not one image of a known modality; says what was left out.
    """
    fallback = modality_key(modality) if modality else modality
    source = folder.resolve().name or "dicom"
    left_out: Counter[str] = Counter()
    notes: list[str] = []
    found = list(dicom_files(tree_files(folder, left_out, notes), lambda _: fallback, left_out))
    if not found:
        summary = count_reasons(left_out)
        raise ManifestError(f"{folder} holds no DICOM image of a known modality; left out: {summary}.")
    table, unstated = dicom_table(found, source), modality == LEFT_OPEN
    manifest = Manifest.from_frame(table, left_out=left_out, notes=notes, unstated=unstated)
    log_reading(source, manifest, "DICOM images")
    return manifest


def dicom_files(
    files: Iterable[TreeFile], fallback: Callable[[TreeFile], str | None], left_out: Counter[str]
) -> Iterator[DicomFile]:
    """Yields the DICOM images among files, with what their headers say.

    Args:
        files: of a tree; the content decides which are DICOM.
        fallback: gives the modality's key where a header leaves it open, see `read_dicom_tree`.
        left_out: where the others are counted, by reason.
    """
    with _silent_pydicom():
        for file in progress_bar("reading headers", "file", of=files):
            header, reason = _header(file)
            key, reason = _modality(header, fallback(file)) if header else (None, reason)
            if header is None or key is None:
                left_out[reason] += 1
            elif count := limited(header.frames, left_out):
                names = (header["PatientID"], header["PatientName"])
                yield DicomFile(file, key, count, _person(header), tuple(filter(None, names)))


def dicom_table(found: Sequence[DicomFile], source: str) -> pd.DataFrame:
    """Returns a row for every frame, with pseudonyms for places and patients, see `read_dicom_tree`."""
    hidden = pseudonyms([*(each.file.name for each in found), *filter(None, (each.person for each in found))])
    files = pd.DataFrame(
        {
            "case_id": [f"{source}/{hidden[each.file.name]}" for each in found],
            "path": [os.path.abspath(each.file.path) for each in found],
            "modality": [each.modality for each in found],
            "group": pd.Series([hidden.get(each.person or "") for each in found], dtype=object),
            "source": source,
            ZIP_MEMBER: [each.file.member for each in found],
        }
    )
    return expand_frames(files, [each.frames for each in found])


@contextmanager
def _silent_pydicom() -> Iterator[None]:
    """Keeps pydicom's warnings out of the log: they quote values, a patient's name among them."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _header(file: TreeFile) -> tuple[_Header | None, str]:
    """Returns what a file's header says, or None and the reason to leave the file out."""
    kind = file.kind
    if kind != "DICOM":
        named = file.name.lower().endswith(DICOM_SUFFIXES)
        return None, _UNREADABLE if named else NO_IMAGE if kind is None else _PICTURE
    try:
        with file.opened() as opened:
            data = pydicom.dcmread(opened, stop_before_pixels=True, specific_tags=_HEADER_TAGS, force=True)
        texts = {tag: str(data.get(tag) or "").strip() for tag in _TEXT_TAGS}
        regions = list(data.get("AnatomicRegionSequence") or [])
        if regions and not texts["BodyPartExamined"]:
            texts["BodyPartExamined"] = " ".join(str(region.get("CodeMeaning") or "") for region in regions)
        codes = frozenset(str(region.get("CodeValue") or "") for region in regions)
        has_picture = bool(data.get("Rows") and data.get("Columns"))
        return _Header(texts, codes, has_picture, int(data.get("NumberOfFrames") or 1)), ""
    except Exception:  # pydicom documents no closed set of errors for damaged files; they are counted
        return None, _UNREADABLE


def _modality(header: _Header, fallback: str | None) -> tuple[str | None, str]:
    """Returns the modality's key, or None and the reason to leave the file out."""
    if not header.has_picture:
        return None, NO_PICTURE
    tag = header["Modality"].upper()
    if tag in _SILENT_TAGS:
        return fallback, UNSTATED if fallback is None else ""
    key = MODALITY_OF_TAG.get(tag)
    if key is None:
        return None, f"of modality {tag}" if re.fullmatch(r"\w{1,16}", tag) else "of an unknown modality"
    if key == "pathology" and re.search("LABEL|OVERVIEW", header["ImageType"].upper()):
        return None, _SLIDE_LABEL  # they may name the patient
    return (key, "") if key != "cxr" else _chest(header, fallback)


def _chest(header: _Header, fallback: str | None) -> tuple[str | None, str]:
    stated = [header[tag] for tag in _REGION_TAGS if header[tag]]
    if header.region_codes & _CHEST_CODES or is_chest(header["BodyPartExamined"] or " ".join(stated)):
        return "cxr", ""
    if stated:
        return None, _OTHER_PART
    return (fallback, "") if fallback == "cxr" else (None, _NO_PART)


def _person(header: _Header) -> str | None:
    """Returns what identifies the patient, else the study, if anything does."""
    identifiers = (header[tag] for tag in ("PatientID", "StudyInstanceUID"))
    return next((identifier for identifier in identifiers if not is_nobody(identifier)), None)
