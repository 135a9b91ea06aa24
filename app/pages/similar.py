"""Similar cases: the nearest cases of an image or of a case, under filters."""

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.events import Dependency

from mermed_core.errors import MermedError
from mermed_core.inference.refinement import Marks
from mermed_core.records import Embedding
from mermed_core.search.filters import Filter

from ..components import cases, notice, query_view
from ..components.html_parts import asked, scripted_html, static_html
from ..services import VISIT_SECONDS, Services
from ..texts import case_text, text
from ..uploads import Query
from .answer import MODEL_QUEUE, Shown
from .case_map import CaseMap, OpenCases

# A filter is a name here: of the column of the collection that it filters.
FILTERS = ("modality", "source", "label")
MY_IMAGE, A_CASE = "My image", "A case of the collection"  # what programs send; people read text.py's
_MOST = 48
# A longer list would only slow the page down; other ids can be typed.
_LISTED = 500


@dataclass(frozen=True)
class Marking:
    """Marks of one search.

    Attributes:
        searched: what was searched with; a search with something else has no marks.
        marks: of its cases.
    """

    searched: str
    marks: Marks


class SimilarPage:
    """The components of the page and what happens on them."""

    def __init__(self, services: Services, query: gr.State) -> None:
        self._predictor = services.predictor
        self._notes = services.notes
        collection = services.predictor.explored
        self._hint = services.missing_collection or text.SEARCH_HERE
        self._query = query
        self._marking = gr.State(None, time_to_live=VISIT_SECONDS)
        listed = list(collection.records["case_id"][:_LISTED]) if collection else []
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=270):
                # Closed where a case comes from the map, so that its heat map is on the first screen.
                with gr.Accordion(text.SEARCH_WITH, elem_id="similar-with") as self.inputs:
                    self.file = gr.File(label=text.DROP_FILE, height=170, elem_id="similar-file")
                    self.by = gr.Radio(
                        [(text.MY_IMAGE, MY_IMAGE), (text.A_CASE, A_CASE)],
                        value=MY_IMAGE if self._predictor.collection or collection is None else A_CASE,
                        label=text.SEARCH_WITH,
                        show_label=False,
                    )
                    self.case = gr.Dropdown(
                        listed, value=None, label=text.CASE, allow_custom_value=True, info=text.CASE_HINT
                    )
                self.back = static_html(query_view.way_back(), "similar-back")
                self.back.visible = False  # until a case is opened on the map
                self.query_view = static_html("", "similar-query")
                self.part = gr.Button(
                    case_text.SEARCH_WITH_PART, size="sm", visible=False, elem_id="similar-part"
                )
                self.case_map = CaseMap(self._predictor)
            with gr.Column(scale=9, min_width=320):
                with gr.Row():
                    self.filters = {column: self._filter(column) for column in FILTERS}
                    self.count = gr.Slider(4, _MOST, 12, step=4, label=text.RESULTS, min_width=180)
                self.notice = notice.notice("similar-notice")
                self.marked = static_html("", "similar-marked")
                with gr.Row():
                    self.again = gr.Button(
                        case_text.SEARCH_AGAIN, size="sm", variant="primary", visible=False
                    )
                    self.clear = gr.Button(case_text.CLEAR_MARKS, size="sm", visible=False)
                self.results = scripted_html(
                    cases.nothing(self._hint), "similar-results", "similar_results.js"
                )
        self._wire()

    def search(
        self,
        query: Query | None,
        by: str,
        case_id: str | None,
        count: float,
        marking: Marking | None = None,
        opened: OpenCases | None = None,
        **filters: list[Hashable],
    ) -> Shown:
        """Finds the most similar cases; each filter is a column with the values that it lets pass."""
        collection = self._predictor.collection if by == MY_IMAGE else self._predictor.explored
        target = (query.embedding if query else None) if by == MY_IMAGE else case_id
        if collection is None or target is None:
            shown = {
                self.notice: "",
                self.query_view: "",
                self.part: gr.update(visible=False),
                self.results: cases.nothing(self._hint),
            }
            return {**shown, **self._marks_shown(None), **self.case_map.offer(None, None)}
        searched = _searched_with(target)
        marks = marking.marks if marking and marking.searched == searched else Marks()
        try:
            hits = self._predictor.similar(target, count=int(count), where=Filter(filters), marks=marks)
        except MermedError as error:
            return {self.notice: notice.problem(str(error))}
        mine = query if by == MY_IMAGE else None
        said = notice.file_notes(mine.image.kind, mine.embedding.notes) if mine else ""
        return {
            self.notice: said if hits.exact else said + notice.search_in_part(collection.engine.recall),
            self.query_view: query_view.image_view(mine.image)
            if mine
            else query_view.case_view(collection, str(case_id), self._notes.read() if self._notes else None),
            self.part: gr.update(visible=mine is None and self._has_picture(str(case_id))),
            self.results: cases.neighbour_grid(
                collection, hits, case_text.REFINED if marks else "", marks=marks
            ),
            **self._marks_shown(Marking(searched, marks)),
            **self.case_map.offer(opened, None if mine else str(case_id)),
        }

    def _has_picture(self, case_id: str) -> bool:
        """Returns whether a case has a picture that can be compared with cases."""
        collection = self._predictor.collection
        return collection is not None and collection.thumbnail(case_id) is not None

    def mark(self, marking: Marking | None, told: Mapping[str, str]) -> Shown:
        """Calls cases, by their ids, "good" or "bad" answers or neither (""); others keep their marks."""
        if marking is None:
            return {}
        before = {"good": marking.marks.good, "bad": marking.marks.bad}
        good, bad = (
            tuple(each for each in ids if each not in told)
            + tuple(each for each, mark in told.items() if mark == name)
            for name, ids in before.items()
        )
        return self._marks_shown(Marking(marking.searched, Marks(good, bad)))

    def _marks_shown(self, marking: Marking | None) -> Shown:
        marks = marking.marks if marking else Marks()
        return {
            self._marking: marking,
            self.marked: cases.small(_said(marks)) if marking else "",
            # There before they are of use, so that the cases stay where they are while they are marked.
            self.again: gr.update(visible=marking is not None, interactive=bool(marks)),
            self.clear: gr.update(visible=marking is not None, interactive=bool(marks)),
        }

    def _marks_parts(self) -> list[gr.Component]:
        return [self._marking, self.marked, self.again, self.clear]

    def searches(self, event: Callable[..., Any], name: str = "") -> Dependency:
        """Searches again after an event; returns what comes after."""
        return event(
            self.search,
            [self._query, self.by, self.case, self.count],
            [
                *(self.notice, self.query_view, self.part, self.results),
                *self._marks_parts(),
                *self.case_map.outputs,
            ],
            inputs_kwargs={"marking": self._marking, "opened": self.case_map.opened, **self.filters},
            api_name=f"similar_{name}" if name else "similar",
            api_visibility="undocumented" if name else "public",
            concurrency_id=MODEL_QUEUE,
            show_progress="minimal",
            trigger_mode="always_last",
        )

    def _filter(self, column: str) -> gr.Dropdown:
        collection = self._predictor.explored
        named: list[Any] = []
        if collection is not None:
            values = collection.values(column)
            named = [(case_text.value_name(collection, column, value), value) for value in values]
        return gr.Dropdown(named, multiselect=True, label=text.column_name(column), min_width=180)

    def _wire(self) -> None:
        self.searches(self.count.input)
        for column, component in self.filters.items():
            self.searches(component.input, column)
        self.searches(self.by.input, "by")
        self.searches(self._query.change, "image")
        chosen = self.case.input(
            self.search_with_case,
            None,
            self.by,
            api_name="with_case",
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )
        self.searches(chosen.then, "case")
        self.case_map.wire(self.case)
        self._wire_marks()

    def _wire_marks(self) -> None:
        def marked(marking: Marking | None, pressed: str) -> Shown:
            """Keeps the marks of the cases that are shown."""
            told = json.loads(pressed or "{}")
            return self.mark(marking, told if isinstance(told, dict) else {})

        def cleared(marking: Marking | None) -> Shown:
            """Takes all marks away."""
            return self._marks_shown(marking and Marking(marking.searched, Marks()))

        quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "undocumented"}
        self.results.like(
            marked,
            [self._marking, gr.Textbox(visible=False)],
            self._marks_parts(),
            api_name="similar_mark",
            trigger_mode="always_last",
            js=asked("similar-results"),
            **quick,
        )
        self.searches(self.again.click, "again")
        clear = self.clear.click(cleared, self._marking, self._marks_parts(), api_name="clear_marks", **quick)
        self.searches(clear.then, "cleared")

    def search_with_case(self) -> Shown:
        """Sets the search to the case that was chosen."""
        return {self.by: A_CASE}


def _said(marks: Marks) -> str:
    return case_text.marked(len(marks.good), len(marks.bad)) if marks else case_text.MARK_CASES


def _searched_with(target: Embedding | str) -> str:
    return target if isinstance(target, str) else hashlib.sha256(target.retrieval.tobytes()).hexdigest()
