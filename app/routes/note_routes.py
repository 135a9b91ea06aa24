"""The addresses of tags and notes: what there is, which cases have it; writing where the host allows it."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ..components.collection_map import EXPLORE
from ..components.map_columns import MapColumns
from ..selection import from_map
from ..shared_notes import SharedNotes
from .explore_routes import asked

_FRESH = {"Cache-Control": "no-store"}


def note_routes(columns: MapColumns, notes: SharedNotes) -> list[BaseRoute]:
    """Returns the routes of tags and notes below `EXPLORE`."""
    ids, tags = columns.collection.cases["case_id"], columns.tags

    def state(request: Request) -> Response:
        counted = [{"name": tag, "count": count} for tag, count in tags.counts().items()]
        noted = int(tags.mask(tags.written().notes).sum())
        found = {"writable": notes.writable, "problem": notes.problem, "tags": counted, "noted": noted}
        return JSONResponse(found, headers=_FRESH)

    def tagged(body: Mapping[str, Any]) -> Response:
        written = tags.written()
        tag = body.get("tag")
        cases = written.tags.get(tag, frozenset()) if isinstance(tag, str) and tag else written.notes
        return Response(_bits(columns, tags.mask(cases)), media_type="application/octet-stream")

    def tag(body: Mapping[str, Any]) -> Response:
        name, on = body.get("tag"), body.get("on")
        if not isinstance(name, str) or not isinstance(on, bool):
            raise HTTPException(400)
        cases = ids.iloc[from_map(columns.order, body.get("bits"))]
        changed = notes.tag(name, map(str, cases), on=on)
        bits = base64.b64encode(_bits(columns, tags.mask(changed))).decode()
        return JSONResponse({"changed": bits, "count": len(changed)}, headers=_FRESH)

    def note(body: Mapping[str, Any]) -> Response:
        point, text = body.get("point"), body.get("text")
        if type(point) is not int or not 0 <= point < len(ids) or not isinstance(text, str):
            raise HTTPException(400)
        before = notes.note(str(ids.iloc[int(columns.order[point])]), text)
        return JSONResponse({"before": before}, headers=_FRESH)

    return [
        Route(f"/{EXPLORE}/notes", state),
        asked("tagged", tagged),
        asked("notes/tag", tag),
        asked("notes/note", note),
    ]


def _bits(columns: MapColumns, mask: np.ndarray) -> bytes:
    return np.packbits(mask[columns.order], bitorder="little").tobytes()
