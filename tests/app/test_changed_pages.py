"""A page that is served while its collection is changed: what was removed is handed out no more."""

import asyncio
import gc
import shutil
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI
from gradio_client import Client
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Mount

from app import changed_pages
from app.changed_pages import ADDRESS, ChangedPages
from app.components.collection_map import version
from app.live_page import LivePage
from app.pages.similar import A_CASE
from app.services import Services, load_services
from app.texts import text
from app.ui import following_pages, launch_options
from mermed_core.collections import following
from mermed_core.collections.changes import compact, remove_cases
from mermed_core.collections.collection import Collection
from mermed_core.collections.folder import changing
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

Answer = TypeVar("Answer")
SECONDS = 60  # until a change is seen at the latest, on a machine that has much else to do


def done(visit: Coroutine[Any, Any, Answer]) -> Answer:
    """Returns what a visit returns; in a thread, as a browser of this process has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asyncio.wait_for(visit, SECONDS)).result()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch) -> None:
    monkeypatch.setattr(following, "_PAUSE", 0)


@pytest.fixture
def folder(tmp_path) -> Path:
    return shutil.copytree(BUNDLED_COLLECTION, tmp_path / "collection")


@pytest.fixture
def services(folder) -> Services:
    return load_services(Settings.from_environment({"MERMED_COLLECTION": str(folder)}))


def soon(holds: Callable[[], bool]) -> bool:
    """Returns whether something comes true in time."""
    late = time.monotonic() + SECONDS
    while not holds():
        if time.monotonic() > late:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def served(services, uploads) -> Iterator[str]:
    page = following_pages(services, "en")
    settings = Settings.from_environment({})
    options = launch_options(settings) | {"server_port": None, "prevent_thread_lock": True}
    yield page.launch(**options)[1]
    page.close()


def parts(address: str) -> dict[str, Any]:
    """Returns what the page of an address was built with, by the id of its elements."""
    found = httpx2.get(f"{address}config", timeout=SECONDS).json()["components"]
    return {part["props"].get("elem_id"): part["props"] for part in found}


@pytest.mark.usefixtures("uploads")
def test_a_running_server_forgets_a_removed_case_in_every_answer(served, folder):
    collection = load_collection(folder)
    state, point = version(collection), 17
    data = f"{served}explore-data"
    asked = {"points": [point]}
    gone = httpx2.post(f"{data}/records?state={state}", json=asked).json()[0]["case"]
    picture = f"{data}/picture/{state}/{point}"
    assert httpx2.get(picture, timeout=SECONDS).content == collection.thumbnail(gone)
    assert gone in httpx2.get(f"{served}config", timeout=SECONDS).text
    program = Client(served, verbose=False)
    asking = {"by": A_CASE, "case_id": gone, "count": 8, "modality": [], "source": [], "label": []}
    near = program.predict(**asking, api_name="/similar")
    assert gone in str(near)
    german = f"{served}de/"
    assert "Ultraschall" in httpx2.get(f"{german}config", timeout=SECONDS).text

    remove_cases(folder, cases=[gone])

    assert soon(lambda: httpx2.get(picture, timeout=SECONDS).status_code == 410)
    for answer in (
        httpx2.post(f"{data}/records?state={state}", json=asked),
        httpx2.post(f"{data}/export/pictures?state={state}", json={"bits": "AA=="}),
        httpx2.get(f"{served}map-columns/places?state={state}", timeout=SECONDS),
        httpx2.get(f"{data}/order/case?state={state}", timeout=SECONDS),
    ):
        assert (answer.status_code, answer.text) == (410, text.STATE_GONE)
    for page in (served, german):
        found = httpx2.post(f"{page}explore-data/search", json={"text": gone})
        assert not np.unpackbits(np.frombuffer(found.content, np.uint8)).any()
        assert gone not in httpx2.get(f"{page}config", timeout=SECONDS).text
    said = str(program.predict(**asking, api_name="/similar"))
    assert "has no case" in said
    new = version(load_collection(folder))
    rows = httpx2.post(f"{data}/records?state={new}", json={"points": list(range(419))}).json()
    assert gone not in {row["case"] for row in rows}
    assert len({row["case"] for row in rows}) == 419


@pytest.mark.usefixtures("uploads")
def test_an_open_page_hears_of_the_change_and_a_new_one_does_not(served, folder):
    script = next(
        call["js"]
        for call in httpx2.get(f"{served}config", timeout=SECONDS).json()["dependencies"]
        if ADDRESS in str(call["js"])
    )
    name = script.rpartition(f'("{ADDRESS}", "')[2].partition('"')[0]
    asked = f"{served}{ADDRESS}?page={name}"
    assert httpx2.get(asked, timeout=SECONDS).json() == {"changed": False}
    remove_cases(folder, cases=[load_collection(folder).cases["case_id"].iloc[0]])
    assert soon(lambda: httpx2.get(asked, timeout=SECONDS).json()["changed"])
    assert name not in httpx2.get(f"{served}config", timeout=SECONDS).text
    assert text.RELOAD in script


def test_what_cannot_be_opened_is_not_shown_any_more_and_why_is_said(services, folder):
    built: list[Services] = []

    def build(services: Services) -> FastAPI:
        built.append(services)
        return FastAPI()

    pages = ChangedPages(services, build)
    pages.look()
    assert len(built) == 1
    remove_cases(folder, cases=[load_collection(folder).cases["case_id"].iloc[0]])
    next(folder.glob("map-*.parquet")).write_bytes(b"damaged")
    pages.look()
    assert built[-1].predictor.explored is None
    assert "is damaged" in built[-1].missing_collection
    pages.look()
    assert len(built) == 2  # nothing new is to be said


def test_a_compaction_disturbs_nobody(services, folder):
    remove_cases(folder, cases=[load_collection(folder).cases["case_id"].iloc[0]], erase=False)
    built: list[Services] = []
    pages = ChangedPages(services, lambda services: built.append(services) or FastAPI())
    pages.look()
    assert len(built) == 2
    compact(folder)
    pages.look()
    assert len(built) == 2
    collection = built[-1].predictor.explored
    assert collection is not None
    assert collection.thumbnail_at(0) is not None


def test_pages_that_cannot_be_built_do_not_leave_the_old_ones(services, folder):
    def build(services: Services) -> FastAPI:
        if services.predictor.explored is not None and len(services.predictor.explored) == 419:
            raise RuntimeError("of the kind that nobody foresaw")
        return FastAPI(title=services.missing_collection or "all")

    pages = ChangedPages(services, build)
    remove_cases(folder, cases=[load_collection(folder).cases["case_id"].iloc[0]])
    pages.look()
    shown = pages._shown[0]
    assert shown.predictor.explored is None
    assert "Something unexpected happened (number" in shown.missing_collection


def test_a_request_under_way_ends_on_the_state_before_which_is_then_let_go(services, folder, monkeypatch):
    monkeypatch.setattr(changed_pages, "_PATIENCE", 30.0)
    begun, go_on = asyncio.Event(), asyncio.Event()

    def build(services: Services) -> FastAPI:
        app = FastAPI()

        @app.get("/slow")
        async def slow() -> int:
            begun.set()
            await go_on.wait()
            collection = services.predictor.explored
            assert collection is not None
            return len(collection)

        @app.get("/")
        def now() -> int:
            collection = services.predictor.explored
            assert collection is not None
            return len(collection)

        return app

    pages = ChangedPages(services, build)
    before = weakref.ref(services.collections[0].map)

    async def visit() -> tuple[int, int]:
        app = Starlette(routes=[Mount("/", pages)])
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://page") as client:
            slow = asyncio.create_task(client.get("/slow"))
            await begun.wait()
            pages.look()
            after = (await client.get("/")).json()
            go_on.set()
            found = (await slow).json(), after
            for _ in range(1000):
                gc.collect()
                if before() is None:
                    break
                await asyncio.sleep(0.01)
            return found

    gone = load_collection(folder).cases["case_id"].iloc[0]
    remove_cases(folder, cases=[gone])
    assert done(visit()) == (420, 419)
    assert before() is None


@pytest.mark.parametrize("removed", [True, False])
def test_while_other_pages_are_built_nobody_is_shown_a_case_that_was_removed(services, folder, removed):
    pages: Any = None
    held: list[bool] = []

    def build(services: Services) -> FastAPI:
        held.append(pages is not None and pages._held)
        app = FastAPI()
        app.get("/")(lambda: len(services.collections[0]))
        return app

    pages = ChangedPages(services, build)
    if removed:
        remove_cases(folder, cases=[load_collection(folder).cases["case_id"].iloc[0]])
    else:
        with changing(folder) as change:
            change.commit(change.stated.changed(state="0" * 64))
    pages.look()
    assert held == [False, removed]

    async def visit() -> tuple[int, int]:
        transport = httpx2.ASGITransport(pages)
        async with httpx2.AsyncClient(transport=transport, base_url="http://page") as client:
            pages._held = True
            waiting = asyncio.create_task(client.get("/"))
            done, _ = await asyncio.wait([waiting], timeout=0.2)
            pages._held = False
            return len(done), (await waiting).json()

    assert done(visit()) == (0, 420 - removed)


def test_a_stream_that_lasts_is_closed_whole_when_its_page_has_ended():
    """The connection of an open page lasts; a browser asks again where it ended as it should."""
    app = FastAPI()

    async def lines() -> AsyncIterator[str]:
        yield "data: here"
        await asyncio.Event().wait()

    @app.get("/")
    def stream() -> StreamingResponse:
        return StreamingResponse(lines())

    async def visit() -> list[Any]:
        sent: list[Any] = []
        over: list[bool] = []
        page, there = LivePage(app), asyncio.Event()

        async def send(message: Any) -> None:
            sent.append(message)
            if message.get("body"):
                there.set()

        async def receive() -> Any:
            await asyncio.Event().wait()

        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
        open_page = asyncio.create_task(page.answer(scope, receive, send))
        await there.wait()
        page.end(patience=0.01, then=lambda: over.append(True))
        await open_page
        while not over:
            await asyncio.sleep(0)
        return sent

    sent = done(visit())
    assert [each.get("body") for each in sent[1:]] == [b"data: here", b""]
    assert not sent[-1].get("more_body")


def test_an_answer_that_is_whole_is_not_ended_twice():
    """A server's own answer waits for the visitor to go, after its last part."""
    app, there = FastAPI(), asyncio.Event()
    sent: list[Any] = []

    async def lasting(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"all"})
        there.set()
        await asyncio.Event().wait()

    app.mount("/", lasting)

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def visit() -> None:
        page = LivePage(app)
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
        answering = asyncio.create_task(page.answer(scope, receive, send))
        await there.wait()
        page.end()
        await answering

    done(visit())
    assert [each.get("body") for each in sent] == [None, b"all"]


