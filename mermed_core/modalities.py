"""The seven modalities: the one table that data, training, search, page and tests read.

Mean and standard deviation are those of MerMED-FM's pretraining (arXiv 2507.00185), RGB in 0..1.
"""

from dataclasses import dataclass

from mermed_core.errors import MermedError

Rgb = tuple[float, float, float]


class UnknownModalityError(MermedError):
    """A name that is none of the seven modalities."""


@dataclass(frozen=True)
class Modality:
    """One imaging modality.

    Attributes:
        key: the name used everywhere in this project.
        name: the name shown to people.
        channels: 1 for greyscale by nature, 3 for colour; pixels are always stored as RGB.
        mean: channel means in 0..1.
        std: channel standard deviations in 0..1.
        specialty: who reads such images.
        colour: hex colour on every map and chart (Okabe-Ito palette, safe for colour-blind readers).
        aliases: other names in papers and tables, compared without case.
    """

    key: str
    name: str
    channels: int
    mean: Rgb
    std: Rgb
    specialty: str
    colour: str
    aliases: tuple[str, ...]


LEFT_OPEN = ""
"""The modality of an image of which nothing states it, where that may be left open."""
# Begins the name of what is none of the regions of the body that a modality tells apart.
REMAINDER = "other "


def in_sentence(name: str) -> str:
    """Returns a modality's name for the middle of an English sentence: "ultrasound", but "CT"."""
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]


def _grey(value: float) -> Rgb:
    return (value, value, value)


_TABLE = (
    Modality(
        "ct",
        "CT",
        1,
        _grey(0.330),
        _grey(0.325),
        "radiology",
        "#0072B2",
        ("computed tomography",),
    ),
    Modality(
        "cxr",
        "Chest X-ray",
        1,
        _grey(0.508),
        _grey(0.312),
        "radiology",
        "#56B4E9",
        ("x-ray", "xray", "x ray", "chest xray", "chest_xray", "chest x ray"),
    ),
    Modality(
        "ultrasound",
        "Ultrasound",
        1,
        _grey(0.147),
        _grey(0.181),
        "radiology",
        "#009E73",
        ("us", "sonography"),
    ),
    Modality(
        "pathology",
        "Pathology",
        3,
        (0.721, 0.605, 0.705),
        (0.249, 0.271, 0.246),
        "pathology",
        "#CC79A7",
        ("path", "histopathology", "histology"),
    ),
    Modality(
        "fundus",
        "Colour fundus",
        3,
        (0.338, 0.213, 0.133),
        (0.296, 0.190, 0.139),
        "ophthalmology",
        "#D55E00",
        ("cfp", "eye", "retina", "colour fundus", "color fundus", "fundus photograph"),
    ),
    Modality(
        "oct",
        "OCT",
        1,
        _grey(0.198),
        _grey(0.222),
        "ophthalmology",
        "#E69F00",
        ("optical coherence tomography",),
    ),
    Modality(
        "dermatology",
        "Skin",
        3,
        (0.661, 0.519, 0.471),
        (0.240, 0.220, 0.229),
        "dermatology",
        "#8C6D31",
        ("skin", "derm", "derma", "dermoscopy"),
    ),
)

MODALITIES: dict[str, Modality] = {modality.key: modality for modality in _TABLE}
MODALITY_KEYS: tuple[str, ...] = tuple(MODALITIES)

_BY_NAME = {
    name.lower(): modality.key
    for modality in _TABLE
    for name in (modality.key, modality.name, *modality.aliases)
}


def modality_key(name: str) -> str:
    """Returns the key of the modality that a name or alias means, whatever its case.

    Raises:
        UnknownModalityError: the name is none of the seven.
    """
    key = _BY_NAME.get(str(name).strip().lower())
    if key is None:
        raise UnknownModalityError(f"'{name}' is not a modality; known are {', '.join(MODALITY_KEYS)}.")
    return key


def modality_named(name: str) -> str | None:
    """Returns the key of the modality that a name or alias means, None where it means none."""
    try:
        return modality_key(name)
    except UnknownModalityError:
        return None
