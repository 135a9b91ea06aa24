"""The visitor's image with the heat map over it, its opacity slider and its scale."""

from mermed_core.inference.predictor import MedicalImage
from mermed_core.records import Saliency

from ..pictures import heat_uri, picture_uri, scale_gradient
from ..text import text

# Below this raw peak the map of the class is noise that was stretched to full scale.
_FAINT = 1e-3

EMPTY = (
    '<div class="mm-figure mm-empty"><div class="mm-stage"><p>Your image appears here.<br>'
    "<small>It stays in memory and is never stored.</small></p></div></div>"
)


def figure(image: MedicalImage, saliency: Saliency | None = None, name: str = "") -> str:
    """Returns the image, with the heat map for a class of that name where one is given."""
    height, width = image.pixels.shape[:2]
    overlay = controls = ""
    if saliency is not None:
        overlay = f'<img class="mm-heat" src="{heat_uri(saliency.heat)}" alt="">'
        controls = _controls(saliency, name)
    return (
        f'<figure class="mm-figure"><div class="mm-stage">'
        f'<div class="mm-canvas" style="--ratio:{width / height:.4f}"><img class="mm-base" '
        f'src="{picture_uri(image.pixels)}" alt="The image that was uploaded">'
        f"{overlay}</div></div>{controls}</figure>"
    )


def _controls(saliency: Saliency, name: str) -> str:
    faint = ""
    if saliency.peak < _FAINT:
        faint = " Nothing in the image speaks for this class, so the map says little."
    return (
        f'<figcaption class="mm-controls"><label>Overlay <input class="mm-opacity" type="range" min="0" '
        'max="100" value="60" aria-label="Opacity of the heat map"></label>'
        f'<div class="mm-scale"><span>less</span><i style="background:{scale_gradient()}"></i>'
        f"<span>more</span></div><p>{text(saliency.method)}: where the image speaks for "
        f"<strong>{text(name)}</strong>. Raw peak {saliency.peak:.2g}.{faint} "
        "A coarse hint, not an outline of the finding.</p></figcaption>"
    )
