"""Classify: one image in; its modality, findings, where the model looked and the most similar cases out."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from mermed_core.modalities import MODALITIES

from ..answers import NO_CASES, Answers
from ..components import cases, examples, figure, findings, modality
from ..components.clickable_html import picked, picking, plain
from ..services import Services

MODEL_QUEUE = "model"
_DETECT = [("Detect", ""), *((item.name, item.key) for item in MODALITIES.values())]


class ClassifyPage:
    """The components of the page and what happens on them."""

    def __init__(self, services: Services, query: gr.State) -> None:
        self._answers = Answers(services)
        self._query = query
        self.point = gr.State(None)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=270):
                self._build_inputs()
            with gr.Column(scale=5, min_width=320):
                self._notice = plain("", "classify-notice")
                self._figure = picking(figure.EMPTY, "figure.js", "classify-figure")
                self._explained = gr.Dropdown([], label="Show where the model looked for", visible=False)
            with gr.Column(scale=4, min_width=300):
                self._modality = plain(modality.EMPTY, "classify-modality")
                self._findings = picking(findings.EMPTY, "pick.js", "classify-findings")
        gr.Markdown("### Similar cases")
        self.cases = picking(cases.nothing(NO_CASES), "pick.js", "classify-cases")
        self._wire()

    def opens(self, source: gr.File | gr.Image, event: Callable[..., Any], api_name: str) -> Any:
        """Lets a file component open an image here, from whichever page it stands on."""
        opened = event(
            self._answers.open,
            [source, self._chosen],
            [source, *self._shown()],
            api_name=api_name,
            api_visibility="public" if api_name == "classify" else "undocumented",
            concurrency_id=MODEL_QUEUE,
        )
        return self._then_explain(opened, api_name)

    def _build_inputs(self) -> None:
        self._file = gr.File(label="Drop an image or DICOM file", height=170, elem_id="classify-file")
        with gr.Accordion("Paste or use the camera", open=False):
            self._camera = gr.Image(
                sources=["clipboard", "webcam"],
                type="filepath",
                image_mode=None,
                format="png",
                buttons=[],
                label="Paste or camera",
                height=220,
                alt_text="A pasted or photographed image",
            )
        self._chosen = gr.Dropdown(
            _DETECT, value="", label="Modality", info="Set it only where you know better than the model."
        )
        self._frame = gr.Slider(1, 2, 1, step=1, label="Frame", visible=False)
        self._examples = picking(examples.examples(), "pick.js", "classify-examples")
        self._example = gr.Textbox(visible=False)
        # A second way in for programs: one file in, one JSON object out.
        self._program_file = gr.File(visible=False)
        self._program_answer = gr.JSON(visible=False)

    def _shown(self) -> list[Any]:
        return [
            self._query,
            self._notice,
            self._figure,
            self._modality,
            self._findings,
            self._explained,
            self.cases,
            self.point,
            self._frame,
        ]

    def _wire(self) -> None:
        answers = self._answers
        self.opens(self._file, self._file.upload, "classify")
        self.opens(self._camera, self._camera.input, "classify_camera")
        # A slider is moved through many frames: only the last one counts.
        shows = {"outputs": self._shown(), "concurrency_id": MODEL_QUEUE, "trigger_mode": "always_last"}
        example = self._examples.select(
            picked, None, self._example, api_name="pick_example", api_visibility="private", queue=False
        )
        for event, handler, inputs, name in (
            (example.then, answers.open_example, [self._example, self._chosen], "classify_example"),
            (
                self._frame.input,
                answers.change_frame,
                [self._query, self._frame, self._chosen],
                "classify_frame",
            ),
            (self._chosen.input, answers.change_modality, [self._query, self._chosen], "classify_as"),
        ):
            self._then_explain(event(handler, inputs, api_name=name, **shows), name)
        chosen = self._findings.select(
            picked,
            None,
            self._explained,
            api_name="pick_finding",
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )
        self._then_explain(chosen, "finding")
        self._then_explain(self._explained.input, "")
        self._program_file.upload(
            answers.analyse,
            self._program_file,
            self._program_answer,
            api_name="analyse",
            concurrency_id=MODEL_QUEUE,
        )

    def _then_explain(self, event: Any, name: str) -> Any:
        """Draws the heat map after an event; only one of these is for programs, the others are its twins."""
        return (event.then if hasattr(event, "then") else event)(
            self._answers.explain,
            [self._query, self._explained],
            self._figure,
            api_name=f"explain_{name}" if name else "explain",
            api_visibility="undocumented" if name else "public",
            concurrency_id=MODEL_QUEUE,
            show_progress="minimal",
        )
