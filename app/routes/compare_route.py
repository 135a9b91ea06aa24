"""The address that compares two selections of the map."""

import base64
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mermed_core.collections.compare import Comparison, compare

from ..components.map_columns import MapColumns
from ..selection import from_map
from ..texts import case_text, map_text, text
from .explore_routes import asked


def compare_route(columns: MapColumns) -> Route:
    """Returns the route that is sent the bits of two selections and answers what tells them apart."""
    collection = columns.collection

    def send(body: Mapping[str, Any]) -> Response:
        first, second = (from_map(columns.order, body.get(side)) for side in ("first", "second"))
        return JSONResponse(_plain(columns, compare(collection, first, second)))

    return asked("compare", send)


def _plain(columns: MapColumns, found: Comparison) -> dict[str, Any]:
    named = [
        {
            "title": text.column_name(column.name),
            "values": [
                {"name": _name(columns, column.name, value), "shares": shares}
                for value, shares in column.values.items()
            ],
        }
        for column in found.columns
    ]
    pictures = [
        None if picture is None else f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        for picture in found.pictures
    ]
    return {
        "sentence": map_text.compared(*found.cases, found.auroc),
        "columns": named,
        "pictures": pictures,
    }


def _name(columns: MapColumns, column: str, value: str) -> str:
    if not value:
        return map_text.NO_VALUE
    return case_text.value_name(columns.collection, column, value)
