"""A language's file as its translator writes it: begun, and brought up to date without losing a word.

As gettext's msgmerge does it: what is new is marked, and what is no longer said is kept in a comment (`#~`),
from which it comes back with its words when it is said again.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import tomlkit
from tomlkit.items import Comment, String, Table, Whitespace

from mermed_core.errors import SettingsError
from mermed_core.languages.catalogue import CORE, NAMES

NEW, NO_LONGER = "# new", "#~"
_TABLES = re.compile(r"^\[sentences\b", re.MULTILINE)

_HEAD = """\
# {code}: every sentence that the page, the reports and the core say, from `mermed translate {code}`.
# English stands on the left and is how a sentence is found, so it stays; write yours on the right. A sentence
# whose right side is empty is said in English. What stands in {{braces}} on the left stands on the right as
# well, in any order; \\u00ad is a place where a long word may be broken. Each table is named after the module
# that says its sentences. `names` are names in models and collections; in `core`, {{}} is what the program
# fills in. The same command brings this file up to date: it marks what is new with `# new`, and keeps what is
# no longer said behind #~.

name = "{code}" # what the language calls itself
decimal = "." # what stands before the decimals of a number
thousands = "," # what stands between its thousands
percent = "%" # what stands behind a percentage
nouns_are_capital = false # whether names keep a capital within a sentence

"""


@dataclass
class _Entry:
    """A sentence, with the comments above it and both sides as they are written in the file."""

    english: str
    said: str
    left: str
    right: str
    above: list[str] = field(default_factory=list)


@dataclass
class _Table:
    entries: list[_Entry] = field(default_factory=list)
    idle: dict[str, _Entry] = field(default_factory=dict)  # no longer said
    below: list[str] = field(default_factory=list)  # comments under the last sentence

    def find(self, english: str) -> int | None:
        return next((at for at, each in enumerate(self.entries) if each.english == english), None)


@dataclass(frozen=True)
class Updated:
    """A language's file as it is to be written.

    Attributes:
        text: of the file.
        sentences: how many there are.
        new: those that it did not have.
        unsaid: how many have no words yet, the new ones among them.
        gone: those that are no longer said.
    """

    text: str
    sentences: int
    new: list[str]
    unsaid: int
    gone: list[str]


def begun(code: str, pattern: str) -> str:
    """Returns the text of a file for a new language, without words.

    Args:
        code: of the language.
        pattern: the text of another language's file, whose order and comments it takes.
    """
    tables = _read(pattern)
    for table in tables.values():
        table.idle.clear()
        for each in table.entries:
            each.said, each.right = "", '""'
    return _HEAD.format(code=code) + _written(tables)


def update(text: str, english: Mapping[str, Sequence[str]], *, mark: bool = True) -> Updated:
    """Brings the text of a language's file up to date.

    Args:
        text: of the file; what is in it keeps its place.
        english: by table, every sentence, in order. Names that are not among them stay: they may be of a
            collection of one's own.
        mark: write above a new sentence that it is new.
    """
    tables = _read(text)
    for name in english:
        tables.setdefault(name, _Table())
    known = {each.english for table in tables.values() for each in table.entries}
    moved = _put_aside(tables, english)
    for name, said in english.items():
        _put_in(tables, name, said, moved, mark)
    entries = [each for table in tables.values() for each in table.entries]
    new = [each.english for each in entries if each.english not in known and not each.said]
    gone = sorted(known - {each.english for each in entries})
    head = text[: found.start()] if (found := _TABLES.search(text)) else text.rstrip() + "\n\n"
    unsaid = sum(not each.said.strip() for each in entries)
    return Updated(head + _written(tables), len(entries), new, unsaid, gone)


def _put_aside(tables: dict[str, _Table], english: Mapping[str, Sequence[str]]) -> dict[str, _Entry]:
    """Takes out what a module no longer says; returns those that another one says now."""
    elsewhere = set().union(*english.values())
    moved = {}
    for name, table in tables.items():
        said = set(english.get(name, ()))
        for each in [each for each in table.entries if name != NAMES and each.english not in said]:
            table.entries.remove(each)
            each.above = [line for line in each.above if line != NEW]
            if each.english in elsewhere:
                moved[each.english] = each
            elif each.said.strip():
                table.idle[each.english] = each
    return moved


def _put_in(
    tables: dict[str, _Table], name: str, said: Sequence[str], moved: dict[str, _Entry], mark: bool
) -> None:
    """Puts sentences of a module behind those that stand before them in the code."""
    table, after = tables[name], 0
    shared = (
        [] if name in (NAMES, CORE) else [tables[other] for other in tables if other not in (NAMES, CORE)]
    )
    for english in said:
        at = table.find(english)
        if at is None and any(other.find(english) is not None for other in shared):
            continue  # the same sentence of another module is said here as well
        if at is None:
            entry = moved.pop(english, None) or table.idle.pop(english, None) or _fresh(english, mark)
            at = after
            table.entries.insert(at, entry)
        elif table.entries[at].said.strip():
            table.entries[at].above = [line for line in table.entries[at].above if line != NEW]
        after = at + 1


def _fresh(english: str, mark: bool) -> _Entry:
    return _Entry(english, "", tomlkit.string(english).as_string(), '""', [NEW] if mark else [])


def _read(text: str) -> dict[str, _Table]:
    """Returns the tables of a file that is one (`read_catalogue`)."""
    stated = tomlkit.parse(text).get("sentences", {})
    return {str(name): _table(str(name), table) for name, table in stated.items()}


def _table(name: str, stated: object) -> _Table:
    if not isinstance(stated, Table):
        raise SettingsError(f"The language file says '{name}' in a way of its own; write [sentences.{name}].")
    table, above = _Table(), []
    for key, item in stated.value.body:
        if isinstance(item, Comment):
            line = item.as_string().strip()
            idle = _idle(line) if line.startswith(NO_LONGER) else None
            if idle is None:
                above.append(line)
            else:
                table.idle[idle.english] = idle
        elif key is not None and isinstance(item, String):
            behind = f" {item.trivia.comment}" if item.trivia.comment else ""
            raw = item.as_string() + behind
            table.entries.append(_Entry(key.key, str(item), key.as_string().strip(), raw, above))
            above = []
        elif isinstance(item, Whitespace):
            above += [""] * item.s.count("\n")
    while above and not above[-1]:  # between this table and the next one
        above.pop()
    table.below = above
    return table


def _idle(line: str) -> _Entry | None:
    """Reads a sentence that is no longer said; None for a comment that only looks like one."""
    written = line.removeprefix(NO_LONGER).strip()
    try:
        ((english, said),) = tomllib.loads(written).items()
    except (tomllib.TOMLDecodeError, ValueError):
        return None
    item = tomlkit.string(str(said)).as_string()
    return _Entry(english, str(said), tomlkit.string(english).as_string(), item)


def _written(tables: Mapping[str, _Table]) -> str:
    parts = []
    for name, table in tables.items():
        lines = [f"[sentences.{name}]"]
        for each in table.entries:
            lines += [*each.above, f"{each.left} = {each.right}"]
        lines += table.below
        for each in table.idle.values():
            one_line = tomlkit.string(each.said).as_string()
            lines += [*each.above, f"{NO_LONGER} {tomlkit.string(each.english).as_string()} = {one_line}"]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
