"""The bundled examples as small pictures to press."""

import numpy as np
from PIL import Image

from ..answers import EXAMPLES, example_names
from ..pictures import picture_uri
from ..text import text

_SIDE = 96


def examples() -> str:
    """Returns a button for every bundled example; "" where there are none."""
    buttons = "".join(_button(name) for name in example_names())
    if not buttons:
        return ""
    return f'<div class="mm-examples"><p>Or try an example (drawn, synthetic)</p><div>{buttons}</div></div>'


def _button(name: str) -> str:
    with Image.open(EXAMPLES / f"{name}.png") as image:
        uri = picture_uri(np.asarray(image.convert("RGB")), _SIDE)
    return (
        f'<button type="button" data-pick="{text(name)}" title="{text(name)}">'
        f'<img src="{uri}" alt="Example: {text(name)}"></button>'
    )
