"""The one place where the page's HTML is made from templates; every value in one is escaped."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mermed_core.languages.say import in_readers_words, name_of

from ..texts import text
from .hyphens import breakable

_FOLDER = Path(__file__).parent
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals["t"] = text
_ENVIRONMENT.filters["said"] = in_readers_words  # what the core says, such as how a file was read
_ENVIRONMENT.filters["named"] = name_of
_ENVIRONMENT.filters["breakable"] = breakable


def render(template: str, **values: Any) -> str:
    """Fills in one of the templates beside this file; they read the page's sentences as `t`."""
    return _ENVIRONMENT.get_template(template).render(values)


def script(name: str) -> str:
    """Returns one of the scripts beside this file."""
    return (_FOLDER / name).read_text(encoding="utf-8")
