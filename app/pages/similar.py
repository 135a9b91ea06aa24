"""Similar cases: the nearest cases of an image or of a case, under filters."""

from collections.abc import Callable, Hashable
from typing import Any

import gradio as gr

from mermed_core.errors import MermedError
from mermed_core.search.filters import Filter

from .. import case_text, text
from ..components import cases, notice, query_view
from ..components.html_parts import clickable_html, static_html
from ..services import Services
from ..uploads import Query
from .answer import MODEL_QUEUE, Shown

# A filter is a line here: its label, and the column of the collection that it filters.
FILTERS = ((text.MODALITY, "modality"), (text.SOURCE, "source"), (text.LABEL, "label"))
MY_IMAGE, A_CASE = "My image", "A case of the collection"  # what programs send; people read text.py's
_MOST = 48
# A longer list would only slow the page down; other ids can be typed.
_LISTED = 500


class SimilarPage:
    """The components of the page and what happens on them."""

    def __init__(self, services: Services, query: gr.State) -> None:
        self._predictor = services.predictor
        collection = services.predictor.collection
        self._hint = services.missing_collection or text.SEARCH_HERE
        self._query = query
        listed = list(collection.records["case_id"][:_LISTED]) if collection else []
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=270):
                self.file = gr.File(label=text.DROP_FILE, height=170, elem_id="similar-file")
                self.by = gr.Radio(
                    [(text.MY_IMAGE, MY_IMAGE), (text.A_CASE, A_CASE)], value=MY_IMAGE, label=text.SEARCH_WITH
                )
                self.case = gr.Dropdown(
                    listed, value=None, label=text.CASE, allow_custom_value=True, info=text.CASE_HINT
                )
                self.query_view = static_html("", "similar-query")
            with gr.Column(scale=9, min_width=320):
                with gr.Row():
                    self.filters = {column: self._filter(label, column) for label, column in FILTERS}
                    self.count = gr.Slider(4, _MOST, 12, step=4, label=text.RESULTS, min_width=180)
                self.notice = static_html("", "similar-notice")
                self.results = clickable_html(cases.nothing(self._hint), "similar-results")
        self._wire()

    def search(
        self, query: Query | None, by: str, case_id: str | None, count: float, **filters: list[Hashable]
    ) -> Shown:
        """Finds the most similar cases; each filter is a column with the values that it lets pass."""
        collection = self._predictor.collection
        target = (query.embedding if query else None) if by == MY_IMAGE else case_id
        if collection is None or target is None:
            return {self.notice: "", self.query_view: "", self.results: cases.nothing(self._hint)}
        try:
            hits = self._predictor.similar(target, count=int(count), where=Filter(filters))
        except MermedError as error:
            return {self.notice: notice.problem(str(error))}
        mine = query if by == MY_IMAGE else None
        said = notice.file_notes(mine.image.kind, mine.embedding.notes) if mine else ""
        return {
            self.notice: said if hits.exact else said + notice.search_in_part(collection.engine.recall),
            self.query_view: query_view.image_view(mine.image)
            if mine
            else query_view.case_view(collection, str(case_id)),
            self.results: cases.neighbour_grid(collection, hits),
        }

    def searches(self, event: Callable[..., Any], name: str = "") -> None:
        """Searches again after an event."""
        event(
            self.search,
            [self._query, self.by, self.case, self.count],
            [self.notice, self.query_view, self.results],
            inputs_kwargs=self.filters,
            api_name=f"similar_{name}" if name else "similar",
            api_visibility="undocumented" if name else "public",
            concurrency_id=MODEL_QUEUE,
            show_progress="minimal",
            trigger_mode="always_last",
        )

    def _filter(self, label: str, column: str) -> gr.Dropdown:
        collection = self._predictor.collection
        named: list[Any] = []
        if collection is not None:
            values = collection.values(column)
            named = [(case_text.value_name(collection, column, value), value) for value in values]
        return gr.Dropdown(named, multiselect=True, label=label, min_width=180)

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

    def search_with_case(self) -> Shown:
        """Sets the search to the case that was chosen."""
        return {self.by: A_CASE}
