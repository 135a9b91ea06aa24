"""What a DICOM header says of the modality, as one of this project's keys: a hint and no more."""

import re

# DICOM PS3.3 C.7.3.1.1.1. "OCT" is the kind that is not of the eye (intravascular, say), and endoscopy
# ("ES") shows no skin.
MODALITY_OF_TAG = {
    "CT": "ct",
    "CR": "cxr",
    "DX": "cxr",
    "RG": "cxr",
    "US": "ultrasound",
    "IVUS": "ultrasound",
    "SM": "pathology",
    "OP": "fundus",
    "OPT": "oct",
    "DMS": "dermatology",
    "XC": "dermatology",
}

# English, and the languages whose devices write their own word into BodyPartExamined or a description.
_CHEST = re.compile(
    r"chest|th?ora[xck]|t[oó]rax|torace|torác|\blung|pulm|poumon|poitrine|brust|kl[aá]tka|mellkas|bröst|bryst"
    r"|rintak|göğüs|hrudn|pecho|\bcxr\b|胸|肺|груд|легк|лёгк|흉부|ทรวงอก|صدر",
    re.IGNORECASE,
)
_NOT_CHEST = re.compile(
    r"spine|breast|mamm|säule|wirbel|colonna|columna|rachis|胸椎|позвон|흉추", re.IGNORECASE
)


def is_chest(words: str) -> bool:
    """Tells whether words of a header name the chest, in English or another language of devices."""
    return bool(_CHEST.search(words)) and not _NOT_CHEST.search(words)


def header_modality(tag: str, body_part: str) -> str | None:
    """Returns the modality key that a header suggests, or None.

    An X-ray counts as one of the chest only where the header does not name another part of the body.

    Args:
        tag: the element Modality (0008,0060).
        body_part: the element BodyPartExamined (0018,0015), empty where it is missing.
    """
    key = MODALITY_OF_TAG.get(tag.strip().upper())
    if key == "cxr" and body_part.strip() and not is_chest(body_part):
        return None
    return key
