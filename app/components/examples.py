"""The bundled examples as small pictures to press."""

from pathlib import Path

import numpy as np
from PIL import Image

from mermed_core.errors import ImageError
from mermed_core.files import ASSETS

from ..texts import text
from .pictures import picture_uri
from .templates import render

_FOLDER = ASSETS / "examples"
_SIDE = 96


def example_names() -> list[str]:
    """Returns the names of the bundled examples, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.png"))


def example_path(name: str) -> Path:
    """Returns where an example lies.

    Raises:
        ImageError: there is none of that name.
    """
    if name not in example_names():
        raise ImageError(text.no_such_example(name))
    return _FOLDER / f"{name}.png"


def examples() -> str:
    """Returns a button for every bundled example; "" where there are none."""
    return render("examples.html", examples=[(name, _picture(name)) for name in example_names()])


def _picture(name: str) -> str:
    with Image.open(example_path(name)) as image:
        return picture_uri(np.asarray(image.convert("RGB")), _SIDE)
