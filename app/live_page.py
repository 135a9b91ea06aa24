"""An app that is served below an address of another one, for as long as it is wanted."""

import asyncio
from collections.abc import Callable

from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send


def _nothing() -> None:
    """Does nothing."""


class LivePage:
    """Lives within the server's loop from its first request until it is ended.

    Args:
        app: answers.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._ready, self._over = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._life: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request; one that is still under way when the page has ended is closed."""
        await self._begin()
        begun = whole = False

        async def sending(message: Message) -> None:
            nonlocal begun, whole
            begun = True
            whole = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        task = asyncio.ensure_future(self._app(scope, receive, sending))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        try:
            await task
        except asyncio.CancelledError:
            if not self._over.is_set() or not task.cancelled():
                task.cancel()  # the server ends
                raise
            if scope["type"] != "http" or whole:
                return
            if not begun:
                await PlainTextResponse("", 503)(scope, receive, send)
            else:
                await send({"type": "http.response.body", "body": b""})  # whole, so that a browser asks again

    def end(self, patience: float = 0.0, then: Callable[[], object] = _nothing) -> None:
        """Ends the page when its requests have ended; called from any thread.

        Args:
            patience: seconds that requests under way have; a page that somebody looks at has one that lasts.
            then: is called when nothing answers any more.
        """
        if self._loop is None or self._loop.is_closed():
            then()
        else:
            self._loop.call_soon_threadsafe(self._end_soon, patience, then)

    def _end_soon(self, patience: float, then: Callable[[], object]) -> None:
        self._ending = asyncio.ensure_future(self._end(patience, then))

    async def _end(self, patience: float, then: Callable[[], object]) -> None:
        if self._answering and patience:
            await asyncio.wait(set(self._answering), timeout=patience)
        self._over.set()
        left = set(self._answering)
        for task in left:
            task.cancel()
        if self._life is not None:
            await asyncio.wait([self._life, *left])
        then()

    async def close(self) -> None:
        """Ends the page with the server."""
        await self._end(0.0, _nothing)

    async def _begin(self) -> None:
        """Starts the page with its first request, as a server starts an app."""
        if self._life is None:
            self._loop = asyncio.get_running_loop()
            self._life = asyncio.create_task(self._live())
        await self._ready.wait()

    async def _live(self) -> None:
        try:
            async with self._app.router.lifespan_context(self._app):
                self._ready.set()
                await self._over.wait()
        finally:
            self._ready.set()  # whoever waits for a page that cannot start gets its error instead
