"""The one place where the page's HTML is made from templates; every value in one is escaped."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..texts import text

_FOLDER = Path(__file__).parent
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals["t"] = text


def render(template: str, **values: Any) -> str:
    """Fills in one of the templates beside this file; they read the page's sentences as `t`."""
    return _ENVIRONMENT.get_template(template).render(values)


def script(name: str) -> str:
    """Returns one of the scripts beside this file."""
    return (_FOLDER / name).read_text(encoding="utf-8")
