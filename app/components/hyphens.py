"""Where a long word may be broken: soft hyphens between its syllables.

Chromium on Linux has no dictionaries for `hyphens: auto`, and would break a label anywhere.
"""

import re

_SOFT = "\u00ad"
_LONG = re.compile(r"[^\W\d_]{9,}")  # fewer letters fit a card
_LEAST = 3  # letters before and behind a hyphen
_VOWELS = "aeiouyäöü"
# What a syllable may begin with: consonants that belong together, else the last one before a vowel.
_ONSET = re.compile(
    rf"(?:sch|ch|ck|th|ph|rh|qu|[bcdfgkpt][lr]|[^\W\d_{_VOWELS}])(?=[{_VOWELS}])", re.IGNORECASE
)
# Parts of compounds of medicine that begin with a vowel: the syllable before them keeps its last consonant.
_PART = re.compile(r"(?=adenom|angiom|atres|epithel|ischäm|ischem|oedem|ödem)", re.IGNORECASE)


def breakable(text: str) -> str:
    """Returns a text whose long words may be broken between syllables; set soft hyphens stay alone."""
    return text if _SOFT in text else _LONG.sub(lambda found: _broken(found.group()), text)


def _broken(word: str) -> str:
    borders = {found.start() for found in _PART.finditer(word)}
    near = {border + step for border in borders for step in (-1, 1)}  # no syllable of one letter
    starts = borders | {found.start() for found in _ONSET.finditer(word)} - near
    places = [start for start in sorted(starts) if _LEAST <= start <= len(word) - _LEAST]
    return _SOFT.join(word[a:b] for a, b in zip([0, *places], [*places, len(word)], strict=True))
