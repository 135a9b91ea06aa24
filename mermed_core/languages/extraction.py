"""Which English sentences the code says: read from its source, as gettext does, and from its constants.

A module of sentences has `say = speaks(__name__)`. What else a visitor reads, the core says in strings.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

_SPEAKS = re.compile(r"^say = speaks\(__name__\)$", re.MULTILINE)


def speaking_modules(package: str) -> list[ModuleType]:
    """Imports the modules of sentences in a package; returns them by name.

    Args:
        package: its name, such as `app.texts`.
    """
    inside = Path(importlib.import_module(package).__path__[0])
    names = [
        ".".join([package, *path.relative_to(inside).with_suffix("").parts])
        for path in sorted(inside.rglob("*.py"))
        if _SPEAKS.search(path.read_text(encoding="utf-8"))
    ]
    return [importlib.import_module(name) for name in names]


def sentences(module: ModuleType, skipped: frozenset[str] = frozenset()) -> list[str]:
    """Returns the English sentences of a module once each, in the order in which they stand in it.

    Args:
        module: with constants in capitals, and functions that return `say("…")`.
        skipped: constants that nobody reads as they are.
    """
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    values = vars(module)
    found = [
        (0, each) for name in values.get("__all__", ()) if name.isupper() for each in _leaves(values[name])
    ]
    for name, line in _constants(tree):
        found += [(line, each) for each in _leaves(values[name]) if name not in skipped]
    found += _said(tree)
    return list(dict.fromkeys(each for _, each in sorted(found, key=lambda pair: pair[0]) if each.strip()))


def _constants(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yields the constants that a module defines, with their lines."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name) and name.id.isupper():
                        yield name.id, node.lineno


def _leaves(value: Any) -> Iterator[str]:
    """Yields the sentences in a constant: not the keys of dictionaries, nor what rows begin with."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from _leaves(each[1:] if isinstance(each, tuple) else each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)


def _said(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.lineno, first.value


def templates(path: Path) -> list[str]:
    """Returns the strings in a file of the core, {} for what fills them, without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    within = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
    }
    idle = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    numbers = {id(node.format_spec) for node in ast.walk(tree) if isinstance(node, ast.FormattedValue)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in numbers:
            parts = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            found.append((node.lineno, "".join(parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in idle | within:
            found.append((node.lineno, node.value))
    return list(dict.fromkeys(each for _, each in sorted(found, key=lambda pair: pair[0])))
