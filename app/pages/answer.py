"""The answer half of the page: where the model looked, modality, findings, similar cases, and reports."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.events import Dependency

from mermed_core.errors import CollectionError, DicomReportError
from mermed_core.inference.case_report import case_report
from mermed_core.inference.comparison import compare
from mermed_core.inference.neighbourhood import contrast, doubts
from mermed_core.inference.second_look import SecondLook, second_look
from mermed_core.languages.catalogue import ENGLISH
from mermed_core.languages.say import in_readers_words, speaking, spoken
from mermed_core.models.cam import DEFAULT, METHODS
from mermed_core.records import Analysis

from ..components import cases, figure, findings, modality, neighbourhood, notice
from ..components.comparison import comparison_view
from ..components.html_parts import clickable_html, picked_name, scripted_html, static_html
from ..components.place import place
from ..components.report_file import KINDS, report_file
from ..components.second_look import looking, second_look_card
from ..components.templates import script
from ..heat_maps import HeatMaps, pick
from ..open_image import about_open_image
from ..services import Services
from ..texts import answer_text, text
from ..uploads import Query

MODEL_QUEUE = "model"
# An answer waits for no heat map, and neither waits for what is tried afterwards.
MAP_QUEUE, AFTERWARDS_QUEUE = "map", "afterwards"
NEIGHBOURS = 8
NEAREST, CONTRAST = "nearest", "contrast"  # how the cases are shown

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
        self._maps = HeatMaps(services.predictor)
        self._missing = services.missing_collection
        self.query, self.chosen = query, chosen
        with gr.Column(scale=4, min_width=300, elem_id="classify-words"):
            with gr.Column(elem_id="classify-kind"):  # a note takes its room from the card above it
                self.modality = static_html(modality.empty(), "classify-modality")
                self.notice = notice.notice("classify-notice")
            self.findings = clickable_html(findings.empty(), "classify-findings")
            self.second_look = static_html("", "classify-second-look")
        with gr.Column(scale=5, min_width=320, elem_id="classify-picture"):
            self.figure = scripted_html(figure.empty(), "classify-figure", "figure.js")
            self.checked = static_html("", "classify-map-check")
            with gr.Row(elem_id="classify-map-choices"):
                wide: dict[str, Any] = {"visible": False, "min_width": 190}  # on a phone one below the other
                # Takes every value, as that of the image before may still be asked for; see `HeatMaps.is_of`.
                self.explained = gr.Dropdown([], label=text.SHOW_WHERE, allow_custom_value=True, **wide)
                self.method = self._method_list(wide)
            with gr.Row(elem_id="classify-reports"):
                self.downloads = {
                    kind: gr.Button(text.TAKE_ALONG[kind], size="sm", min_width=100, visible=False)
                    for kind in KINDS
                }
            self.place = static_html("", "classify-place")
            self._file_out = gr.Textbox(visible=False)
            self._pressed = gr.Textbox(visible=False)

    def build_cases(self) -> None:
        """Lays out the similar cases and wires everything."""
        static_html(cases.heading(text.SIMILAR), "classify-heading")
        self.arranged = gr.Radio(
            [(answer_text.NEAREST, NEAREST), (answer_text.CONTRAST, CONTRAST)],
            value=NEAREST,
            label=answer_text.ARRANGE,
            show_label=False,
            container=False,
            visible=False,
            elem_id="classify-arranged",
        )
        self.cases = clickable_html(cases.nothing(text.CASES_HERE), "classify-cases")
        self.comparison = scripted_html("", "classify-comparison", "comparison.js")
        self.outputs: list[gr.Component] = [
            self.notice,
            self.figure,
            self.modality,
            self.findings,
            self.explained,
            self.method,
            self.checked,
            self.second_look,
            self.place,
            self.comparison,
            self.cases,
            self.arranged,
            *self.downloads.values(),
        ]
        self._wire()

    def show(self, query: Query, chosen: str) -> Shown:
        """Says everything about an image; "" detects the modality."""
        analysis = self._predictor.analyse(query.embedding, neighbours=NEIGHBOURS)
        first = pick(analysis.findings[0]) if analysis.findings else None
        metrics, image = self._predictor.metrics, query.image
        return {
            self.notice: notice.file_notes(image.kind, analysis.notes),
            self.figure: self._maps.begun(query, first) if first else self._maps.figure(query),
            self.modality: modality.modality_card(analysis, chosen or None),
            self.findings: findings.findings_card(
                analysis, self._predictor.tasks, metrics, first or "", doubts(self._predictor, analysis)
            )
            or findings.none_given(analysis),
            self.explained: gr.update(
                choices=self._maps.choices(analysis), value=first, visible=first is not None
            ),
            self.method: gr.update(visible=first is not None),
            self.checked: figure.unchecked() if first else "",
            self.second_look: looking(len({finding.task for finding in analysis.findings})),
            self.place: place(self._predictor.collection, analysis),
            self.comparison: "",
            self.cases: self._similar(analysis),
            self.arranged: gr.update(
                value=NEAREST, visible=first is not None and self._predictor.collection is not None
            ),
            **{
                button: gr.update(visible=kind != "dicom" or image.kind == "DICOM")
                for kind, button in self.downloads.items()
            },
        }

    @about_open_image
    def explain(self, query: Query | None, explained: str | None, method: str = DEFAULT) -> Shown:
        """Draws where the model looked for one finding over the image."""
        if query is None:
            return {self.figure: figure.empty(), self.checked: ""}
        if explained and not self._maps.is_of(query, explained):
            return {}
        checked = self._maps.room(query, explained, method) if explained else ""
        return {self.figure: self._maps.figure(query, explained, method), self.checked: checked}

    @about_open_image
    def check(self, query: Query | None, explained: str | None, method: str = DEFAULT) -> Any:
        """Tries whether the heat map that is shown means anything."""
        if query is None or not explained:
            return ""
        return (
            self._maps.checked(query, explained, method) if self._maps.is_of(query, explained) else gr.skip()
        )

    @about_open_image
    def look_again(self, query: Query | None) -> str:
        """Asks about the same image under small changes."""
        if query is None:
            return ""
        return second_look_card(self._second_look(query), self._predictor.metrics)

    def _second_look(self, query: Query) -> tuple[SecondLook, ...]:
        def looked() -> tuple[SecondLook, ...]:
            analysis = self._predictor.analyse(query.embedding, neighbours=1)
            return second_look(self._predictor, query.image, query.embedding, analysis)

        return query.made.once("second look", looked)

    @about_open_image
    def compare(self, query: Query | None, case_id: str) -> str:
        """Shows why a case is similar: both pictures with what speaks for the likeness; "" closes it."""
        collection = self._predictor.collection
        if query is None or collection is None or not case_id:
            return ""
        try:
            found = compare(self._predictor, query.image, query.embedding, case_id)
        except CollectionError as error:
            raise gr.Error(answer_text.no_such_case(case_id), print_exception=False) from error
        return comparison_view(collection, query.image, found)

    def _method_list(self, options: dict[str, Any]) -> gr.Dropdown:
        hint = answer_text.METHOD_HINT if self._predictor.metrics.pointing else None
        return gr.Dropdown(self._methods(), value=DEFAULT, label=answer_text.METHOD, info=hint, **options)

    def _methods(self) -> list[tuple[str, str]]:
        """Returns the ways of drawing heat maps, the best pointing one first, with their names for people."""
        measured = self._predictor.metrics.pointing
        names = sorted(METHODS, key=lambda name: -measured.get(name, 0.0))
        return [(answer_text.method_name(name, measured.get(name)), name) for name in names]

    def report(
        self, kind: str, query: Query | None, explained: str | None, chosen: str, method: str = DEFAULT
    ) -> str:
        """Returns the report on the visitor's image as a file for the browser; "" without an image.

        The heat map is drawn as on the page. What the page tried already is not tried again, the rest is.
        """
        if query is None:
            return ""
        if explained and not self._maps.is_of(query, explained):
            explained = None
        # An archive's other readers expect what DICOM says in English, which its codes are in as well.
        with speaking(ENGLISH if kind == "dicom" else spoken().code):
            report = case_report(
                self._predictor,
                query.image,
                query.embedding,
                chosen=chosen or None,
                explained=self._maps.class_of(explained) if explained else None,
                method=method,
                neighbours=NEIGHBOURS,
                looks=self._second_look(query),
                check=self._maps.check(query, explained, method) if explained else None,
                place=query.study.place(query.view),
            )
            return report_file(report, kind)

    def _similar(self, analysis: Analysis) -> str:
        if self._predictor.collection is None:
            nothing = "" if self._predictor.explored else text.NO_COLLECTION
            return cases.nothing(f"{nothing} {self._missing}".strip())
        return neighbourhood.similar_cases(self._predictor, analysis)

    @about_open_image
    def arrange(self, query: Query | None, arranged: str, explained: str | None) -> str:
        """Shows the nearest cases, or those with the label of the finding that is shown beside others."""
        if query is None:
            return cases.nothing(text.CASES_HERE)
        known = self._predictor.collection is not None
        if arranged == CONTRAST and known and explained and self._maps.is_of(query, explained):
            task, label = self._maps.class_of(explained)
            found = contrast(self._predictor, query.embedding, task, label, NEIGHBOURS // 2)
            return neighbourhood.contrast_view(self._predictor, found, task, label)
        return self._similar(self._predictor.analyse(query.embedding, neighbours=NEIGHBOURS))

    @about_open_image
    def rearrange(self, query: Query | None, arranged: str, explained: str | None) -> Any:
        """Shows the contrast of another finding, where the contrast is shown."""
        return self.arrange(query, arranged, explained) if arranged == CONTRAST else gr.skip()

    def _wire(self) -> None:
        self.findings.select(
            picked_name,
            None,
            self.explained,
            api_name="pick_finding",
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )
        # A list's `input` comes twice with a choice, and again whenever the list is left. A finding that is
        # pressed changes the list, too; of an answer's first finding the map is there already, and kept.
        self._explains(self.explained.change, "explain", "public")
        self._explains(self.method.change, "explain_by", "undocumented")
        pressed = self.cases.select(
            picked_name, None, self._pressed, api_name="press_case", api_visibility="private", queue=False
        )
        pressed.then(
            self.compare,
            [self.query, self._pressed],
            self.comparison,
            api_name="compare_case",
            api_visibility="undocumented",
            concurrency_id=MODEL_QUEUE,
            show_progress="minimal",
        )
        self.arranged.input(
            self.arrange,
            [self.query, self.arranged, self.explained],
            self.cases,
            api_name="arrange_cases",
            api_visibility="undocumented",
            concurrency_id=MODEL_QUEUE,
            show_progress="minimal",
        )
        self.explained.change(
            self.rearrange,
            [self.query, self.arranged, self.explained],
            self.cases,
            api_name="arrange_by_finding",
            api_visibility="undocumented",
            concurrency_id=MODEL_QUEUE,
            show_progress="hidden",
        )
        for kind in KINDS:
            self._wire_download(kind)

    def _wire_download(self, kind: str) -> None:
        def make(query: Query | None, explained: str | None, chosen: str, method: str) -> str:
            """Makes a report on the image that is open: name, media type and the bytes in base64."""
            try:
                return self.report(kind, query, explained, chosen, method)
            except DicomReportError as error:
                raise gr.Error(in_readers_words(str(error)), print_exception=False) from error

        made = self.downloads[kind].click(
            make,
            [self.query, self.explained, self.chosen, self.method],
            self._file_out,
            api_name=f"report_{kind}",
            concurrency_id=MODEL_QUEUE,
        )
        js = script("save_file.js")
        made.then(None, self._file_out, None, js=js, api_name=f"save_{kind}", api_visibility="private")

    def then_explains(self, event: Dependency, name: str) -> None:
        """Draws the heat map after an event that opened an image."""
        drawn = self._explains(event.then, f"explain_{name}", "undocumented")
        drawn.then(
            self.look_again,
            self.query,
            self.second_look,
            api_name=f"look_again_{name}",
            api_visibility="undocumented",
            concurrency_id=AFTERWARDS_QUEUE,
            show_progress="hidden",
            trigger_mode="always_last",  # of what was opened before it may be under way
        )

    def _explains(self, event: Callable[..., Any], api_name: str, visibility: str) -> Dependency:
        """Draws the heat map after an event, then tries it."""
        inputs = [self.query, self.explained, self.method]
        drawn = event(
            self.explain,
            inputs,
            [self.figure, self.checked],
            api_name=api_name,
            api_visibility=visibility,
            concurrency_id=MAP_QUEUE,
            show_progress="minimal",
            trigger_mode="always_last",
        )
        return drawn.then(
            self.check,
            inputs,
            self.checked,
            api_name=f"check_{api_name}",
            api_visibility="undocumented",
            concurrency_id=AFTERWARDS_QUEUE,
            show_progress="hidden",
            trigger_mode="always_last",  # of what was opened before it may be under way
        )
