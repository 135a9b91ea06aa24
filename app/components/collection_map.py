"""The embedding map of a collection as a component: colours, hover with a picture, click, lasso, a star."""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd
import plotly

from mermed_core.collections.collection import LABEL, Collection
from mermed_core.modalities import MODALITIES
from mermed_core.records import MapPoint

from .. import case_text, text
from .cases import shown
from .templates import render, script

COLOUR_BY = ((text.MODALITY, "modality"), (text.LABEL, "label"), (text.SOURCE, "source"))
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
# Okabe and Ito's palette, safe for colour-blind readers, and darker relatives; more nobody tells apart.
_PALETTE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
    "#8C6D31",
    "#7B4EA3",
    "#B22222",
    "#4C9141",
    "#B8A400",
    "#2F4B7C",
)
_GREY = "#8A8F98"


def collection_map(collection: Collection) -> gr.HTML:
    """Returns the component; `select` carries the positions of the chosen cases."""
    gr.set_static_paths([PLOTLY])

    def hovered(position: int) -> str:
        case = collection.cases_at([int(position)])[0]
        return render("map_tip.html", caption=case_text.caption(collection, case), **shown(collection, case))

    return gr.HTML(
        map_value(collection, "modality", None),
        html_template=render("collection_map.html"),
        js_on_load=script("collection_map.js"),
        head=f'<script src="gradio_api/file={PLOTLY.as_posix()}"></script>',
        server_functions=[hovered],
        apply_default_css=False,
        elem_id="collection-map",
        points=_points(collection),
        sentences=text.MAP_SCRIPT,
    )


def map_value(collection: Collection, colour_by: str, point: MapPoint | None) -> dict[str, Any]:
    """Returns what the map shows: groups with name, colour and positions, and the visitor's image.

    Args:
        collection: whose map it is.
        colour_by: a column of `COLOUR_BY`.
        point: where the visitor's image falls, None without one.
    """
    names = _names(collection, colour_by)
    shown = names.value_counts().index[: len(_PALETTE)]
    colours = {text.OTHER: _GREY, **dict(zip(shown, _PALETTE, strict=False))}
    if colour_by == "modality":
        colours = {modality.name: modality.colour for modality in MODALITIES.values()}
    groups = names.where(names.isin(shown), text.OTHER)
    positions = groups.groupby(groups).indices
    # The grey rest lies below everything, though it comes last in the legend.
    order = [name for name in dict.fromkeys((text.OTHER, *shown)) if name in positions]
    return {
        "groups": [
            {
                "name": _without_tags(name),
                "colour": colours[name],
                "positions": np.asarray(positions[name]).tolist(),
                "last": name == text.OTHER,
            }
            for name in order
        ],
        "point": None if point is None else [point.x, point.y],
    }


def _names(collection: Collection, column: str) -> pd.Series:
    """Returns what a column says of each case, for people."""
    records = collection.records
    if column == LABEL:
        return pd.Series([case_text.labels(collection, names) for names in records["labels"]], records.index)
    return records[column].map(lambda value: case_text.value_name(collection, column, value))


def _without_tags(name: str) -> str:
    """Returns a name in which Plotly, which reads some tags in texts, finds none."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _points(collection: Collection) -> dict[str, list]:
    x, y = collection.coordinates.astype(float).round(3).T.tolist()
    return {"x": x, "y": y}
