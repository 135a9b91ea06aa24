"""Similar cases: the nearest cases of an image or of a case, under filters."""

from typing import Any

import gradio as gr

from mermed_core.errors import MermedError

from ..components import cases, notice, query_view
from ..components.clickable_html import picking, plain
from ..services import Services
from ..text import modality_name, spoken
from ..uploads import Query

MY_IMAGE, A_CASE = "My image", "A case of the collection"
_MOST = 48
# A longer list would only slow the page down; other ids can be typed.
_LISTED = 500


class SimilarPage:
    """The components of the page and what happens on them."""

    def __init__(self, services: Services, query: gr.State) -> None:
        self._predictor = services.predictor
        collection = services.predictor.collection
        self._missing = services.missing_collection
        listed = [case.case_id for case in collection.cases[:_LISTED]] if collection else []
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=270):
                self.file = gr.File(label="Drop an image or DICOM file", height=170, elem_id="similar-file")
                self.by = gr.Radio([MY_IMAGE, A_CASE], value=MY_IMAGE, label="Search with")
                self.case = gr.Dropdown(
                    listed, value=None, label="Case", allow_custom_value=True, info="Type to find an id."
                )
                self._query_view = plain(query_view.EMPTY, "similar-query")
            with gr.Column(scale=9, min_width=320):
                with gr.Row():
                    self._build_filters()
                self._notice = plain("", "similar-notice")
                self.results = picking(cases.nothing(self._hint()), "pick.js", "similar-results")
        self._search = {
            "fn": self.search,
            "inputs": [query, self.by, self.case, self._count, self._modalities, self._sources, self._labels],
            "outputs": [self._notice, self._query_view, self.results],
            "concurrency_id": "model",
            "show_progress": "minimal",
            "trigger_mode": "always_last",
        }
        self._wire()

    def searches(self, event: Any, name: str = "") -> Any:
        """Searches again after an event."""
        return event(
            **self._search,
            api_name=f"similar_{name}" if name else "similar",
            api_visibility="undocumented" if name else "public",
        )

    def _build_filters(self) -> None:
        collection = self._predictor.collection
        modalities = [(modality_name(key), key) for key in collection.modalities()] if collection else []
        sources = list(collection.sources()) if collection else []
        labels = [(spoken(name), name) for name in collection.labels()] if collection else []
        self._modalities = gr.Dropdown(modalities, multiselect=True, label="Modality", min_width=180)
        self._sources = gr.Dropdown(sources, multiselect=True, label="Source", min_width=180)
        self._labels = gr.Dropdown(labels, multiselect=True, label="Label", min_width=180)
        self._count = gr.Slider(4, _MOST, 12, step=4, label="Results", min_width=180)

    def _hint(self) -> str:
        return self._missing or "Drop an image, or choose a case, and its nearest cases appear here."

    def _wire(self) -> None:
        self.searches(self._count.input)
        for name, component in (
            ("modality", self._modalities),
            ("source", self._sources),
            ("label", self._labels),
        ):
            self.searches(component.input, name)
        self.searches(self.by.input, "by")
        chosen = self.case.input(
            lambda: A_CASE,
            None,
            self.by,
            api_name="with_case",
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )
        self.searches(chosen.then, "case")

    def search(
        self,
        query: Query | None,
        by: str,
        case_id: str | None,
        count: float,
        modalities: list[str],
        sources: list[str],
        labels: list[str],
    ) -> tuple[Any, Any, Any]:
        """Finds the most similar cases; returns a notice, the query and the grid of results as HTML."""
        collection = self._predictor.collection
        target = (query.image if query else None) if by == MY_IMAGE else case_id
        if collection is None or target is None:
            return "", query_view.EMPTY, cases.nothing(self._hint())
        try:
            hits = self._predictor.similar(
                target, count=int(count), modalities=modalities, sources=sources, labels=labels
            )
        except MermedError as error:
            return notice.problem(str(error)), gr.skip(), gr.skip()
        return "", query_view.query_view(collection, target), cases.neighbour_grid(collection, hits)
