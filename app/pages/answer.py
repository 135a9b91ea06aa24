"""The answer half of the page: where the model looked, modality, findings, similar cases, and reports."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.events import Dependency

from mermed_core.inference.case_report import case_report
from mermed_core.records import Analysis, Finding

from .. import text
from ..components import cases, figure, findings, modality, notice
from ..components.html_parts import clickable_html, picked_name, scripted_html, static_html
from ..components.report_file import KINDS, report_file
from ..components.templates import script
from ..services import Services
from ..uploads import Query

MODEL_QUEUE = "model"
NEIGHBOURS = 8

Shown = dict[gr.Component, Any]
"""New contents of components; the others keep theirs."""


class Answer:
    """What is said about the image that is open: its components, and what happens on them.

    It is made inside the row beside the inputs; `build_cases` adds what stands below that row.

    Args:
        services: who answers.
        query: the image that is open.
        chosen: the modality that the visitor set, "" to detect it.
    """

    def __init__(self, services: Services, query: gr.State, chosen: gr.Dropdown) -> None:
        self._predictor = services.predictor
        self._missing = services.missing_collection
        self.query, self.chosen = query, chosen
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

    def build_cases(self) -> None:
        """Lays out the similar cases and wires everything."""
        static_html(cases.heading(text.SIMILAR), "classify-heading")
        self.cases = clickable_html(cases.nothing(text.CASES_HERE), "classify-cases")
        self.outputs: list[gr.Component] = [
            self.notice,
            self.figure,
            self.modality,
            self.findings,
            self.explained,
            self.cases,
            *self.downloads.values(),
        ]
        self._wire()

    def show(self, query: Query, chosen: str) -> Shown:
        """Says everything about an image; "" detects the modality."""
        analysis = self._predictor.analyse(query.embedding, neighbours=NEIGHBOURS)
        first = _pick(analysis.findings[0]) if analysis.findings else None
        metrics, image = self._predictor.metrics, query.image
        return {
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
            **{
                button: gr.update(visible=kind != "dicom" or image.kind == "DICOM")
                for kind, button in self.downloads.items()
            },
        }

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
            neighbours=NEIGHBOURS,
        )
        return report_file(report, kind)

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

    def _wire(self) -> None:
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
