"""What is read of a request: never more than its address needs; and which state of a collection it means."""

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..texts import text


async def body_of(request: Request, most: int) -> bytes:
    """Returns the body of a request.

    Raises:
        HTTPException: it is longer than `most` bytes; the rest is not read.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise HTTPException(413)
    return bytes(body)


def of_state(state: str, routes: Sequence[BaseRoute]) -> list[BaseRoute]:
    """Returns routes that answer about one state of a collection alone.

    A page that was opened before the collection was changed counts its cases otherwise: it is told so. Who
    names no state asks for what is there now.

    Args:
        state: the name of the state, which a request has in its address.
        routes: that answer.
    """

    def checked(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            asked = Request(scope).query_params.get("state", scope["path_params"].get("version", state))
            if asked == state:
                await app(scope, receive, send)
            else:
                headers = {"Cache-Control": "no-store"}
                await PlainTextResponse(text.STATE_GONE, 410, headers)(scope, receive, send)

        return answer

    for route in routes:
        if isinstance(route, Mount | Route):
            route.app = checked(route.app)
    return list(routes)
