"""About: what the model is, how good it is elsewhere and at home, what becomes of images, the model card."""

import gradio as gr

from ..components.about import about_card
from ..components.evidence import evidence
from ..components.html_parts import static_html
from ..components.unseen_source import unseen_source
from ..services import Services
from ..texts import text


class AboutPage:
    """A page without handlers."""

    def __init__(self, services: Services) -> None:
        predictor = services.predictor
        with gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=320):
                static_html(unseen_source(predictor.metrics), "about-unseen")
                static_html(evidence(predictor.metrics), "about-evidence")
            with gr.Column(scale=5, min_width=320):
                static_html(about_card(services), "about-services")
        with gr.Accordion(text.MODEL_CARD, open=True):
            gr.Markdown(predictor.card or text.NO_CARD, elem_classes="mm-card-text")
