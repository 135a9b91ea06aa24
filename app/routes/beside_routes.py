"""The addresses of a second collection that is explored beside the first."""

from dataclasses import asdict
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from mermed_core.collections.overlap import Overlap
from mermed_core.errors import CollectionError
from mermed_core.languages.say import in_readers_words
from mermed_core.modalities import MODALITIES

from ..components.beside_columns import BesideColumns
from ..components.beside_map import BESIDE
from ..components.case_rows import CaseRows
from ..components.collection_map import EXPLORE
from ..texts import beside_text, text
from .columns_route import ADDRESS, PLACES, unfinished
from .explore_routes import explore_routes, tagged


def beside_routes(columns: BesideColumns) -> list[BaseRoute]:
    """Returns what the second map asks below `BESIDE`: as the first does, but in the first one's colours."""

    def places(request: Request) -> Response:
        return tagged(request, columns.own.places())

    def points(request: Request) -> Response:
        return tagged(request, columns.points.tobytes())

    def codes(request: Request) -> Response:
        return tagged(request, columns.coloured(_name(columns, request)).codes)

    def facts(request: Request) -> Response:
        groups = columns.coloured(_name(columns, request)).groups
        return JSONResponse({"groups": [asdict(group) for group in groups]})

    def overlap(request: Request) -> Response:
        try:
            found = columns.overlap.found()
        except CollectionError as error:
            return Response(in_readers_words(str(error)), 400, media_type="text/plain; charset=utf-8")
        return JSONResponse(_plain(found, columns)) if found else unfinished(columns.overlap.state)

    own = [
        Route(f"/{ADDRESS}/{PLACES}", places),
        Route(f"/{ADDRESS}/points", points),
        Route(f"/{ADDRESS}/{{column:int}}", codes),
        Route(f"/{EXPLORE}/facts/{{column:int}}", facts),
        Route(f"/{EXPLORE}/overlap", overlap),
    ]
    return [Mount(f"/{BESIDE}", routes=[*own, *explore_routes(CaseRows(columns.own))])]


def _name(columns: BesideColumns, request: Request) -> str:
    wanted = request.path_params["column"]
    if wanted >= len(columns.names):
        raise HTTPException(404)
    return columns.names[wanted]


def _plain(found: Overlap, columns: BesideColumns) -> dict[str, Any]:
    named = [(beside_text.OVERLAP_ALL, "", found.all)]
    named += [
        (text.modality_name(key), MODALITIES[key].colour, each) for key, each in found.modalities.items()
    ]
    shares = [
        {
            "name": name,
            "colour": colour,
            "mean": each.mean,
            "ends": [each.mean if end is None else end for end in (each.low, each.high)],
            "words": beside_text.shared(each),
        }
        for name, colour, each in named
    ]
    said = beside_text.overlap(found, *columns.map_names)
    return {"said": said, "chance": found.chance, "shares": shares}
