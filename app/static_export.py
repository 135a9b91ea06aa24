"""A collection as a folder that opens in a browser from a disk: the same map and views, without a server."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from mermed_core.collections.annotations import Annotations
from mermed_core.collections.cluster_names import known_cases
from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.case_measures import measure_cases
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.collections.quality.watch import Watch
from mermed_core.files import check_replaceable, write_folder

from .components.case_rows import CaseRows
from .components.collection_map import groups_of, map_html, map_props, map_script
from .components.map_columns import MapColumns
from .components.templates import render, script
from .texts import case_text, map_text

MARK = "explorer.js"  # every export holds it
_STYLES = (
    "static/page",
    "hidden",
    "cases",
    "drawing",
    "collection_map",
    "map_labels",
    "walk",
    "static/page_whole",
)
_CHUNK = 1000  # records of a file, and pictures of a folder
_NEAREST = 8  # cases that an opened one is shown with
_MOST_WITH_NEAREST = 100_000  # cases; of more their numbers would be a large file
_NO_POINT = np.iinfo(np.uint32).max
_MOST_CHUNKS = 100  # of records that are read when the page opens; of more each when it is needed


def write_static(
    folder: Path, collection: Collection, written: Annotations | None = None, *, watch: Watch | None = None
) -> None:
    """Writes the page; what stood in the folder stays until all is done.

    Args:
        folder: the place.
        collection: its map, records and small pictures are written, its vectors are not.
        written: tags and notes, which are written too where there are any.
        watch: is told of the progress of what takes long.

    Raises:
        OccupiedError: the folder holds something other than such a page.
    """
    check_replaceable(folder, MARK)
    near = Neighbourhood.of(collection, watch=watch)
    measures = measure_cases(collection, near, watch=watch)
    rows = CaseRows(MapColumns(collection, known_cases(collection), lambda: measures, _source(written)))
    with write_folder(folder) as staging:
        (staging / "data").mkdir()
        pictured = _write_pictures(staging / "pictures", rows)
        wide = _write_nearest(staging / "data", near, rows.columns.order)
        _write_data(staging / "data", rows, pictured, wide)
        (staging / MARK).write_text(_script(), encoding="utf-8")
        styles = [script(f"{name}.css") for name in _STYLES]
        (staging / "style.css").write_text("\n".join(styles), encoding="utf-8")
        (staging / "index.html").write_text(_page(rows), encoding="utf-8")


def _source(written: Annotations | None) -> Callable[[], Annotations] | None:
    return (lambda: written) if written is not None and written.cases else None


def _page(rows: CaseRows) -> str:
    collection = rows.columns.collection
    names = sorted(str(name) for name in collection.records["source"].unique())
    return render(
        "static/page.html",
        m=map_text,
        name=collection.name,
        text=collection.description,
        cases=case_text.cases_in(collection),
        map=Markup(map_html(rows, served=False)),  # a template of ours, which escaped its values
        sources=[collection.source(name) for name in names],
    )


def _script() -> str:
    # What Gradio gives the script of a component, the page gives as arguments.
    component = f"function explorer(element, props, trigger, watch) {{\n{map_script()}\n}}"
    shared = "\n".join(script(name) for name in ("map_data.js", "picture_grid.js"))
    return f"{shared}\n{component}\n{script('static/page.js')}"


def _write_data(folder: Path, rows: CaseRows, pictured: np.ndarray, nearest: int) -> None:
    columns = rows.columns
    _write(folder, "props", {**_props(rows, pictured), "nearest": nearest})
    _write(folder, "places", _text(columns.places()))
    for number, name in enumerate(columns.names):
        _write(folder, f"column_{number}", _text(columns.coloured(name).codes))
    for number, name in enumerate(rows.titles):
        _write(folder, f"order_{number}", _text(rows.order(name).tobytes()))
    for number, start in enumerate(range(0, len(columns.order), _CHUNK)):
        points = list(range(start, min(start + _CHUNK, len(columns.order))))
        _write(folder, f"records_{number}", rows.rows(points))


def _props(rows: CaseRows, pictured: np.ndarray) -> dict[str, Any]:
    columns = rows.columns
    return {
        **map_props(rows),
        "pictured": bool(pictured.any()),
        "pictured_points": _text(np.packbits(pictured, bitorder="little").tobytes()),
        "facts": [groups_of(columns, name) for name in columns.names],
        "chunk": _CHUNK,
        "most_chunks": _MOST_CHUNKS,
    }


def _write_nearest(folder: Path, near: Neighbourhood, order: np.ndarray) -> int:
    """Writes the points of the nearest cases of other patients of each point; returns how many of each.

    Args:
        folder: of the data.
        near: the neighbours of all cases.
        order: (points,) the case of each point.
    """
    if len(order) > _MOST_WITH_NEAREST:
        return 0
    others = near.others()
    first = np.argsort(~others, axis=1, kind="stable")[:, :_NEAREST]
    found = np.argsort(order)[np.take_along_axis(near.positions, first, axis=1)]
    points = np.where(np.take_along_axis(others, first, axis=1), found, _NO_POINT)[order]
    _write(folder, "nearest", _text(points.astype("<u4").tobytes()))
    return points.shape[1]


def _write_pictures(folder: Path, rows: CaseRows) -> np.ndarray:
    """Writes the small pictures there are; returns a mask (points,) of those that have one."""
    collection, order = rows.columns.collection, rows.columns.order
    pictured = np.zeros(len(order), bool)
    if not collection.has_pictures:
        return pictured
    # By position, as pictures that lie together are read together.
    for position in np.argsort(order):
        case_id = str(collection.records["case_id"].iat[int(order[position])])
        if (picture := collection.thumbnail(case_id)) is None:
            continue
        place = folder / str(position // _CHUNK)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{position}.jpg").write_bytes(picture)
        pictured[position] = True
    return pictured


def _write(folder: Path, name: str, value: Any) -> None:
    """Writes data as a script: a page from a disk may load nothing else."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    (folder / f"{name}.js").write_text(f'mermedData("{name}",{written});\n', encoding="utf-8")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
