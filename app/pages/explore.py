"""Explore: the map of the collection; a click or a lasso gives cases with images and a table."""

from typing import Any

import gradio as gr

from mermed_core.errors import MermedError
from mermed_core.records import MapPoint

from .. import case_table as table
from ..components import cases
from ..components.clickable_html import picking, plain
from ..components.collection_map import COLOUR_BY, collection_map, map_value
from ..services import Services
from ..theme import script

_SHOWN = 24
_HINT = "Press a point, or draw around some with the lasso in the map's tool bar."


class ExplorePage:
    """The components of the page and what happens on them."""

    def __init__(self, services: Services, point: gr.State) -> None:
        collection = services.predictor.collection
        self.cases: gr.HTML | None = None
        if collection is None:
            plain(cases.nothing(services.missing_collection), "explore-missing")
            return
        self._collection = collection
        self._point = point
        self._colour = gr.Radio(
            [(name.capitalize(), name) for name in COLOUR_BY], value="modality", label="Colour by"
        )
        self._map = collection_map(collection)
        self._selected = gr.Textbox(visible=False)
        self._heading = plain(f'<h3 class="mm-heading">{_HINT}</h3>', "explore-heading")
        self.cases = grid = picking("", "pick.js", "explore-cases")
        self._table = gr.Dataframe(
            visible=False, interactive=False, max_height=360, buttons=["fullscreen"], elem_id="explore-table"
        )
        self._download = gr.Button("Download the table as CSV", visible=False, elem_id="explore-download")
        self._csv = gr.Textbox(visible=False)
        self._wire(grid)

    def _wire(self, grid: gr.HTML) -> None:
        draws = {"fn": self.draw, "inputs": [self._colour, self._point], "outputs": self._map}
        self._colour.input(**draws, api_name="map", show_progress="minimal")
        self._point.change(
            **draws, api_name="map_point", api_visibility="undocumented", show_progress="hidden"
        )
        self._map.select(
            self.ids, None, self._selected, api_name="pick_on_map", api_visibility="private", queue=False
        ).then(
            self.show,
            self._selected,
            [self._heading, grid, self._table, self._download],
            api_name="selection",
            show_progress="minimal",
        )
        self._download.click(self.export, self._selected, self._csv, api_name="selection_csv").then(
            None, self._csv, None, js=script("download.js"), api_name="save", api_visibility="private"
        )

    def draw(self, colour_by: str, point: MapPoint | None) -> dict[str, Any]:
        """Colours the map by modality, label or source, with the visitor's image where there is one."""
        return map_value(self._collection, colour_by, point)

    def ids(self, event: gr.EventData) -> str:
        """Returns the ids of the cases that were chosen on the map, one a line."""
        known = range(len(self._collection))
        positions = sorted({int(position) for position in event.positions if int(position) in known})
        return "\n".join(self._collection.cases[position].case_id for position in positions)

    def show(self, selected: str) -> tuple[Any, ...]:
        """Shows chosen cases (ids, one a line): a heading, their images, the table."""
        try:
            chosen = self._cases(selected)
        except MermedError as error:
            raise gr.Error(str(error), print_exception=False) from error
        count = len(chosen)
        heading = f'<h3 class="mm-heading">{count} case{"s" if count != 1 else ""} selected</h3>'
        return (
            heading,
            cases.case_grid(self._collection, chosen, _SHOWN),
            gr.update(value=table.frame(self._collection, chosen), visible=True),
            gr.update(visible=True),
        )

    def export(self, selected: str) -> str:
        """Returns the table of chosen cases (ids, one a line) as CSV."""
        try:
            return table.to_csv(table.frame(self._collection, self._cases(selected)))
        except MermedError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def _cases(self, selected: str) -> list[Any]:
        return [self._collection.case(case_id) for case_id in selected.splitlines() if case_id]
