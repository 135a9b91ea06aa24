"""Explore: the map of the collection with the views that are linked with it."""

from typing import Any

import gradio as gr
import numpy as np
import pandas as pd
from gradio.events import api
from starlette.routing import BaseRoute

from mermed_core.collections.cluster_names import known_cases
from mermed_core.errors import MermedError
from mermed_core.languages.say import in_readers_words

from .. import selection
from ..components import case_table, cases
from ..components.beside_columns import BesideColumns
from ..components.case_rows import CaseRows
from ..components.collection_map import beside_version, collection_map, map_value, version
from ..components.html_parts import static_html
from ..components.map_columns import MapColumns
from ..routes.beside_routes import beside_routes
from ..routes.check_routes import check_routes
from ..routes.columns_route import columns_route
from ..routes.compare_route import compare_route
from ..routes.explore_routes import explore_routes
from ..routes.note_routes import note_routes
from ..routes.requests import of_state
from ..services import Services
from ..texts import map_text, text
from ..uploads import Query
from .answer import Shown


class ExplorePage:
    """The components of the page and what happens on them; without a collection it has no cases.

    Attributes:
        cases: sends the case that a visitor opens; None without a collection.
        columns: what the map draws; None without a collection.
        checks: the measures of the cases and the checks, which run when a visitor wants them.
        routes: the addresses that the page asks beside Gradio's.
    """

    def __init__(self, services: Services, query: gr.State) -> None:
        collection = services.predictor.explored
        self.cases: gr.HTML | None = None
        self.columns: MapColumns | None = None
        self.routes: list[BaseRoute] = []
        if collection is None:
            static_html(cases.nothing(services.missing_collection), "explore-missing")
            return
        self._predictor = services.predictor
        self._collection = collection
        self._query = query
        self.checks = services.checks_of(collection)
        notes = services.notes
        self._written = notes.read if notes and (notes.writable or notes.read().cases) else None
        self.columns = self._columns = MapColumns(
            collection, known_cases(collection), self.checks.measures, self._written
        )
        self.colour = gr.Radio(
            [(text.column_name(name), name) for name in self._columns.names],
            value="modality",
            label=map_text.COLOUR_BY,
            elem_id="explore-colour",
        )
        rows = CaseRows(self._columns)
        beside = None if services.beside is None else BesideColumns(self._columns, services.beside)
        self.cases = self.map = collection_map(rows, beside)
        routes = [
            columns_route(self._columns, self.checks.state),
            *explore_routes(rows, self.checks.state),
            *check_routes(self._columns, self.checks),
            compare_route(self._columns),
            *(note_routes(self._columns, notes) if notes else ()),
        ]
        self.routes = of_state(version(collection), routes)
        if beside is not None:
            self.routes += of_state(beside_version(beside), beside_routes(beside))
        self._wire()

    def draw(self, colour_by: str, query: Query | None) -> Shown:
        """Colours the map by a column, with the visitor's image where there is one."""
        point = self._predictor.place(query.embedding) if query else None
        return {self.map: map_value(self._columns, colour_by, point)}

    def table(self, selected: str) -> list[dict[str, Any]]:
        """Returns a row for each of some cases (ids, one a line)."""
        return self._frame(selected).to_dict("records")  # pyright: ignore[reportReturnType]

    def csv(self, selected: str) -> str:
        """Returns the table of some cases (ids, one a line) as CSV."""
        return case_table.to_csv(self._frame(selected))

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

    def _frame(self, selected: str) -> pd.DataFrame:
        written = self._written() if self._written else None
        return case_table.frame(self._collection, self._positions(selected), written)

    def _positions(self, selected: str) -> np.ndarray:
        try:
            return selection.from_text(self._collection, selected)
        except MermedError as error:
            raise gr.Error(in_readers_words(str(error)), print_exception=False) from error

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
        api(self.table, api_name="selection")
        api(self.csv, api_name="selection_csv")
