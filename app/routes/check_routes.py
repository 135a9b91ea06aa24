"""The addresses of what takes long: measure the cases; start and cancel the checks, and what one found."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from mermed_core.collections.quality.findings import CheckResult
from mermed_core.languages.say import in_readers_words

from ..check_job import CheckJob
from ..components.collection_map import EXPLORE
from ..components.map_columns import MapColumns
from .explore_routes import asked

_FRESH = {"Cache-Control": "no-store"}
_LONGEST_KEY = 300  # letters


def check_routes(columns: MapColumns, job: CheckJob) -> list[BaseRoute]:
    """Returns the routes below `EXPLORE/checks`, and `EXPLORE/measure`."""

    def state(request: Request) -> Response:
        return JSONResponse(job.state(), headers=_FRESH)

    def measure(body: Mapping[str, Any]) -> Response:
        job.measure()
        return JSONResponse(job.state(), headers=_FRESH)

    def start(body: Mapping[str, Any]) -> Response:
        job.start()
        return JSONResponse(job.state(), headers=_FRESH)

    def compare(body: Mapping[str, Any]) -> Response:
        try:
            job.compare(str(body.get("column")))
        except KeyError as error:
            raise HTTPException(404) from error
        return JSONResponse(job.state(), headers=_FRESH)

    def cancel(body: Mapping[str, Any]) -> Response:
        job.cancel()
        return JSONResponse(job.state(), headers=_FRESH)

    def found(request: Request) -> Response:
        try:
            result = job.result(request.path_params["name"])
        except KeyError as error:
            raise HTTPException(404) from error
        return JSONResponse(findings(columns, result), headers=_FRESH)

    return [
        Route(f"/{EXPLORE}/checks", state),
        asked("measure", measure),
        asked("checks/start", start),
        asked("checks/compare", compare),
        asked("checks/cancel", cancel),
        Route(f"/{EXPLORE}/checks/found/{{name:path}}", found),  # a column's name may hold a slash
    ]


def findings(columns: MapColumns, result: CheckResult) -> dict[str, Any]:
    """Returns what a check found in the reader's words; of each suspect also its points on the map.

    A suspect's `key` is the same in every language: under it a browser keeps what was decided on it.
    """
    ids = pd.Index(columns.collection.records["case_id"])
    point_of = np.argsort(columns.order)
    plain = result.to_dict()
    plain |= {name: in_readers_words(plain[name]) for name in ("title", "measure", "accuracy")}
    plain["notes"] = [in_readers_words(note) for note in plain["notes"]]
    for suspect in plain["suspects"]:
        suspect["key"] = _key(result.name, suspect)
        suspect["reason"] = in_readers_words(suspect["reason"])
        positions = ids.get_indexer(pd.Index(suspect["cases"], dtype=object))
        suspect["points"] = point_of[positions[positions >= 0]].tolist()
    return plain


def _key(check: str, suspect: Mapping[str, Any]) -> str:
    """Returns what a suspect is known by: its check, its cases and the reason in English."""
    return f"{check} {' '.join(suspect['cases'])} {suspect['reason']}"[:_LONGEST_KEY]
