"""The address from which the page fetches the columns of the map: bytes from memory, beside Gradio's own."""

import hashlib

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..components.map_columns import MapColumns

ADDRESS = "map-columns"
PLACES = "places"


def columns_route(columns: MapColumns) -> Route:
    """Returns the route of `ADDRESS/places` and of `ADDRESS/0`, `ADDRESS/1`, … for the columns by number."""

    async def send(request: Request) -> Response:
        data = await run_in_threadpool(_column, columns, request.path_params["column"])
        tag = f'"{hashlib.blake2b(data, digest_size=16).hexdigest()}"'
        # The browser asks each time whether what it holds is still right: a collection may be replaced.
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if request.headers.get("If-None-Match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, headers=headers, media_type="application/octet-stream")

    return Route(f"/{ADDRESS}/{{column}}", send)


def _column(columns: MapColumns, wanted: str) -> bytes:
    if wanted == PLACES:
        return columns.places()
    if wanted.isdecimal() and wanted.isascii() and int(wanted) < len(columns.names):
        return columns.coloured(columns.names[int(wanted)]).codes
    raise HTTPException(404)
