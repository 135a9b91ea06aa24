"""What an open page is told when its collection is changed, and the pages that take the place of it then."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from mermed_core.errors import CollectionError
from mermed_core.incidents import record_incident

from .components.header import changed_banner
from .components.html_parts import static_html
from .components.templates import script
from .live_page import LivePage
from .services import Services, begin_warm_up
from .texts import text

logger = logging.getLogger(__name__)

ADDRESS = "shown-collection"
_LOOK_SECONDS = 1.0
_HELD_SECONDS = 0.05  # between two looks whether a request that waits may go on
_PATIENCE = 30.0  # seconds that requests to the pages before have

Build = Callable[[Services], FastAPI]
"""Builds the pages in all languages."""


def tells_changes(blocks: gr.Blocks, services: Services) -> BaseRoute:
    """Tells whoever has the page open that the collection is not what it was; returns the route it asks."""
    watched = services.watched
    said = static_html(changed_banner(), "collection-changed")
    said.visible = False  # takes no room

    def changes() -> dict[str, Any]:
        """Says so to who opens the page before it is built anew."""
        return gr.update(visible=watched is not None and watched.changed)

    def shown(request: Request) -> Response:
        changed = request.query_params.get("page") != services.name
        return JSONResponse({"changed": changed}, headers={"Cache-Control": "no-store"})

    blocks.load(changes, None, said, queue=False, show_progress="hidden", api_visibility="private")
    given = ", ".join(json.dumps(each) for each in (ADDRESS, services.name, changed_banner()))
    blocks.load(js=f"() => ({script('changed_banner.js')})({given})")
    return Route(f"/{ADDRESS}", shown)


class ChangedPages:
    """The pages over the collections as their folders are now, as one app.

    When a collection's folder was changed, other pages are built over it and take the place of those before
    in one step. Requests under way end on the pages before, which are then let go of with their collection.
    Where cases were removed, new requests wait for the other pages: building them may take seconds.

    Args:
        services: at first.
        build: builds pages; called by one thread at a time.
    """

    def __init__(self, services: Services, build: Build) -> None:
        self._build = build
        self._shown = services, LivePage(build(services))
        self._held = False
        self._stopped = threading.Event()
        self._looking = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request with the pages that are there now."""
        while self._held:
            await asyncio.sleep(_HELD_SECONDS)
        await self._shown[1].answer(scope, receive, send)

    def look(self) -> None:
        """Puts other pages in place where a collection was changed."""
        with self._looking:
            services, page = self._shown
            new = services.renewed()
            if new is services:
                return
            try:
                self._shown = self._built(new, services)
            finally:
                self._held = False
            shown = self._shown[0]
            page.end(_PATIENCE, lambda: services.let_go_but_for(shown))
            begin_warm_up(shown.predictor)

    def _built(self, services: Services, before: Services) -> tuple[Services, LivePage]:
        try:
            self._held = services.lacks_cases_of(before)
            return services, LivePage(self._build(services))
        except Exception as error:  # what was removed must not go on being shown
            number = record_incident(error, "building pages over a changed collection")
            none = services.without_collections(CollectionError(text.unexpected(number)))
            return none, LivePage(self._build(none))

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Looks again and again while the server runs, and ends the pages with it."""
        looking = asyncio.create_task(self._look_on())
        try:
            yield
        finally:
            self._stopped.set()
            looking.cancel()
            await asyncio.wait([looking])
            await self._shown[1].close()

    async def _look_on(self) -> None:
        while not self._stopped.is_set():
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await run_in_threadpool(self.look)
            except Exception as error:  # it is tried again
                record_incident(error, "looking for changes of the collection")
