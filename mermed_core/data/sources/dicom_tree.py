"""A tree of DICOM files, listed from their headers; nothing that names a patient is kept or logged."""

import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pydicom
from tqdm import tqdm

from mermed_core.data.file_tree import DICOM_SUFFIXES, is_dicom, walk_files
from mermed_core.data.manifest import Manifest
from mermed_core.data.pseudonyms import pseudonym
from mermed_core.errors import ManifestError
from mermed_core.modalities import modality_key

_LOG = logging.getLogger(__name__)

# DICOM PS3.3 C.7.3.1.1.1. "OCT" is the non-ophthalmic (such as intravascular) kind, so it is not here.
MODALITY_OF_TAG = {
    "CT": "ct",
    "CR": "cxr",
    "DX": "cxr",
    "RG": "cxr",
    "US": "ultrasound",
    "SM": "pathology",
    "OP": "fundus",
    "OPT": "oct",
    "DMS": "dermatology",
    "XC": "dermatology",
}
_SILENT_TAGS = ("", "OT")
_REGION_TAGS = ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")
_HEADER_TAGS = ["Modality", "PatientID", "StudyInstanceUID", "Rows", "Columns", *_REGION_TAGS]
_CHEST = re.compile(r"chest|thorax|t[oó]rax|lung|\bcxr\b", re.IGNORECASE)
_SPINE = re.compile(r"spine", re.IGNORECASE)


def read_dicom_tree(folder: Path, modality: str | None = None) -> Manifest:
    """Lists the DICOM images below a folder, with or without a suffix, by reading headers only.

    An X-ray (CR, DX, RG) counts as a chest X-ray only where the body part, or else a description, says chest;
    a hand among chests would be worse than a chest left out. Files of other modalities, without a picture or
    unreadable are left out, and the log says how many for which reason. `group` is a pseudonym of the
    PatientID (of the study where there is none); the case_id is a pseudonym of the file's place, as folders
    are often named after patients. `path` is the true path.

    Args:
        folder: the tree; its name becomes the source.
        modality: the modality of files whose header leaves it open: no modality or "other", and for "cxr"
            also X-rays that do not state the part of the body.

    Raises:
        ManifestError: not one image of a known modality; says what was left out.
    """
    fallback = None if modality is None else modality_key(modality)
    source = folder.resolve().name or "dicom"
    left_out: Counter[str] = Counter()
    rows = []
    with _silent_pydicom():
        for name in tqdm(walk_files(folder), desc="reading headers", unit="file", disable=None):
            if is_dicom(folder / name):
                header = _header(folder / name)
                key, reason = _modality(header, fallback)
                if key is None:
                    left_out[reason] += 1
                else:
                    rows.append((name, key, _group(header)))
    summary = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common()) or "none"
    _LOG.info("%s: %d DICOM images; left out: %s", source, len(rows), summary)
    if not rows:
        raise ManifestError(f"{folder} holds no DICOM image of a known modality; left out: {summary}.")
    return Manifest.from_frame(_frame(rows, folder, source))


def _frame(rows: list[tuple[str, str, str | None]], folder: Path, source: str) -> pd.DataFrame:
    names, keys, groups = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "case_id": [f"{source}/{pseudonym(name)}" for name in names],
            "path": [os.path.join(os.path.abspath(folder), name) for name in names],
            "modality": keys,
            "group": pd.Series(groups, dtype=object),
            "source": source,
        }
    )


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


def _header(path: Path) -> dict[str, str] | None:
    """Returns the values of `_HEADER_TAGS` as text, or None for a file that is not DICOM or is damaged."""
    try:
        data = pydicom.dcmread(
            path,
            stop_before_pixels=True,
            specific_tags=_HEADER_TAGS,
            force=path.suffix.lower() in DICOM_SUFFIXES,
        )
        return {tag: str(data.get(tag) or "").strip() for tag in _HEADER_TAGS}
    except Exception:  # pydicom documents no closed set of errors for damaged files; they are counted
        return None


def _modality(header: dict[str, str] | None, fallback: str | None) -> tuple[str | None, str]:
    """Returns the modality's key, or None and the reason to leave the file out."""
    if header is None:
        return None, "unreadable"
    if not (header["Rows"] and header["Columns"]):
        return None, "without a picture"
    tag = header["Modality"].upper()
    if tag in _SILENT_TAGS:
        return fallback, "that do not state their modality (name it with modality=...)"
    key = MODALITY_OF_TAG.get(tag)
    if key is None:
        return None, f"of modality {tag}"
    return (key, "") if key != "cxr" else _chest(header, fallback)


def _chest(header: dict[str, str], fallback: str | None) -> tuple[str | None, str]:
    stated = [header[tag] for tag in _REGION_TAGS if header[tag]]
    decisive = header["BodyPartExamined"] or " ".join(stated)
    if _CHEST.search(decisive) and not _SPINE.search(decisive):
        return "cxr", ""
    if stated:
        return None, "X-rays of another part of the body"
    return (
        "cxr" if fallback == "cxr" else None,
        "X-rays that do not state the part of the body (modality=cxr takes them as chest)",
    )


def _group(header: dict[str, str] | None) -> str | None:
    header = header or {}
    identifier = header.get("PatientID") or header.get("StudyInstanceUID")
    return pseudonym(identifier) if identifier else None
