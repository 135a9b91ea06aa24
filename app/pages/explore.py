"""Explore: the map of the collection; what is selected on it comes with images and a table."""

from typing import Any

import gradio as gr
import numpy as np

from mermed_core.errors import MermedError

from .. import case_text, map_text, selection, text
from ..components import case_table, cases
from ..components.collection_map import collection_map, map_value
from ..components.html_parts import clickable_html, static_html
from ..components.map_columns import MapColumns
from ..components.templates import script
from ..services import Services
from ..uploads import Query
from .answer import Shown

_SHOWN = 24
_LISTED = 1000  # more rows than anybody scrolls through; all are in the CSV


class ExplorePage:
    """The components of the page and what happens on them; without a collection it has no cases.

    Attributes:
        cases: the grid of selected cases; None without a collection.
        columns: what the map draws; None without a collection.
    """

    def __init__(self, services: Services, query: gr.State) -> None:
        collection = services.predictor.collection
        self.cases: gr.HTML | None = None
        self.columns: MapColumns | None = None
        if collection is None:
            static_html(cases.nothing(services.missing_collection), "explore-missing")
            return
        self._predictor = services.predictor
        self._collection = collection
        self._query = query
        self.columns = self._columns = MapColumns(collection)
        self.colour = gr.Radio(
            [(text.humanise(name), name) for name in self._columns.names],
            value="modality",
            label=map_text.COLOUR_BY,
        )
        self.map = collection_map(self._columns)
        self._selected = gr.Textbox(visible=False)
        self.heading = static_html(cases.nothing(map_text.SELECT_ON_MAP), "explore-heading")
        self.cases = self.grid = clickable_html("", "explore-cases")
        self.table = gr.Dataframe(
            visible=False, interactive=False, max_height=360, buttons=["fullscreen"], elem_id="explore-table"
        )
        self.download = gr.Button(text.DOWNLOAD_CSV, visible=False, elem_id="explore-download")
        self._csv = gr.Textbox(visible=False)
        self._wire()

    def draw(self, colour_by: str, query: Query | None) -> Shown:
        """Colours the map by a column, with the visitor's image where there is one."""
        point = self._predictor.place(query.embedding) if query else None
        return {self.map: map_value(self._columns, colour_by, point)}

    def ids(self, event: gr.EventData) -> str:
        """Returns which cases were chosen on the map: ids, one a line, or of many a bit a case."""
        if event.all:
            return selection.as_text(self._collection, np.arange(len(self._collection)))
        try:
            positions = selection.from_map(self._columns.order, event.points, event.bits)
        except MermedError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return selection.as_text(self._collection, positions)

    def show(self, selected: str) -> Shown:
        """Shows chosen cases (ids, one a line): a heading, their images, the table."""
        positions = self._positions(selected)
        count = len(positions)
        if not count:
            heading = cases.nothing(map_text.SELECT_ON_MAP)
            hidden = gr.update(visible=False)
            return {self.heading: heading, self.grid: "", self.table: hidden, self.download: hidden}
        note = cases.small(map_text.listed(_LISTED, count)) if count > _LISTED else ""
        return {
            self.heading: cases.heading(case_text.selected(count)),
            self.grid: cases.case_grid(self._collection, positions, _SHOWN) + note,
            self.table: gr.update(
                value=case_table.frame(self._collection, positions[:_LISTED]), visible=True
            ),
            self.download: gr.update(visible=True),
        }

    def export(self, selected: str) -> Shown:
        """Returns the table of chosen cases (ids, one a line) as CSV."""
        table = case_table.frame(self._collection, self._positions(selected))
        return {self._csv: case_table.to_csv(table)}

    def restore(self, event: gr.EventData) -> dict[gr.Component | gr.Tabs, Any]:
        """Colours the map as the page's address says; what is no column of the map changes nothing."""
        if type(event.column) is not int or not 0 <= event.column < len(self._columns.names):
            return {}
        name = self._columns.names[event.column]
        return {self.colour: name, self.map: map_value(self._columns, name, None)}

    def opens_from_address(self, tabs: gr.Tabs) -> None:
        """Shows the page where its address holds a view of the map."""
        if self.columns is None:
            return

        def handler(event: gr.EventData) -> dict[gr.Component | gr.Tabs, Any]:
            """Opens the page as its address says."""
            return {tabs: gr.Tabs(selected="explore"), **self.restore(event)}

        outputs = [tabs, self.colour, self.map]
        self.map.input(handler, None, outputs, api_name="from_address", api_visibility="private", queue=False)

    def _positions(self, selected: str) -> np.ndarray:
        try:
            return selection.from_text(self._collection, selected)
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
