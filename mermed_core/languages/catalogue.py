"""The languages beside English, each of them one file in this folder: `de.toml` is German.

English stands in the code. A file says of English sentences what they are in its language, in a table for
each module that says them; what it lacks stays English. Docs: docs/languages.md.
"""

import functools
import re
import tomllib
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from string import Formatter
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mermed_core.errors import SettingsError

_FOLDER = Path(__file__).parent
ENGLISH = "en"
NAMES, CORE = "names", "core"
"""Tables of what no module of sentences says: names in models and collections; what is wrong with a file."""
_LONGEST = 1000  # letters of what is recognised: more is nothing that the core says
_GAP = re.compile(r"\{\w*\}")
_RANGE = "{low} to {high}"
_NUMBER = re.compile(r"[+\-−]?\d[\d,]*(\.\d+)?%?")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    decimal: str
    thousands: str
    percent: str
    nouns_are_capital: bool
    sentences: dict[str, dict[str, str]]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What English sentences are in one language.

    Attributes:
        code: of the language (ISO 639-1), as HTML states it.
        name: what the language calls itself.
        decimal: what stands before the decimals of a number.
        thousands: what stands between its thousands.
        percent: what stands behind a percentage.
        nouns_are_capital: whether names keep a capital within a sentence.
        tables: by module, English sentence → sentence.
    """

    code: str
    name: str
    decimal: str = "."
    thousands: str = ","
    percent: str = "%"
    nouns_are_capital: bool = False
    tables: dict[str, dict[str, str]] = field(default_factory=dict)

    def find(self, table: str, english: str) -> str | None:
        """Returns what a sentence is in this language, None where nobody has said it yet.

        Args:
            table: of the module that says it; the same sentence may be another one elsewhere.
            english: the sentence, with its gaps as they stand in the code.
        """
        own = self.tables.get(table, {}).get(english)
        if own is not None:
            return own
        tables = (each for name, each in self.tables.items() if name not in (NAMES, CORE))
        return next((each[english] for each in tables if english in each), None)

    def named(self, english: str) -> str:
        """Returns what a modality, a finding, a label or a column is called; itself where nobody said it."""
        names = self.tables.get(NAMES, {})
        return names.get(english) or names.get(english[:1].upper() + english[1:]) or english

    def recognise(self, said: str) -> str:
        """Returns English sentences of the core, their gaps filled already, in this language.

        What fills a gap is looked up too, so that sentences may be parts of sentences.

        Args:
            said: the sentences; they come back as they are where the file knows none of them.
        """
        for pattern, sentence in _patterns(self) if len(said) <= _LONGEST else ():
            found = pattern.fullmatch(said)
            if found is not None:
                *parts, rest = found.groups()
                begins = sentence.format(*map(self._part, parts))
                return begins if rest is None else f"{begins} {self.recognise(rest)}"
        return said

    def number(self, written: str) -> str:
        """Returns a number that is written as in English as this language writes it."""
        return written.translate(str.maketrans({".": self.decimal, ",": self.thousands, "%": self.percent}))

    def _part(self, said: str) -> str:
        low, to, high = said.partition(" to ")
        if _NUMBER.fullmatch(low) and not to:
            return self.number(said)
        if _NUMBER.fullmatch(low) and _NUMBER.fullmatch(high):
            between = self.find(CORE, _RANGE) or _RANGE
            return between.format(low=self.number(low), high=self.number(high))
        named = self.named(said)
        return self.recognise(said) if named == said else named


class Filler(Formatter):
    """Fills the gaps of sentences, numbers as a language writes them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def format_field(self, value: Any, format_spec: str) -> str:
        """Returns what stands in a gap."""
        written = super().format_field(value, format_spec)
        counts = isinstance(value, Real) and not isinstance(value, bool)
        return self._catalogue.number(written) if counts else written


@functools.cache
def languages() -> dict[str, Catalogue]:
    """Returns the languages by their codes, English first.

    Raises:
        SettingsError: a language's file cannot be read; says why.
    """
    others = {path.stem: read_catalogue(path) for path in sorted(_FOLDER.glob("*.toml"))}
    return {ENGLISH: Catalogue(ENGLISH, "English"), **others}


def read_catalogue(path: Path) -> Catalogue:
    """Returns a language as its file says.

    Raises:
        SettingsError: it is no TOML, lacks something, or a sentence has a gap that the English one has not.
    """
    try:
        content = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise SettingsError(f"The language file '{path}' cannot be read: {error}") from error
    for english, said in (pair for table in content.sentences.values() for pair in table.items()):
        if not _gaps(said) <= _gaps(english):
            raise SettingsError(f"The language file '{path}' fills a gap that is not there: '{said}'.")
    return Catalogue(path.stem, **content.model_dump(exclude={"sentences"}), tables=content.sentences)


def _gaps(sentence: str) -> set[str]:
    """Returns the names of a sentence's gaps; those without one are counted."""
    names = [name for _, name, _, _ in Formatter().parse(sentence) if name is not None]
    return {name or str(number) for number, name in enumerate(names)}


@functools.cache
def _patterns(catalogue: Catalogue) -> list[tuple[re.Pattern[str], str]]:
    """Returns how the core's sentences are recognised, those that say most first; others may follow one."""
    table = catalogue.tables.get(CORE, {})
    longest = sorted(table, key=lambda english: -len(_GAP.sub("", english)))
    return [(_pattern(english), table[english]) for english in longest]


def _pattern(english: str) -> re.Pattern[str]:
    sentence = "(.*?)".join(map(re.escape, _GAP.split(english)))
    return re.compile(sentence + ("(?: (.+))?" if english.endswith(".") else "()??"), re.DOTALL)
