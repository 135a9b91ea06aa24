"""How modules say their sentences in the language of whoever reads them.

A module of sentences begins with `say = speaks(__name__)`. Its constants in capitals are then read in the
reader's language wherever they are read as `module.NAME`, and its functions return
`say("An English sentence about {what}.", what=name)`. Nothing else is to be done for a new sentence: it is
said as it stands in the code until a language's file has it, English's own among them.

The language belongs to the context (`contextvars`), so two visitors at once may read different ones.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from mermed_core.languages.catalogue import ENGLISH, Catalogue, Filler, languages

_SPOKEN: ContextVar[str] = ContextVar("language", default=ENGLISH)


def spoken() -> Catalogue:
    """Returns the language that sentences are said in."""
    return languages()[_SPOKEN.get()]


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Says sentences in a language, by its code, until the context is left."""
    before = _SPOKEN.set(code)
    try:
        yield
    finally:
        _SPOKEN.reset(before)


class Say:
    """Says the sentences of one module.

    Attributes:
        table: where a language's file has them.
    """

    def __init__(self, table: str) -> None:
        self.table = table

    def __call__(self, english: str, **values: object) -> str:
        """Returns a sentence in the language that is spoken.

        Args:
            english: the sentence; `{name}` is a gap, which may say how a number is written ("{share:.0%}").
            values: what fills its gaps.
        """
        catalogue = spoken()
        sentence = catalogue.find(self.table, english) or english
        return Filler(catalogue).vformat(sentence, (), values) if values else sentence

    def constant(self, value: Any) -> Any:
        """Returns a constant of the module: a sentence, a tuple or a dictionary of them.

        Keys stay as they are: those of dictionaries, and what rows of a table begin with.
        """
        if isinstance(value, str):
            said = self(value)
            return spoken().recognise(value) if said == value else said
        if isinstance(value, dict):
            return {key: self.constant(each) for key, each in value.items()}
        if isinstance(value, tuple):
            return tuple(
                (each[0], *map(self.constant, each[1:])) if isinstance(each, tuple) else self.constant(each)
                for each in value
            )
        return value


def name_of(english: str) -> str:
    """Returns the name of a modality, a finding or a label in the language that is spoken."""
    return spoken().named(english)


def in_readers_words(said: str) -> str:
    """Returns an English sentence of the core, such as why a file cannot be read, in the language spoken."""
    return spoken().recognise(said)


def speaks(module: str) -> Say:
    """Makes a module of sentences say them in the language that is spoken; returns what its functions use."""
    sys.modules[module].__class__ = _Sentences
    return Say(module.rpartition(".")[2])


class _Sentences(ModuleType):
    """A module whose constants are read in the language that is spoken."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if not name.isupper() or not spoken().tables:  # as English is that nobody has reworded
            return value
        return super().__getattribute__("say").constant(value)
