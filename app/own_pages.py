"""Pages of their own for collections that visitors made: each at an address that only its visitor knows."""

import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from mermed_core.collections.collection import Collection
from mermed_core.collections.stated import MANIFEST
from mermed_core.collections.store import load_collection
from mermed_core.errors import CollectionError
from mermed_core.files import file_mark
from mermed_core.inference.own_collection import quiet_threads

from .kept_collections import KeptCollection, KeptCollections
from .live_page import LivePage
from .private_folder import private_folder
from .texts import own_collection_text

logger = logging.getLogger(__name__)

ADDRESS = "own"
_MOST = 16  # pages at a time: each holds a collection and a page's components in memory
_SWEEP_SECONDS = 60.0
_PATIENCE = 30.0  # seconds that requests to a page have which another one has taken the place of

Build = Callable[[Collection], FastAPI]
"""Builds the page that explores a collection."""


@dataclass(frozen=True, repr=False)  # no log can hold it
class Place:
    """Where a visitor's collection is to be.

    Attributes:
        token: that the address of its page holds, and nobody can guess.
        folder: of the collection.
        room: of the visitor; it is deleted with the page.
    """

    token: str
    folder: Path
    room: Path


@dataclass(eq=False)
class _Page:
    """A page, and how much it is used.

    Attributes:
        live: answers.
        collection: that it explores; let go of with the page, whatever else still holds it.
        folder: of the collection.
        room: of the visitor, which is deleted with the page; None where it was before.
        used: when a request of it last began or ended, by a clock that never goes back.
        mark: of the collection's manifest when it was opened.
        open: requests under way; a page that is looked at has one that lasts.
    """

    live: LivePage
    collection: Collection
    folder: Path
    room: Path | None
    used: float
    mark: tuple[int, ...]
    open: int = 0

    @property
    def changed(self) -> bool:
        """Whether somebody changed the collection since it was opened, or it is gone."""
        return self.mark != file_mark(self.folder / MANIFEST)


