"""A line drawing that stands in for a picture that is not here: one for each modality."""

from markupsafe import Markup

from mermed_core.modalities import MODALITIES

from .templates import render


def drawing(modality: str) -> Markup:
    """Returns what an image of a modality looks like, drawn in the modality's colour on the page's ground."""
    html = render("drawing.html", modality=modality, colour=MODALITIES[modality].colour)
    return Markup(html)  # a template of ours, which escaped its values