def test_who_waits_for_an_answer_of_a_page_that_has_ended_gets_one():
    app, begun = FastAPI(), asyncio.Event()

    @app.get("/")
    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def visit() -> int:
        page = LivePage(app)
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(page.answer), base_url="http://a"
        ) as client:
            waiting = asyncio.create_task(client.get("/"))
            await begun.wait()
            page.end()
            return (await waiting).status_code

    assert done(visit()) == 503


def test_a_second_collection_is_followed_too_and_the_first_is_left_alone(tmp_path):
    beside = shutil.copytree(BUNDLED_COLLECTION, tmp_path / "beside")
    given = {"MERMED_COLLECTION": str(BUNDLED_COLLECTION), "MERMED_BESIDE": str(beside)}
    services = load_services(Settings.from_environment(given))
    first = services.predictor.explored
    assert isinstance(first, Collection)
    job = services.checks_of(first)
    remove_cases(beside, cases=[first.cases["case_id"].iloc[0]])
    new = services.renewed()
    assert new is not services
    assert new.predictor is services.predictor
    assert new.beside is not None
    assert len(new.beside) == 419
    services.let_go_but_for(new)
    assert len(first) == 420
    assert new.checks_of(first) is job
    shutil.rmtree(beside)
    last = new.renewed()
    assert last.beside is None
    assert "no collection" in last.missing_beside


def test_no_collection_at_first_is_shown_as_soon_as_it_is_there(tmp_path):
    folder = tmp_path / "collection"
    services = load_services(Settings.from_environment({"MERMED_COLLECTION": str(folder)}))
    assert services.predictor.explored is None
    assert services.renewed() is services
    shutil.copytree(BUNDLED_COLLECTION, folder)
    new = services.renewed()
    assert new.predictor.explored is not None
    assert (new.missing_collection, new.notes is None) == ("", False)
