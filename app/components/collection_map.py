"""The embedding map of a collection as a component: colours, hover with a picture, selection, a star."""

from typing import Any

import gradio as gr
from plotly.colors import sequential

from mermed_core.records import MapPoint

from .. import case_text, map_text
from ..columns_route import ADDRESS
from .cases import shown
from .map_columns import MISSING, OTHER, PALETTE, MapColumns
from .pictures import jpeg_uri
from .templates import render, script

_MOST_PICTURES = 200  # shown instead of points where no more are in view
_SCRIPTS = ("map_renderer.js", "map_gestures.js", "map_legend.js", "collection_map.js")
# Even steps to the eye, readable to the colour-blind; without the ends, which a light or dark page swallows.
_RAMP = sequential.Viridis[1:-1]


def collection_map(columns: MapColumns) -> gr.HTML:
    """Returns the component; `select` carries the chosen points as numbers (`points`) or bits (`bits`)."""
    collection = columns.collection

    def hovered(point: int) -> str:
        if type(point) is not int or not 0 <= point < len(collection):
            return ""
        case = collection.cases_at([int(columns.order[point])])[0]
        return render("map_tip.html", caption=case_text.caption(collection, case), **shown(collection, case))

    def pictures(points: list[int]) -> list[str]:
        wanted = [point for point in points if type(point) is int and 0 <= point < len(collection)]
        cases = collection.records["case_id"].iloc[columns.order[wanted[:_MOST_PICTURES]]]
        return [jpeg_uri(picture) if (picture := collection.thumbnail(case)) else "" for case in cases]

    return gr.HTML(
        map_value(columns, "modality", None),
        html_template=render("collection_map.html", m=map_text),
        js_on_load="\n".join(script(name) for name in _SCRIPTS),
        server_functions=[hovered, pictures],
        apply_default_css=False,
        elem_id="collection-map",
        bounds=columns.bounds,
        columns=ADDRESS,
        palette=PALETTE,
        ramp=_RAMP,
        pictured=collection.has_pictures,
        most_pictures=_MOST_PICTURES,
        codes={"other": OTHER, "missing": MISSING},
        sentences=map_text.MAP_SCRIPT,
    )


def map_value(columns: MapColumns, colour_by: str, point: MapPoint | None) -> dict[str, Any]:
    """Returns what the map shows: its groups with name, code, colour and count, and the visitor's image.

    Args:
        columns: the columns of the collection whose map it is.
        colour_by: one of their names.
        point: where the visitor's image falls, None without one.
    """
    coloured = columns.coloured(colour_by)
    return {
        "column": columns.names.index(colour_by),
        "groups": [
            {"name": group.name, "code": group.code, "colour": group.colour, "count": group.count}
            for group in coloured.groups
        ],
        "limits": coloured.limits,
        "point": None if point is None else [point.x, point.y],
    }
