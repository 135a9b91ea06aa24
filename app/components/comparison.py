"""The visitor's image beside one case: both with what speaks for the likeness, and the regions that match."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from mermed_core.collections.collection import Collection
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.comparison import Comparison

from ..texts import answer_text, case_text
from .cases import shown
from .html_parts import fresh_number
from .pictures import heat_uri, picture_uri
from .templates import render

_SIDE = 480


def comparison_view(collection: Collection, image: MedicalImage, compared: Comparison) -> str:
    """Returns the image and the case side by side; the image alone where the case has no picture."""
    sides = [
        _side(answer_text.YOURS, image.pixels, compared.heat, (match.image for match in compared.matches))
    ]
    facts: dict[str, Any] = {"drawing": "", "home": ""}
    if compared.picture is None or compared.case_heat is None:
        facts = shown(collection, compared.case)
    else:
        places = (match.case for match in compared.matches)
        title = case_text.source_title(collection.source(compared.case.source))
        sides.append(_side(title, compared.picture, compared.case_heat, places))
    return render(
        "comparison.html",
        words=answer_text,
        number=fresh_number(),  # a case may be pressed again after it was closed
        said=answer_text.why_this_case(collection, compared),
        legend=answer_text.LIKENESS if len(sides) == 2 else answer_text.LIKENESS_ALONE,
        case_id=compared.case.case_id,
        sides=sides,
        **facts,
    )


def _side(
    title: str, pixels: np.ndarray, heat: np.ndarray, places: Iterable[tuple[float, float]]
) -> dict[str, Any]:
    height, width = pixels.shape[:2]
    return {
        "title": title,
        "picture": picture_uri(pixels, _SIDE),
        "heat": heat_uri(heat),
        "ratio": f"{width / height:.4f}",
        "places": [(f"{100 * x:.1f}", f"{100 * y:.1f}") for x, y in places],
    }
