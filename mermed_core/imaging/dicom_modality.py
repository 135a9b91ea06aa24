"""What a DICOM header says of the modality, as one of this project's keys: a hint and no more."""

import contextlib
import re
import unicodedata

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
# Kinds that are none of the seven and have a name; other tags say little of a picture.
OTHER_KINDS = ("MR", "MG", "PT", "NM", "XA", "RF", "ES", "PX", "IO", "OCT")
X_RAYS = tuple(tag for tag, key in MODALITY_OF_TAG.items() if key == "cxr")

# How devices and hospitals of many languages name the chest and the lungs, without accents and in lower case.
_CHEST = (
    r"(?<![a-z])chest(?!er|nut)|thora[xck]|\btora[xck]|\blung|pulm|polmon|poumon|\bcxr\b",
    r"poitrine|brust|borst|brost|bryst|pecho|peito|rintakeh|keuhko|mellkas|rindker|krutines|kruskurv|plauc|plaus",
    r"klatk[ai]|\bpluc|płuc|\bklp\b|hrudn|hrudi|\bplic|prsni ko|grudni ko|pljuc|plaman",
    r"gogus|akciger|θωρακ|πνευμον|груд|легк|леген|гръд|бял дроб|плућ|\bогк\b|\bогп\b",
    r"\bdada\b|\bparu|\bnguc\b|\bphoi\b|ทรวงอก|หน้าอก|ปอด|छाती|वक्ष|फेफड",
    r"صدر|رئة|رئت|ريه|قفسه سينه|חזה|ריאה|ריאות|גულმკერდ|გულმკერდ|ფილტვ",
    r"胸(?!椎|骨|鎖|锁)|肺|흉부|가슴|폐",
)
# The thoracic spine and the breast, which share the word in many languages.
_NOT_CHEST = (
    r"spine|spinal|vertebr|wirbel|saule|\bbws\b|colonna|columna|coluna|colonne|rachis|\brygg|ryggrad|brostrygg",
    r"hvirvel|wervel|ranka|kregoslup|\bpater|\bpatere|kralje|omurga|позвон|хребет|гръбнак|сполук|σπονδυλ",
    r"breast|mamm|mamo|brustdrus|молоч|胸椎|脊柱|脊椎|흉추|척추|유방|乳",
)
# What text may be in a file that does not state its character set, or in an element that may not use it.
_ENCODINGS = (
    *("utf-8", "gb18030", "shift_jis", "euc_kr"),
    *("cp1251", "iso8859_5", "iso8859_7", "cp1250", "cp1254"),
)
_ESCAPED = ("iso2022_jp_2", "iso2022_kr")


def _folded(words: str) -> str:
    """Returns words in lower case, without accents and in one width."""
    parts = unicodedata.normalize("NFKD", words.casefold())
    return unicodedata.normalize("NFKC", "".join(part for part in parts if not unicodedata.combining(part)))


_CHEST_WORDS = re.compile(_folded("|".join(_CHEST)))
_OTHER_WORDS = re.compile(_folded("|".join(_NOT_CHEST)))


def is_chest(words: str) -> bool:
    """Tells whether words of a header name the chest, in English or another language of devices.

    Words that were written in another character set than the file states are recognised too.
    """
    readings = [_folded(reading) for reading in _readings(words)]
    return any(map(_CHEST_WORDS.search, readings)) and not any(map(_OTHER_WORDS.search, readings))


def _readings(words: str) -> list[str]:
    """Returns the words as they are, and as they read in other character sets where they may be in one."""
    readings = [words]
    if words.isascii() and "\x1b" not in words:
        return readings
    for encoding in _ESCAPED if words.isascii() else _ENCODINGS:
        with contextlib.suppress(UnicodeError):
            readings.append(words.encode("latin-1").decode(encoding))
    return readings


def header_modality(tag: str, body_part: str) -> str | None:
    """Returns the modality key that a header suggests, or None.

    An X-ray counts as one of the chest only where the header does not name another part of the body. Of a
    kind that is none of the seven, such as MR, the tag itself comes back (`OTHER_KINDS`, `X_RAYS`), never
    any other word of the header.

    Args:
        tag: the element Modality (0008,0060).
        body_part: the element BodyPartExamined (0018,0015), empty where it is missing.
    """
    tag = tag.strip().upper()
    if tag in OTHER_KINDS or (tag in X_RAYS and body_part.strip() and not is_chest(body_part)):
        return tag
    return MODALITY_OF_TAG.get(tag)
