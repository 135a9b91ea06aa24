"""Recipes: TOML files and `key=value` overrides, read strictly into frozen pydantic models.

A recipe that says `extends = "paper.toml"` (a path relative to its own file) holds only what differs from the
other one. A field without a default must be in the file or in one that it extends.
"""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_origin

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from mermed_core.errors import RecipeError

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """A recipe or a section of one: immutable, without unknown keys, and no value is converted to fit."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


R = TypeVar("R", bound=Section)


def read_recipe(cls: type[R], path: Path, overrides: Sequence[str] = ()) -> R:
    """Reads a TOML file into the model `cls`; an override such as "optimiser.clip_norm=3" wins over the file.

    Raises:
        RecipeError: names the key that is unknown, missing, of another type or out of range, or the file that
            cannot be read.
    """
    table = _read(path, ())
    for override in overrides:
        _apply(cls, table, override)
    try:
        return cls.model_validate(_with_tuples(table))
    except ValidationError as error:
        raise RecipeError(_sentence(cls, error.errors())) from error


def write_recipe(recipe: Section, path: Path) -> None:
    """Writes every value of a recipe as TOML, which `read_recipe` reads back to the same values."""
    path.write_text(tomlkit.dumps(recipe.model_dump(mode="json")), encoding="utf-8")


def _read(path: Path, extended_by: tuple[Path, ...]) -> dict[str, Any]:
    """Returns the values of a recipe and of what it extends."""
    chain = (*extended_by, path)
    if path.resolve() in [other.resolve() for other in extended_by]:
        raise RecipeError(f"The recipes extend each other in a circle: {' → '.join(map(str, chain))}.")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"The recipe '{path}' cannot be read: {error}.") from error
    base = table.pop("extends", None)
    if base is None:
        return table
    if not isinstance(base, str):
        raise RecipeError(f"'extends' is {base!r}; it must be the path of another recipe, in quotes.")
    return _merge(_read(path.parent / base, chain), table)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = base.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _apply(cls: type[Section], table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *sections, name = names = key.strip().split(".")
    if not equals or not name:
        raise RecipeError(f"'{override}' is not of the form key=value, such as optimiser.clip_norm=3.")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise RecipeError(f"'{key.strip()}' is unknown: '{section}' is a value, not a section.")
    kind = _type_of(cls, names)
    is_text = kind is str or get_origin(kind) is Literal
    table[name] = text.strip() if is_text else _parse(text.strip())


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _type_of(cls: type[Section], names: Sequence[int | str]) -> Any:
    """Returns the type of the field that is reached by these names, None where there is none."""
    kind: Any = cls
    for name in names:
        field = getattr(kind, "model_fields", {}).get(name)
        kind = field.annotation if field else None
    return kind


def _with_tuples(value: Any) -> Any:
    """Returns the value with tuples in place of lists, which a frozen model does not hold."""
    if isinstance(value, dict):
        return {key: _with_tuples(each) for key, each in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _sentence(cls: type[Section], errors: list[ErrorDetails]) -> str:
    """Returns the first error in words; an unknown key goes first, as it is often a missing one mistyped."""
    error = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    place, value = error["loc"], error["input"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    if error["type"] == "extra_forbidden":
        known = ", ".join(_type_of(cls, place[:-1]).model_fields)
        return f"'{key}' is unknown; known here are {known}."
    if error["type"] == "missing":
        if isinstance(place[-1], int):
            return f"'{key.rpartition('[')[0]}' has too few values: {list(value)}."
        return f"'{key}' is missing from the recipe."
    if error["type"] == "model_type":
        return f"'{key}' is a section of the recipe, not a value."
    rule = re.sub(r"^\w+ should", "it must", error["msg"]).replace("tuple", "list")
    return f"'{key}' is {value!r}; {rule}."
