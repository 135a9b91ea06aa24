"""The visitor's image with the heat map over it, its opacity slider and its scale."""

from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.map_check import MapCheck, is_at_edge, is_flat
from mermed_core.records import Saliency
from mermed_core.reports.case import wording

from ..texts import answer_text, text
from .pictures import heat_uri, scale_gradient
from .templates import render


def empty() -> str:
    """Returns what stands there before there is an image."""
    return render("figure.html", picture=None)


def figure(
    image: MedicalImage, saliency: Saliency | None = None, name: str = "", *, picture: str, alt: str = ""
) -> str:
    """Returns the image, with the heat map for a class of that name where one is given.

    Args:
        image: what the model saw.
        saliency: the heat map.
        name: of the class that it is for.
        picture: the image as a data URI, which is made once for all heat maps.
        alt: what the image is; "" where it is the visitor's.
    """
    height, width = image.pixels.shape[:2]
    values = {"picture": picture, "alt": alt or text.IMAGE_ALT}
    values |= {"ratio": f"{width / height:.4f}", "heat": ""}
    if saliency is None:
        return render("figure.html", **values)
    return render(
        "figure.html",
        **values | {"heat": heat_uri(saliency.heat)},
        gradient=scale_gradient(),
        caption=text.heat_map(saliency.method, name, saliency.peak),
        faint=saliency.peak < wording.FAINT_PEAK,
        warnings=[
            words
            for warned, words in (
                (is_flat(saliency.heat), wording.FLAT_MAP),
                (is_at_edge(saliency.heat), wording.EDGE_MAP),
            )
            if warned
        ],
        words=answer_text,
    )


def checked(check: MapCheck | None) -> str:
    """Returns what trying the heat map gave; "" without one."""
    if check is None:
        return ""
    said = wording.map_check(check.shuffled, check.before, check.after, like_shuffled=check.like_shuffled)
    return render("map_check.html", said=said, doubtful=check.like_shuffled, words=answer_text)
