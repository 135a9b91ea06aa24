"""The visitor's image with the heat map over it, its opacity slider and its scale."""

from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.map_check import MapCheck, map_warnings
from mermed_core.models.cam import DEFAULT
from mermed_core.records import Saliency
from mermed_core.reports.case import wording

from ..routes.picture_route import ADDRESS
from ..texts import answer_text, spoken_text, text
from .html_parts import fresh_number
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
        saliency: the heat map; None where there is none yet.
        name: of the class that it is for; its controls have their room before it comes, and nothing moves.
        picture: the name by which the page fetches the image, once for all heat maps over it.
        alt: what the image is; "" where it is the visitor's.
    """
    height, width = image.pixels.shape[:2]
    warnings = map_warnings(saliency.heat) if saliency else ()
    method, peak = (saliency.method, saliency.peak) if saliency else (DEFAULT, wording.FAINT_PEAK)
    return render(
        "figure.html",
        picture=picture,
        address=ADDRESS,
        alt=alt or text.IMAGE_ALT,
        ratio=f"{width / height:.4f}",
        heat=heat_uri(saliency.heat) if saliency else "",
        gradient=scale_gradient(),
        caption=text.heat_map(method, name, peak) if name else "",
        faint=peak < wording.FAINT_PEAK,
        warnings=warnings,
        number=fresh_number(),
        said=" ".join([spoken_text.heat_map(name), *warnings]),
        words=answer_text,
    )


def unchecked() -> str:
    """Returns the room of what trying the heat map will give."""
    return render("map_check.html", said="", doubtful=False, words=answer_text)


def checked(check: MapCheck | None) -> str:
    """Returns what trying the heat map gave; "" without one."""
    if check is None:
        return ""
    said = wording.map_check(check.shuffled, check.before, check.after, like_shuffled=check.like_shuffled)
    return render("map_check.html", said=said, doubtful=check.like_shuffled, words=answer_text)
