"""The map of a collection with the views that are linked with it, as one component."""

import hashlib
from typing import Any

import gradio as gr
from plotly.colors import sequential

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.drift import drift_columns
from mermed_core.modalities import MODALITIES
from mermed_core.records import MapPoint

from ..routes.columns_route import ADDRESS
from ..texts import beside_text, cluster_text, map_text, measure_text, note_text, text
from .beside_columns import BesideColumns
from .beside_map import beside_props
from .case_rows import CaseRows
from .drawing import drawing
from .map_columns import MISSING, OTHER, PALETTE, MapColumns
from .templates import render, script

EXPLORE = "explore-data"  # below this address the views find what they show
_MOST_PICTURES = 200  # shown instead of points where no more are in view
_SCRIPTS = (
    "map_renderer.js",
    "map_crosshair.js",
    "map_gestures.js",
    "ramp_words.js",
    "map_legend.js",
    "map_labels.js",
    "map_pictures.js",
    "map_data.js",
    "map_selection.js",
    "opened_case.js",
    "beside_map.js",
    "overlap_view.js",
    "map_tip.js",
    "virtual_rows.js",
    "picture_grid.js",
    "case_list.js",
    "histogram.js",
    "filter_bar.js",
    "selection_export.js",
    "checks_view.js",
    "compare_view.js",
    "notes_view.js",
    "saved_views.js",
    "walk_views.js",
    "collection_map.js",
)
# Even steps to the eye, readable to the colour-blind; without the ends, which a light or dark page swallows.
_RAMP = sequential.Viridis[1:-1]


def collection_map(rows: CaseRows, beside: BesideColumns | None = None) -> gr.HTML:
    """Returns the component; `select` carries the id of a case that was opened (`pick`).

    Args:
        rows: of the collection.
        beside: a second collection, whose map stands beside the first.
    """
    return gr.HTML(
        map_value(rows.columns, "modality", None),
        html_template=map_html(rows, beside=beside),
        js_on_load=map_script(),
        apply_default_css=False,
        elem_id="collection-map",
        **map_props(rows, beside),
    )


def map_html(rows: CaseRows, *, served: bool = True, beside: BesideColumns | None = None) -> str:
    """Returns the map and its views before a script fills them.

    Args:
        rows: of the collection.
        served: whether there is a server that answers what needs one, such as the checks.
        beside: a second collection, whose map stands beside the first.
    """
    names = [(index, text.column_name(name)) for index, name in enumerate(rows.columns.names)]
    shown = rows.columns.names.index("label")
    drawings = {key: drawing(key) for key in MODALITIES}
    drifts = drift_columns(rows.columns.collection.records) if served else ()
    name, other = (rows.columns.collection.name, None) if beside is None else beside.map_names
    return render(
        "collection_map.html",
        m=map_text,
        n=note_text,
        b=beside_text,
        name=name,
        beside=other,
        served=served,
        noted=served and rows.columns.tags.there,
        columns=names,
        counted=shown,
        sorted_by=rows.titles,
        drawings=drawings,
        drifts=[(column, text.column_name(column)) for column in drifts],
        pictured=rows.columns.collection.has_pictures,
    )


def map_script() -> str:
    """Returns the script that fills the map and its views, in whose scope `element` and `props` are."""
    return "\n".join(script(name) for name in _SCRIPTS)


def map_props(rows: CaseRows, beside: BesideColumns | None = None) -> dict[str, Any]:
    """Returns what the script needs to know of the collection, and of one beside it."""
    columns = rows.columns
    return {
        "bounds": columns.bounds,
        "cases": len(columns.collection),
        "columns": ADDRESS,
        "explore": EXPLORE,
        "version": version(columns.collection),
        "names": [
            {"name": name, "title": text.column_name(name), "words": _words(columns, name)}
            for name in columns.names
        ],
        "rewritten": [columns.names.index(name) for name in columns.tags.columns],
        "listed": list(rows.titles),
        "titles": rows.titles,
        "palette": PALETTE,
        "ramp": _RAMP,
        "pictured": columns.collection.has_pictures,
        "most_pictures": _MOST_PICTURES,
        "codes": {"other": OTHER, "missing": MISSING},
        "clusters": columns.cluster_marks(),
        "beside": beside and beside_props(beside, EXPLORE, beside_version(beside)),
        "sentences": _sentences(),
    }


def map_value(columns: MapColumns, colour_by: str, point: MapPoint | None) -> dict[str, Any]:
    """Returns what the map shows: its groups with name, code, colour and count, and the visitor's image.

    Args:
        columns: the columns of the collection whose map it is.
        colour_by: one of their names.
        point: where the visitor's image falls, None without one.
    """
    return {
        "column": columns.names.index(colour_by),
        **groups_of(columns, colour_by),
        "point": None if point is None else [point.x, point.y],
    }


def groups_of(columns: MapColumns, name: str) -> dict[str, Any]:
    """Returns the groups of a column, the limits of its numbers, and what it is where that needs words.

    Of a column that is still computed it says that alone: `pending`.
    """
    about = measure_text.ABOUT.get(name, "") if name in columns.measures.columns else ""
    if not columns.ready(name):
        return {"groups": [], "limits": None, "dates": False, "about": about, "pending": True}
    coloured = columns.coloured(name)
    return {
        "groups": [
            {"name": group.name, "code": group.code, "colour": group.colour, "count": group.count}
            for group in coloured.groups
        ],
        "limits": coloured.limits,
        "dates": coloured.dates,
        "about": about,
    }


def _sentences() -> dict[str, str]:
    parts = (map_text, cluster_text, measure_text, note_text)
    return {name: said for part in parts for name, said in part.MAP_SCRIPT.items()}


def _words(columns: MapColumns, name: str) -> str:
    """Returns the words of a column that is none of the records; "" for one of theirs."""
    if name in columns.measures.columns:
        return measure_text.WORDS[name]
    return cluster_text.MAP_SCRIPT.get(name, "") if name in columns.clusters.columns else ""


def version(collection: Collection) -> str:
    """Returns letters that change with the collection, so that a browser keeps no other one's pictures."""
    digest = hashlib.blake2b(collection.coordinates.tobytes(), digest_size=8)
    digest.update(collection.fingerprint.encode())
    return digest.hexdigest()


def beside_version(beside: BesideColumns) -> str:
    """Returns letters that change with either collection: the second map's points name those of the first."""
    return version(beside.first.collection) + version(beside.collection)