class OwnPages:
    """Keeps visitors' collections, each with a page, until they are forgotten. Thread-safe.

    A page stays while somebody has it open and some seconds longer; then the collection is deleted, unless
    the host keeps collections: then the page is opened again when its address is asked for.

    Args:
        seconds: that a page stays after it was last open.
        kept: where collections stay; None where they go with the visit.
        clock: seconds that never go back.
    """

    def __init__(
        self, seconds: float, kept: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._kept = None if kept is None else KeptCollections(kept)
        self._thread = quiet_threads()
        self._clock = clock
        self._root: Path | None = None
        self._pages: dict[str, _Page] = {}
        self._lock, self._building = threading.Lock(), threading.Lock()
        self._timer: threading.Timer | None = None

    @property
    def keeps(self) -> bool:
        """Whether collections stay when the visit is over."""
        return self._kept is not None

    def room(self) -> Path:
        """Returns a new empty folder for what a visitor brings: private, in memory where there is room."""
        with self._lock:
            if self._root is None:
                self._root = private_folder("mermed-own-")
            folder = self._root / secrets.token_hex(16)
            folder.mkdir(mode=0o700)
            return folder

    def place(self, room: Path) -> Place:
        """Returns where the collection of a room's visitor is to be written."""
        token = secrets.token_urlsafe(24)
        folder = room / "collection" if self._kept is None else self._kept.place(token)
        return Place(token, folder, room)

    def kept(self, tokens: Iterable[str]) -> list[KeptCollection]:
        """Returns those collections that are kept of some tokens, in their order."""
        return [] if self._kept is None else self._kept.of(tokens)

    def check_free(self) -> None:
        """Makes sure that there may be one more page; raises CollectionError where there are too many."""
        self.sweep()
        with self._lock:
            if len(self._pages) >= _MOST:
                raise CollectionError(own_collection_text.FULL)

    def quietly(self, job: Callable[..., Any], *given: Any) -> Any:
        """Runs a job where it holds up nobody but those who wait for such jobs too; returns what it does."""
        return self._thread.submit(job, *given).result()

    def add(self, build: Build, collection: Collection, place: Place) -> str:
        """Makes the page of a collection; returns its address, relative to the page that the visitor is on.

        Args:
            build: makes the page; called by one thread at a time.
            collection: of the visitor.
            place: where it is.

        Raises:
            CollectionError: there are as many pages as may be.
        """
        self.check_free()
        with self._building:
            mark = file_mark(place.folder / MANIFEST)
            self._open(build, collection, place.token, place.folder, place.room, mark)
        if self.keeps:
            logger.info("a visitor's collection is kept in '%s'", place.folder)
        return address_of(place.token)

    def forget(self, address: str) -> None:
        """Closes a page and deletes its collection, also a kept one; does nothing where it is gone."""
        token = token_of(address)
        with self._building:  # else a page that is being opened again would outlive its files
            page = self._close(token)
            if page is not None:
                shutil.rmtree(page.folder, ignore_errors=True)
            if self._kept is not None:
                self._kept.forget(token)

    def sweep(self) -> None:
        """Closes pages that nobody has used for too long."""
        late = self._clock() - self._seconds
        with self._lock:
            gone = [token for token, page in self._pages.items() if not page.open and page.used < late]
        for token in gone:
            self._close(token)

    def route(self, build: Build) -> Mount:
        """Returns the route below which the pages are; `build` makes the page of a kept collection anew."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await self._answer(build, scope, receive, send)

        return Mount(f"/{ADDRESS}/{{token}}", app=answer)

    async def _answer(self, build: Build, scope: Scope, receive: Receive, send: Send) -> None:
        token = scope["path_params"]["token"]
        try:
            page = self._used(token) or await run_in_threadpool(self._opened_again, build, token)
        except CollectionError as error:
            await PlainTextResponse(str(error), 503)(scope, receive, send)
            return
        if page is None:
            gone = own_collection_text.GONE_KEPT if self.keeps else own_collection_text.GONE
            await PlainTextResponse(gone, 404)(scope, receive, send)
            return
        try:
            await page.live.answer(_within(scope), receive, send)
        finally:
            with self._lock:
                page.open -= 1
                page.used = self._clock()

    def _used(self, token: str) -> _Page | None:
        """Returns a page that a request begins to use, None where none shows its collection as it is."""
        with self._lock:
            page = self._pages.get(token)
            if page is None or page.changed:
                return None
            page.open += 1
            page.used = self._clock()
            return page

    def _opened_again(self, build: Build, token: str) -> _Page | None:
        """Opens for a request a page whose collection was changed, or that of a kept collection.

        Returns:
            The page, None where there is no such collection.

        Raises:
            CollectionError: with a sentence for the visitor: too many pages are open, or this one cannot be.
        """
        if token not in self._pages:
            self.check_free()
        with self._building:
            page = self._used(token)  # another request may have come first
            if page is not None:
                return page
            before = self._pages.get(token)
            folder = before.folder if before else self._kept.find(token) if self._kept else None
            if folder is None or not (folder / MANIFEST).is_file():
                self._close(token)
                return None
            mark = file_mark(folder / MANIFEST)
            try:
                self._open(build, load_collection(folder), token, folder, before and before.room, mark)
            except CollectionError as error:
                logger.warning("the collection in '%s' cannot be opened: %s", folder, error)
                raise CollectionError(own_collection_text.NOT_OPENED) from error
            return self._used(token)

    def _open(
        self,
        build: Build,
        collection: Collection,
        token: str,
        folder: Path,
        room: Path | None,
        mark: tuple[int, ...],
    ) -> None:
        """Makes a page; one that showed the collection as it was before ends with its last request."""
        live = LivePage(build(collection))
        with self._lock:
            before = self._pages.get(token)
            self._pages[token] = _Page(live, collection, folder, room, self._clock(), mark)
            self._wait()
        if before is not None:
            before.live.end(_PATIENCE, before.collection.release)

    def _close(self, token: str) -> _Page | None:
        """Ends a page and deletes its visitor's room; returns it, None where there was none."""
        with self._lock:
            page = self._pages.pop(token, None)
        if page is not None:
            page.live.end()
            page.collection.release()
            if page.room is not None:
                shutil.rmtree(page.room, ignore_errors=True)
        return page

    def _wait(self) -> None:
        """Sweeps again later, as long as there are pages."""
        if self._timer is None:
            self._timer = threading.Timer(_SWEEP_SECONDS, self._swept)
            self._timer.daemon = True
            self._timer.start()

    def _swept(self) -> None:
        self.sweep()
        with self._lock:
            self._timer = None
            if self._pages:
                self._wait()


def address_of(token: str) -> str:
    """Returns the address of the page of a token, relative to the page that its visitor comes from."""
    return f"{ADDRESS}/{token}/"


def token_of(address: str) -> str:
    """Returns the token that the address of a page holds."""
    return address.strip("/").rpartition("/")[2]


def _within(scope: Scope) -> Scope:
    """Returns a request with the whole path that it was sent to, also where a proxy took a part away."""
    if scope["path"].startswith(scope["root_path"]):
        return scope
    return {**scope, "path": scope["app_root_path"] + scope["path"]}
