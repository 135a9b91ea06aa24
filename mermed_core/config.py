"""Recipes: a TOML file and `key=value` overrides, read strictly into frozen dataclasses.

A field's type is its rule: int, float, bool, str, a Literal of choices, a tuple of these, or a dataclass for
a section; `Annotated[float, Between(0, 1)]` adds a range. A field without a default must be in the file.
"""

import dataclasses
import json
import math
import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from types import EllipsisType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from mermed_core.errors import RecipeError

R = TypeVar("R")


@dataclass(frozen=True)
class Between:
    """The range of a number, both ends included."""

    low: float
    high: float = math.inf


Count = Annotated[int, Between(1)]
Natural = Annotated[int, Between(0)]
Share = Annotated[float, Between(0, 1)]
Amount = Annotated[float, Between(0)]


class _Override(str):
    """A value from the command line, which takes its type from the field."""


def read_recipe(cls: type[R], path: Path, overrides: Sequence[str] = ()) -> R:
    """Reads a TOML file into the dataclass `cls`; an override such as "optimiser.clip_norm=3" wins over it.

    Raises:
        RecipeError: names the key that is unknown, missing, of another type or out of range.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"The recipe '{path}' cannot be read: {error}.") from error
    for override in overrides:
        _put(table, override)
    return _section(cls, table, "")


def write_recipe(recipe: Any, path: Path) -> None:
    """Writes a recipe as a TOML file that `read_recipe` reads back to the same values."""
    lines: list[str] = []
    for section, values in dataclasses.asdict(recipe).items():
        if isinstance(values, dict):
            lines += [f"\n[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        else:
            lines.insert(0, f"{section} = {json.dumps(values)}")
    path.write_text("\n".join(lines).lstrip() + "\n", encoding="utf-8")


def _put(table: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    *sections, name = key.strip().split(".")
    if not equals or not name:
        raise RecipeError(f"'{override}' is not of the form key=value, such as optimiser.clip_norm=3.")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise RecipeError(f"'{key.strip()}' is unknown: '{section}' is a value, not a section.")
    table[name] = _Override(value.strip())


def _section(cls: type[R], table: Any, prefix: str) -> R:
    if not isinstance(table, dict):
        raise RecipeError(f"'{prefix.rstrip('.')}' is a section of the recipe, not a value.")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]
    if unknown := sorted(table.keys() - fields.keys()):
        raise RecipeError(f"'{prefix}{unknown[0]}' is unknown; known here are {', '.join(fields)}.")
    hints = get_type_hints(cls, include_extras=True)
    values = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _value(hints[name], table[name], prefix + name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise RecipeError(f"'{prefix}{name}' is missing from the recipe.")
    return cls(**values)


def _value(hint: Any, value: Any, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _section(hint, value, key + ".")  # pyright: ignore[reportArgumentType]
    if get_origin(hint) is Annotated:
        hint, *rules = get_args(hint)
        value = _value(hint, value, key)
        for rule in rules:
            if isinstance(rule, Between) and not rule.low <= value <= rule.high:
                raise RecipeError(f"'{key}' is {value}; it must lie between {rule.low} and {rule.high}.")
        return value
    if isinstance(value, _Override):
        value = _parsed(value) if hint is not str and get_origin(hint) is not Literal else str(value)
    return _plain(hint, value, key)


def _plain(hint: Any, value: Any, key: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple and isinstance(value, list):
        if isinstance(arguments[-1], EllipsisType):
            arguments = (arguments[0],) * len(value)
        if len(arguments) != len(value):
            raise RecipeError(f"'{key}' has {len(value)} values; {len(arguments)} are needed.")
        return tuple(_value(each, item, key) for each, item in zip(arguments, value, strict=True))
    if origin is Literal:
        if value not in arguments:
            raise RecipeError(f"'{key}' is '{value}'; it must be one of {', '.join(map(str, arguments))}.")
        return value
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if type(value) is hint and hint is not float:
        return value
    expected = "a list" if origin is tuple else f"of type {getattr(hint, '__name__', hint)}"
    raise RecipeError(f"'{key}' is {value!r}; it must be {expected}.")


def _parsed(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
