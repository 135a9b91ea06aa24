"""The languages, each of them one file: `en.toml` and `de.toml` here, a host may add others.

The code finds a sentence by its English. A file says of these what they are in its language, in a table for
each module that says them; what it lacks, or has nothing for, is said as it stands in the code. `en.toml` has
every sentence, and words of its own where English is to be worded otherwise. Docs: docs/languages.md.
"""

import functools
import re
import tomllib
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from string import Formatter
from typing import Any

from pydantic import BaseModel, ConfigDict

from mermed_core.errors import SettingsError

_FOLDER = Path(__file__).parent
PATTERN = _FOLDER / "de.toml"
"""The file whose order and comments a new language begins with."""
ENGLISH = "en"
_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
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


def languages() -> dict[str, Catalogue]:
    """Returns the languages by their codes, English first: the shipped ones, and those of the host's folder.

    Raises:
        SettingsError: a language's file cannot be read; says why.
    """
    return languages_with(_added.folder)


def add_languages(folder: Path | None) -> None:
    """Lets the page of this process speak the languages of a folder too; None for the shipped ones alone.

    Raises:
        SettingsError: it is no folder, or a file in it cannot be read.
    """
    languages_with(folder)
    _added.folder = folder


@functools.cache
def languages_with(folder: Path | None) -> dict[str, Catalogue]:
    """Returns the languages by their codes, English first; a file of the folder wins over a shipped one.

    Raises:
        SettingsError: it is no folder, or a file in it cannot be read.
    """
    return {**shipped_languages(), **(_in_folder(folder) if folder else {})}


@functools.cache
def shipped_languages() -> dict[str, Catalogue]:
    """Returns the languages that the package has, by their codes, English first."""
    shipped = _in_folder(_FOLDER)
    return {ENGLISH: shipped.pop(ENGLISH), **shipped}


def shipped_file(code: str) -> Path | None:
    """Returns the package's file of a language, None where it has none."""
    path = _FOLDER / f"{code}.toml"
    return path if path.is_file() else None


def check_code(code: str) -> None:
    """Raises SettingsError for what is no code of a language."""
    if not _CODE.fullmatch(code):
        raise SettingsError(f"'{code}' is no code of a language; write one such as fr or pt-BR.")


def _in_folder(folder: Path) -> dict[str, Catalogue]:
    if not folder.is_dir():
        raise SettingsError(f"There is no folder '{folder}' with language files.")
    return {path.stem: read_catalogue(path) for path in sorted(folder.glob("*.toml"))}


@dataclass
class _Added:
    """The folder of languages that a host adds."""

    folder: Path | None = None


_added = _Added()


def read_catalogue(path: Path) -> Catalogue:
    """Returns a language as its file says.

    Raises:
        SettingsError: it is not called after a language, is no TOML, lacks something, or a sentence has a gap
            that the English one has not.
    """
    try:
        check_code(path.stem)
        content = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, SettingsError) as error:  # also of an encoding, and of what is missing
        raise SettingsError(f"The language file '{path}' cannot be read: {error}") from error
    for english, said in (pair for table in content.sentences.values() for pair in table.items()):
        if not _fits(said, english):
            raise SettingsError(f"The language file '{path}' fills a gap that is not there: '{said}'.")
    tables = {
        name: {english: said for english, said in table.items() if said.strip()}
        for name, table in content.sentences.items()
    }
    said = {name: table for name, table in tables.items() if table}
    return Catalogue(path.stem, **content.model_dump(exclude={"sentences"}), tables=said)


def _fits(said: str, english: str) -> bool:
    """Returns whether what fills the gaps of the English sentence fills those of another one."""
    try:
        theirs, ours = _gaps(said), _gaps(english)
    except ValueError:  # a brace without its other half
        return False
    return all(name in ours and _writes(how, ours[name]) for name, how in theirs.items())


def _gaps(sentence: str) -> dict[str, str]:
    """Returns how a sentence's gaps are written by their names; those without one are counted."""
    gaps = [(name, how or "") for _, name, how, _ in Formatter().parse(sentence) if name is not None]
    return {name or str(number): how for number, (name, how) in enumerate(gaps)}


def _writes(how: str, english: str) -> bool:
    """Returns whether a gap can be written in this way: another one than in English is a number's."""
    if how in ("", english):
        return True
    try:
        return bool(english and format(1.0 if "." in how else 1, how))
    except ValueError:
        return False


@functools.cache
def _patterns(catalogue: Catalogue) -> list[tuple[re.Pattern[str], str]]:
    """Returns how the core's sentences are recognised, those that say most first; others may follow one."""
    table = catalogue.tables.get(CORE, {})
    longest = sorted(table, key=lambda english: -len(_GAP.sub("", english)))
    return [(_pattern(english), table[english]) for english in longest]


def _pattern(english: str) -> re.Pattern[str]:
    sentence = "(.*?)".join(map(re.escape, _GAP.split(english)))
    return re.compile(sentence + ("(?: (.+))?" if english.endswith(".") else "()??"), re.DOTALL)
