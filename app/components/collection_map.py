"""The embedding map of a collection as a component: colours, hover with thumbnail, click, lasso, a star."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import plotly

from mermed_core.collections.collection import Collection
from mermed_core.modalities import MODALITIES
from mermed_core.records import Case, MapPoint

from ..pictures import jpeg_uri
from ..text import modality_name, spoken
from ..theme import script

COLOUR_BY = ("modality", "label", "source")
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
_OTHER, _GREY = "other", "#8A8F98"
_TEMPLATE = (
    '<div class="mm-map" role="img" aria-label="Map of the collection"></div>'
    '<div class="mm-tip" hidden></div>'
)


def collection_map(collection: Collection) -> gr.HTML:
    """Returns the component; `select` carries the positions of the chosen cases."""
    gr.set_static_paths([PLOTLY])

    def thumbnail(position: int) -> str:
        return jpeg_uri(collection.thumbnail(collection.cases[int(position)].case_id))

    return gr.HTML(
        map_value(collection, "modality", None),
        html_template=_TEMPLATE,
        js_on_load=script("map.js"),
        head=f'<script src="gradio_api/file={PLOTLY.as_posix()}"></script>',
        server_functions=[thumbnail],
        apply_default_css=False,
        elem_id="collection-map",
        points=_points(collection),
    )


def map_value(collection: Collection, colour_by: str, point: MapPoint | None) -> dict[str, Any]:
    """Returns what the map shows: groups with name, colour and positions, and the visitor's image.

    Args:
        collection: whose map it is.
        colour_by: one of `COLOUR_BY`.
        point: where the visitor's image falls, None without one.
    """
    name_of = _NAMERS[colour_by]
    names = [name_of(case) for case in collection.cases]
    counts = Counter(names)
    shown = [name for name, _ in counts.most_common(len(_PALETTE))]
    # The grey rest lies below everything, though it comes last in the legend.
    members: dict[str, list[int]] = {_OTHER: [], **{name: [] for name in shown}}
    for position, name in enumerate(names):
        members[name if name in members else _OTHER].append(position)
    colours = {_OTHER: _GREY, **dict(zip(shown, _PALETTE, strict=False))}
    if colour_by == "modality":
        colours = {modality.name: modality.colour for modality in MODALITIES.values()}
    groups = [
        {"name": _plain(name), "colour": colours[name], "positions": positions, "last": name == _OTHER}
        for name, positions in members.items()
        if positions
    ]
    return {"groups": groups, "point": None if point is None else [point.x, point.y]}


def _plain(name: str) -> str:
    """Returns a name in which Plotly, which reads some tags in texts, finds none."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_NAMERS: dict[str, Callable[[Case], str]] = {
    "modality": lambda case: modality_name(case.modality),
    "label": lambda case: spoken(case.label),
    "source": lambda case: case.source,
}


def _points(collection: Collection) -> dict[str, list]:
    return {
        "x": [round(float(x), 4) for x in collection.coordinates[:, 0]],
        "y": [round(float(y), 4) for y in collection.coordinates[:, 1]],
        "words": [f"{spoken(case.label)} ({modality_name(case.modality)})" for case in collection.cases],
    }
