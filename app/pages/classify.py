"""Classify: one image in; its modality, findings, where the model looked and the most similar cases out."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.events import Dependency

from mermed_core.errors import MermedError
from mermed_core.inference.case_report import case_report
from mermed_core.modalities import MODALITIES
from mermed_core.records import Analysis, Finding

from .. import text
from ..components import cases, examples, figure, findings, modality, notice
from ..components.html_parts import clickable_html, picked_name, scripted_html, static_html
from ..components.report_file import KINDS, report_file
from ..components.templates import script
from ..services import Services
from ..uploads import Query, open_upload

MODEL_QUEUE = "model"
_NEIGHBOURS = 8
_MODALITIES = [(text.DETECT, ""), *((item.name, item.key) for item in MODALITIES.values())]

Shown = dict[gr.Component, Any]
"""New contents of components; the others keep theirs."""


class ClassifyPage:
    """The components of the page and what happens on them; what was shown stays where a file is refused."""

    def __init__(self, services: Services, query: gr.State) -> None:
        self._predictor = services.predictor
        self._missing = services.missing_collection
        self.query = query
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=270):
                self._build_inputs()
            with gr.Column(scale=5, min_width=320):
                self.notice = static_html("", "classify-notice")
                self.figure = scripted_html(figure.empty(), "classify-figure", "figure.js")
                self.explained = gr.Dropdown([], label=text.SHOW_WHERE, visible=False)
                with gr.Row(elem_id="classify-reports"):
                    self.downloads = {
                        kind: gr.Button(text.TAKE_ALONG[kind], size="sm", visible=False) for kind in KINDS
                    }
                self._file_out = gr.Textbox(visible=False)
            with gr.Column(scale=4, min_width=300):
                self.modality = static_html(modality.empty(), "classify-modality")
                self.findings = clickable_html(findings.empty(), "classify-findings")
        static_html(cases.heading(text.SIMILAR), "classify-heading")
        self.cases = clickable_html(cases.nothing(text.CASES_HERE), "classify-cases")
        self.outputs: list[gr.Component] = [
            self.query,
            self.notice,
            self.figure,
            self.modality,
            self.findings,
            self.explained,
            self.cases,
            self.frame,
            *self.downloads.values(),
        ]
        self._wire()

    def opens(self, source: gr.File | gr.Image, event: Callable[..., Any], api_name: str) -> None:
        """Lets a file component open an image here, from whichever page it stands on."""

        def handler(path: str | None, chosen: str) -> Shown:
            """Opens an uploaded file and says everything about it."""
            return {source: None, **self.open(path, chosen)}

        self.then_explains(
            event(
                handler,
                [source, self.chosen],
                [source, *self.outputs],
                api_name=api_name,
                api_visibility="public" if api_name == "classify" else "undocumented",
                concurrency_id=MODEL_QUEUE,
            ),
            api_name,
        )

    def open(self, path: str | None, chosen: str) -> Shown:
        """Opens an uploaded file and says everything about it; "" detects the modality."""
        if not path:
            return {self.notice: ""}
        return self._show(lambda: open_upload(self._predictor, path, chosen or None), chosen)

    def open_example(self, name: str, chosen: str) -> Shown:
        """Opens one of the bundled examples by its name."""

        def opened() -> Query:
            return open_upload(self._predictor, str(examples.example_path(name)), chosen or None)

        return self._show(opened, chosen)

    def change_frame(self, query: Query | None, frame: int, chosen: str) -> Shown:
        """Goes to another frame of the same file, counted from 1 as people do."""
        if query is None:
            return {self.notice: ""}
        return self._show(lambda: query.at_frame(self._predictor, int(frame) - 1, chosen or None), chosen)

    def change_modality(self, query: Query | None, chosen: str) -> Shown:
        """Reads the same image as one of another modality; "" detects it."""
        if query is None:
            return {self.notice: ""}
        return self._show(lambda: query.read_as(self._predictor, chosen or None), chosen)

    def explain(self, query: Query | None, explained: str | None) -> Shown:
        """Draws where the model looked for one finding over the image."""
        if query is None:
            return {self.figure: figure.empty()}
        if not explained:
            return {self.figure: figure.figure(query.image)}
        task, label = self._class_of(explained)
        saliency = self._predictor.explain(query.image, task=task, label=label, embedding=query.embedding)
        name = text.class_name(self._predictor.metrics, task, label)
        return {self.figure: figure.figure(query.image, saliency, name)}

    def report(self, kind: str, query: Query | None, explained: str | None, chosen: str) -> str:
        """Returns the report on the visitor's image as a file for the browser; "" without an image."""
        if query is None:
            return ""
        report = case_report(
            self._predictor,
            query.image,
            query.embedding,
            chosen=chosen or None,
            explained=self._class_of(explained) if explained else None,
            neighbours=_NEIGHBOURS,
        )
        return report_file(report, kind)

    def analyse(self, path: str) -> dict[str, Any]:
        """Returns everything about one uploaded file as JSON, for programs: {"error": …} if it is refused."""
        try:
            query = open_upload(self._predictor, path)
            return self._predictor.analyse(query.embedding, neighbours=_NEIGHBOURS).to_dict()
        except MermedError as error:
            return {"error": str(error)}

    def _show(self, opened: Callable[[], Query], chosen: str) -> Shown:
        try:
            query = opened()
            analysis = self._predictor.analyse(query.embedding, neighbours=_NEIGHBOURS)
        except MermedError as error:
            return {self.notice: notice.problem(str(error))}
        first = _pick(analysis.findings[0]) if analysis.findings else None
        metrics, image = self._predictor.metrics, query.image
        return {
            self.query: query,
            self.notice: notice.file_notes(image.kind, analysis.notes),
            self.figure: figure.figure(image),
            self.modality: modality.modality_card(analysis, chosen or None),
            self.findings: findings.findings_card(analysis, self._predictor.tasks, metrics, first or ""),
            self.explained: gr.update(
                choices=[(text.class_name(metrics, f.task, f.label), _pick(f)) for f in analysis.findings],
                value=first,
                visible=first is not None,
            ),
            self.cases: self._similar(analysis),
            self.frame: gr.update(
                visible=image.frames > 1, maximum=max(2, image.frames), value=image.frame + 1
            ),
            **{
                button: gr.update(visible=kind != "dicom" or image.kind == "DICOM")
                for kind, button in self.downloads.items()
            },
        }

    def _similar(self, analysis: Analysis) -> str:
        if self._predictor.collection is None:
            return cases.nothing(f"{text.NO_COLLECTION} {self._missing}")
        sentence = "" if analysis.in_distribution else text.NEAREST_ANYWAY
        return cases.neighbour_grid(self._predictor.collection, analysis.neighbours, sentence)

    def _class_of(self, explained: str) -> tuple[str, str]:
        """Returns label set and class by the name that the page gave them."""
        for label_set in self._predictor.tasks:
            for label in label_set.classes:
                if findings.pick(label_set.task, label) == explained:
                    return label_set.task, label
        raise gr.Error(text.no_such_finding(explained), print_exception=False)

    def _build_inputs(self) -> None:
        self._file = gr.File(label=text.DROP_FILE, height=170, elem_id="classify-file")
        with gr.Accordion(text.PASTE_OR_CAMERA, open=False):
            self._camera = gr.Image(
                sources=["clipboard", "webcam"],
                type="filepath",
                image_mode=None,
                format="png",
                buttons=[],
                label=text.CAMERA,
                height=220,
                alt_text=text.CAMERA_ALT,
            )
        self.chosen = gr.Dropdown(_MODALITIES, value="", label=text.MODALITY, info=text.MODALITY_HINT)
        self.frame = gr.Slider(1, 2, 1, step=1, label=text.FRAME, visible=False)
        self._examples = clickable_html(examples.examples(), "classify-examples")
        self._example = gr.Textbox(visible=False)
        # A second way in for programs: one file in, one JSON object out.
        self._program_file = gr.File(visible=False)
        self._program_answer = gr.JSON(visible=False)

    def _wire(self) -> None:
        self.opens(self._file, self._file.upload, "classify")
        self.opens(self._camera, self._camera.input, "classify_camera")
        example = self._examples.select(
            picked_name, None, self._example, api_name="pick_example", api_visibility="private", queue=False
        )
        chosen = self.chosen
        for event, handler, inputs, name in (
            (example.then, self.open_example, [self._example, chosen], "classify_example"),
            (self.frame.input, self.change_frame, [self.query, self.frame, chosen], "classify_frame"),
            (chosen.input, self.change_modality, [self.query, chosen], "classify_as"),
        ):
            shown = event(
                handler,
                inputs,
                self.outputs,
                api_name=name,
                concurrency_id=MODEL_QUEUE,
                trigger_mode="always_last",  # a slider moves through many frames: only the last one counts
            )
            self.then_explains(shown, name)
        picked = self.findings.select(
            picked_name,
            None,
            self.explained,
            api_name="pick_finding",
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )
        self.then_explains(picked, "finding")
        self._explains(self.explained.input, "explain", "public")
        for kind in KINDS:
            self._wire_download(kind)
        self._program_file.upload(
            self.analyse,
            self._program_file,
            self._program_answer,
            api_name="analyse",
            concurrency_id=MODEL_QUEUE,
        )

    def _wire_download(self, kind: str) -> None:
        def make(query: Query | None, explained: str | None, chosen: str) -> str:
            """Makes a report on the image that is open: name, media type and the bytes in base64."""
            return self.report(kind, query, explained, chosen)

        made = self.downloads[kind].click(
            make,
            [self.query, self.explained, self.chosen],
            self._file_out,
            api_name=f"report_{kind}",
            concurrency_id=MODEL_QUEUE,
        )
        js = script("save_file.js")
        made.then(None, self._file_out, None, js=js, api_name=f"save_{kind}", api_visibility="private")

    def then_explains(self, event: Dependency, name: str) -> None:
        """Draws the heat map after an event."""
        self._explains(event.then, f"explain_{name}", "undocumented")

    def _explains(self, event: Callable[..., Any], api_name: str, visibility: str) -> None:
        event(
            self.explain,
            [self.query, self.explained],
            self.figure,
            api_name=api_name,
            api_visibility=visibility,
            concurrency_id=MODEL_QUEUE,
            show_progress="minimal",
        )


def _pick(finding: Finding) -> str:
    return findings.pick(finding.task, finding.label)
