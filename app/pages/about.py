"""About: what the model is, how good it is, what it was trained on, and its limits."""

import gradio as gr

from ..components.clickable_html import plain
from ..components.evidence import evidence
from ..services import Services
from ..text import RESEARCH_ONLY

_PRIVACY = """
### Your images

An uploaded file is read into memory and removed at once; its pixels stay in memory for the visit, and are
never stored, logged or sent anywhere. The headers of DICOM files (names, dates, numbers) are dropped before
anything else sees the image. Names that are burned into the pixels stay visible: remove them before you
upload. On a server that others run, upload nothing that may identify a person.
"""


class AboutPage:
    """A page without handlers."""

    def __init__(self, services: Services) -> None:
        predictor = services.predictor
        with gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=320):
                plain(evidence(predictor.metrics, predictor.figures), "about-evidence")
            with gr.Column(scale=5, min_width=320):
                gr.Markdown(
                    f"### {RESEARCH_ONLY}\n\nModel **{predictor.model_name}**, running on "
                    f"{predictor.device}.\n{_collection(services)}\n{_PRIVACY}"
                )
        with gr.Accordion("Model card", open=True):
            gr.Markdown(predictor.card or "This model has no card.", elem_classes="mm-card-text")


def _collection(services: Services) -> str:
    collection = services.predictor.collection
    if collection is None:
        return f"\nNo collection is loaded. {services.missing_collection}\n"
    kind = "synthetic" if collection.synthetic else "known"
    return f"\nCollection **{collection.name}**: {len(collection)} {kind} cases. {collection.description}\n"
