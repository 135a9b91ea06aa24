"""The address from which the page fetches the columns of the map: bytes from memory, beside Gradio's own."""

import hashlib
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..components.map_columns import MapColumns

ADDRESS = "map-columns"
PLACES = "places"

State = Callable[[], dict[str, Any]]


def columns_route(columns: MapColumns, state: State = dict) -> Route:
    """Returns the route of `ADDRESS/places` and of `ADDRESS/0`, `ADDRESS/1`, … for the columns by number.

    Args:
        columns: of the map.
        state: how far a column is that is not there yet, as plain values.
    """

    async def send(request: Request) -> Response:
        data = await run_in_threadpool(_column, columns, request.path_params["column"])
        if data is None:
            return unfinished(state)
        tag = f'"{hashlib.blake2b(data, digest_size=16).hexdigest()}"'
        # The browser asks each time whether what it holds is still right: a collection may be replaced.
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if request.headers.get("If-None-Match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, headers=headers, media_type="application/octet-stream")

    return Route(f"/{ADDRESS}/{{column}}", send)


def unfinished(state: State) -> Response:
    """Says how far it is what was asked for: it may be asked for again."""
    return JSONResponse(state(), 202, headers={"Cache-Control": "no-store"})


def _column(columns: MapColumns, wanted: str) -> bytes | None:
    """Returns a column, None while it is not there yet."""
    if wanted == PLACES:
        return columns.places()
    if wanted.isdecimal() and wanted.isascii() and int(wanted) < len(columns.names):
        name = columns.names[int(wanted)]
        return columns.coloured(name).codes if columns.ready(name) else None
    raise HTTPException(404)
