"""Explore: the map of the collection; a click or a lasso gives cases with images and a table."""

from typing import Any

import gradio as gr

from mermed_core.errors import MermedError

from .. import case_text, text
from ..components import case_table, cases
from ..components.collection_map import COLOUR_BY, collection_map, map_value
from ..components.html_parts import clickable_html, static_html
from ..components.templates import script
from ..services import Services
from ..uploads import Query
from .classify import Shown

_SHOWN = 24


class ExplorePage:
    """The components of the page and what happens on them; without a collection it has no cases."""

    def __init__(self, services: Services, query: gr.State) -> None:
        collection = services.predictor.collection
        self.cases: gr.HTML | None = None
        if collection is None:
            static_html(cases.nothing(services.missing_collection), "explore-missing")
            return
        self._predictor = services.predictor
        self._collection = collection
        self._query = query
        self.colour = gr.Radio(list(COLOUR_BY), value="modality", label=text.COLOUR_BY)
        self.map = collection_map(collection)
        self._selected = gr.Textbox(visible=False)
        self.heading = static_html(cases.nothing(text.SELECT_ON_MAP), "explore-heading")
        self.cases = self.grid = clickable_html("", "explore-cases")
        self.table = gr.Dataframe(
            visible=False, interactive=False, max_height=360, buttons=["fullscreen"], elem_id="explore-table"
        )
        self.download = gr.Button(text.DOWNLOAD_CSV, visible=False, elem_id="explore-download")
        self._csv = gr.Textbox(visible=False)
        self._wire()

    def draw(self, colour_by: str, query: Query | None) -> Shown:
        """Colours the map by modality, label or source, with the visitor's image where there is one."""
        point = self._predictor.place(query.embedding) if query else None
        return {self.map: map_value(self._collection, colour_by, point)}

    def ids(self, event: gr.EventData) -> str:
        """Returns the ids of the cases that were chosen on the map, one a line."""
        known = range(len(self._collection))
        positions = sorted({int(position) for position in event.positions if int(position) in known})
        return "\n".join(self._collection.records["case_id"].iloc[positions])

    def show(self, selected: str) -> Shown:
        """Shows chosen cases (ids, one a line): a heading, their images, the table."""
        positions = self._positions(selected)
        return {
            self.heading: cases.heading(case_text.selected(len(positions))),
            self.grid: cases.case_grid(self._collection, self._collection.cases_at(positions), _SHOWN),
            self.table: gr.update(value=case_table.frame(self._collection, positions), visible=True),
            self.download: gr.update(visible=True),
        }

    def export(self, selected: str) -> Shown:
        """Returns the table of chosen cases (ids, one a line) as CSV."""
        table = case_table.frame(self._collection, self._positions(selected))
        return {self._csv: case_table.to_csv(table)}

    def _positions(self, selected: str) -> list[int]:
        try:
            return [self._collection.position(case_id) for case_id in selected.splitlines() if case_id]
        except MermedError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def _wire(self) -> None:
        draws: dict[str, Any] = {
            "fn": self.draw,
            "inputs": [self.colour, self._query],
            "outputs": self.map,
        }
        self.colour.input(**draws, api_name="map", show_progress="minimal")
        self._query.change(
            **draws, api_name="map_point", api_visibility="undocumented", show_progress="hidden"
        )
        self.map.select(
            self.ids, None, self._selected, api_name="pick_on_map", api_visibility="private", queue=False
        ).then(
            self.show,
            self._selected,
            [self.heading, self.grid, self.table, self.download],
            api_name="selection",
            show_progress="minimal",
        )
        self.download.click(self.export, self._selected, self._csv, api_name="selection_csv").then(
            None, self._csv, None, js=script("case_table.js"), api_name="save", api_visibility="private"
        )
