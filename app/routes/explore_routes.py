"""The addresses from which the views of the map get records, orders, pictures and answers to questions."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from mermed_core.errors import MermedError
from mermed_core.languages.say import in_readers_words

from ..components.case_rows import CaseRows
from ..components.collection_map import EXPLORE, groups_of
from ..components.map_columns import MapColumns
from ..selection import from_map
from ..selection_files import FILES
from .columns_route import State, unfinished
from .requests import body_of

_MOST_ROWS = 2000  # asked for at once
_MOST_TEXT = 200  # letters of a search
_MOST_BYTES = 2**23  # of a request: a bit a case, of many millions, in base64
_BINARY = "application/octet-stream"
# What is made from the collection alone: the browser asks each time whether it still holds.
_CHECKED = "private, no-cache"
# A picture's address holds the collection's version, so it never changes.
_KEPT = "private, max-age=31536000, immutable"

Answer = Callable[[Mapping[str, Any]], Response]


def explore_routes(rows: CaseRows, state: State = dict) -> list[BaseRoute]:
    """Returns the routes below `EXPLORE` that the views of the map ask.

    Args:
        rows: of the collection.
        state: how far a column is that is not there yet, as plain values.
    """
    columns = rows.columns
    collection = columns.collection

    def facts(request: Request) -> Response:
        wanted = request.path_params["column"]
        if wanted >= len(columns.names):
            raise HTTPException(404)
        if not columns.ready(columns.names[wanted]):
            return unfinished(state)
        return JSONResponse(groups_of(columns, columns.names[wanted]), headers={"Cache-Control": _CHECKED})

    def order(request: Request) -> Response:
        try:
            data = rows.order(request.path_params["name"]).tobytes()
        except KeyError as error:
            raise HTTPException(404) from error
        return tagged(request, data)

    def picture(request: Request) -> Response:
        point = request.path_params["point"]
        if point >= len(collection):
            raise HTTPException(404)
        case_id = collection.records["case_id"].iat[int(columns.order[point])]
        if (data := collection.thumbnail(str(case_id))) is None:
            raise HTTPException(404)
        return Response(data, headers={"Cache-Control": _KEPT}, media_type="image/jpeg")

    def records(body: Mapping[str, Any]) -> Response:
        points = body.get("points")
        if not isinstance(points, list) or len(points) > _MOST_ROWS:
            raise HTTPException(400)
        return JSONResponse(rows.rows(points))

    def search(body: Mapping[str, Any]) -> Response:
        text = body.get("text")
        if not isinstance(text, str) or len(text) > _MOST_TEXT:
            raise HTTPException(400)
        return Response(np.packbits(rows.search(text), bitorder="little").tobytes(), media_type=_BINARY)

    return [
        Route(f"/{EXPLORE}/facts/{{column:int}}", facts),
        Route(f"/{EXPLORE}/order/{{name}}", order),
        Route(f"/{EXPLORE}/picture/{{version}}/{{point:int}}", picture),
        asked("records", records),
        asked("search", search),
        *(asked(f"export/{kind}", _export(columns, kind)) for kind in FILES),
    ]


def _export(columns: MapColumns, kind: str) -> Answer:
    """Returns what answers with the cases of a selection as a file of one kind."""

    def send(body: Mapping[str, Any]) -> Response:
        written = columns.tags.written() if columns.tags.there else None
        file = FILES[kind](columns.collection, from_map(columns.order, body.get("bits")), written)
        headers = {"Content-Disposition": f'attachment; filename="{file.name}"', "Cache-Control": "no-store"}
        return Response(file.content, headers=headers, media_type=file.media_type)

    return send


def asked(name: str, answer: Answer) -> Route:
    """Returns a route whose answer is made in a thread from the JSON object that was sent."""

    async def send(request: Request) -> Response:
        # A form of another site cannot send JSON without the browser asking first.
        if request.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            raise HTTPException(415)
        try:
            body = json.loads(await body_of(request, _MOST_BYTES))
        except ValueError as error:
            raise HTTPException(400) from error
        if not isinstance(body, dict):
            raise HTTPException(400)
        try:
            return await run_in_threadpool(answer, body)
        except MermedError as error:
            # Not by an HTTPException, whose words the page's own handler wraps as JSON.
            said = in_readers_words(str(error))
            return Response(said, 400, media_type="text/plain; charset=utf-8")

    return Route(f"/{EXPLORE}/{name}", send, methods=["POST"])


def tagged(request: Request, data: bytes) -> Response:
    """Returns bytes that the browser need not fetch again as long as they are the same."""
    tag = f'"{hashlib.blake2b(data, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": _CHECKED}
    if request.headers.get("If-None-Match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=_BINARY)
