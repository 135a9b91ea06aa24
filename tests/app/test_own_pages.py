"""Pages of visitors' collections: found by their address alone, gone with their last use, and all of them."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Router
from starlette.testclient import TestClient

from app import own_pages
from app.own_pages import Build, OwnPages
from app.services import VISIT_SECONDS
from mermed_core.collections.changes import remove_cases
from mermed_core.collections.store import load_collection
from mermed_core.errors import CollectionError
from mermed_core.files import BUNDLED_COLLECTION


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def build(events):
    def make(collection: Any) -> FastAPI:
        name = collection.name

        @asynccontextmanager
        async def life(_):
            events.append(f"{name} begins")
            yield
            events.append(f"{name} ends")

        app = FastAPI(lifespan=life)

        @app.get("/cases")
        def cases(request: Request) -> dict[str, str]:
            return {"of": name, "root": request.scope["root_path"]}

        return app

    return make


def added(pages: OwnPages, build: Build, name: str = "mine") -> tuple[str, Path]:
    room = pages.room()
    place = pages.place(room)
    place.folder.mkdir(parents=True)
    collection: Any = SimpleNamespace(name=name)
    collection.release = lambda: vars(collection).clear()
    return pages.add(build, collection, place), place.folder


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _private(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(own_pages, "private_folder", lambda prefix: tmp_path / prefix)
    (tmp_path / "mermed-own-").mkdir()


def test_a_page_is_found_by_its_address_and_by_nothing_else(build, events):
    pages = OwnPages(VISIT_SECONDS)
    address, _ = added(pages, build)
    other, _ = added(pages, build, "other")
    assert address != other
    assert len(address) > 32
    with TestClient(Router([pages.route(build)])) as client:
        assert client.get(f"/{address}cases").json() == {"of": "mine", "root": f"/{address}".rstrip("/")}
        assert client.get(f"/{address}cases").status_code == 200
        assert client.get(f"/{other}cases").json()["of"] == "other"
        gone = client.get("/own/guessed/cases")
        assert gone.status_code == 404
        assert "is gone" in gone.text
    assert events == ["mine begins", "other begins"]


def test_behind_a_proxy_that_takes_a_part_of_the_path_away(build):
    pages = OwnPages(VISIT_SECONDS)
    address, _ = added(pages, build)
    with TestClient(Router([pages.route(build)]), root_path="/explorer") as client:
        assert client.get(f"/{address}cases").json()["root"] == f"/explorer/{address}".rstrip("/")


def test_a_page_goes_with_all_its_files_when_nobody_used_it(build, clock):
    pages = OwnPages(VISIT_SECONDS, clock=clock)
    address, folder = added(pages, build)
    (folder / "vectors").write_bytes(b"patient")
    with TestClient(Router([pages.route(build)])) as client:
        clock.now = VISIT_SECONDS - 1
        assert client.get(f"/{address}cases").status_code == 200
        clock.now = 2 * VISIT_SECONDS - 2
        pages.sweep()
        assert folder.exists()
        clock.now = 2 * VISIT_SECONDS
        pages.sweep()
        assert not folder.parent.exists()
        assert client.get(f"/{address}cases").status_code == 404


def test_a_page_that_is_open_stays(build, clock):
    pages = OwnPages(VISIT_SECONDS, clock=clock)
    address, folder = added(pages, build)
    token = address.strip("/").rpartition("/")[2]

    async def look() -> None:
        scope = {
            "type": "http",
            "path_params": {"token": token},
            "path": "/x",
            "root_path": "",
            "method": "GET",
        }
        scope |= {"app_root_path": "", "headers": [], "query_string": b""}
        sent = asyncio.Event()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_: Any) -> None:
            clock.now = 10 * VISIT_SECONDS  # the answer lasts
            pages.sweep()
            sent.set()

        await pages._answer(build, scope, receive, send)
        assert sent.is_set()

    with ThreadPoolExecutor(1) as thread:  # this one may have the loop of a browser
        thread.submit(asyncio.run, look()).result()
    assert folder.exists()
    clock.now += VISIT_SECONDS + 1
    pages.sweep()
    assert not folder.exists()


def test_what_its_visitor_forgets_is_gone_at_once_also_where_the_host_keeps_collections(
    build, tmp_path, events
):
    kept = OwnPages(VISIT_SECONDS, tmp_path / "kept")
    address, folder = added(kept, build)
    assert folder.parent == tmp_path / "kept"
    with TestClient(Router([kept.route(build)])) as client:
        client.get(f"/{address}cases")
        kept.forget(address)
        kept.forget(address)
        assert client.get(f"/{address}cases").status_code == 404
    assert not folder.exists()
    assert not list((tmp_path / "mermed-own-").iterdir())


def test_a_kept_collection_stays_when_its_page_goes(build, tmp_path, clock):
    pages = OwnPages(VISIT_SECONDS, tmp_path / "kept", clock)
    _, folder = added(pages, build)
    clock.now = VISIT_SECONDS + 1
    pages.sweep()
    assert folder.is_dir()
    assert not list((tmp_path / "mermed-own-").iterdir())


def keep(pages: OwnPages, build: Build, source: Path = BUNDLED_COLLECTION) -> tuple[str, Path]:
    """Keeps a copy of a collection; returns the address of its page and where it is."""
    place = pages.place(pages.room())
    shutil.copytree(source, place.folder)
    return pages.add(build, load_collection(place.folder), place), place.folder


def test_a_kept_collection_is_opened_again_by_its_address_alone(build, events, tmp_path, clock):
    first = OwnPages(VISIT_SECONDS, tmp_path / "kept", clock)
    address, folder = keep(first, build)
    token = own_pages.token_of(address)
    assert token not in str(folder)  # who sees the folders finds no page
    clock.now = VISIT_SECONDS + 1
    first.sweep()
    for pages in (first, OwnPages(VISIT_SECONDS, tmp_path / "kept")):  # the server was started again
        with TestClient(Router([pages.route(build)])) as client:
            name = load_collection(folder).name
            with ThreadPoolExecutor(3) as several:
                found = list(several.map(lambda _: client.get(f"/{address}cases").json()["of"], range(3)))
            assert found == [name] * 3
            assert len(pages._pages) == 1
            assert client.get(f"/own/{folder.name}/cases").status_code == 404
            assert "no such page" in client.get(f"/own/{token[:-1]}/cases").text
        (kept,) = pages.kept(["guessed", token, "../kept"])
        assert (kept.token, kept.name, kept.cases) == (token, name, 420)
        assert kept.changed == date.fromtimestamp((folder / "manifest.json").stat().st_mtime)
    pages.forget(address)
    assert not folder.exists()
    assert pages.kept([token]) == []
    assert first.kept([token]) == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_case_that_is_removed_by_a_command_is_on_the_page_no_more(build, tmp_path, events, kept):
    pages = OwnPages(VISIT_SECONDS, tmp_path / "kept" if kept else None)
    built: list[Any] = []

    def noted(collection: Any) -> FastAPI:
        built.append(collection)
        return build(collection)

    address, folder = keep(pages, noted)
    with TestClient(Router([pages.route(noted)])) as client:
        assert client.get(f"/{address}cases").status_code == 200
        remove_cases(folder, cases=[built[0].cases["case_id"].iloc[0]])
        assert client.get(f"/{address}cases").status_code == 200
        assert len(built[-1]) == 419
        assert client.get(f"/{address}cases").status_code == 200
        assert len(built) == 2
        next(folder.glob("map-*")).write_bytes(b"damaged")
        (folder / "manifest.json").touch()
        assert client.get(f"/{address}cases").status_code == 503
        (folder / "manifest.json").unlink()
        assert client.get(f"/{address}cases").status_code == 404
        assert not pages._pages
        for _ in range(100):  # a page ends in the server's loop
            client.get("/own/guessed/cases")
            if not any(vars(collection) for collection in built):
                break
    assert not any(vars(collection) for collection in built)  # let go of
    assert len([event for event in events if event.endswith("begins")]) == 2


def test_a_kept_collection_that_is_closed_can_be_deleted(build, tmp_path):
    address, folder = keep(OwnPages(VISIT_SECONDS, tmp_path / "kept"), build)
    later = OwnPages(VISIT_SECONDS, tmp_path / "kept")
    later.forget(address)
    assert not folder.exists()
    with TestClient(Router([later.route(build)])) as client:
        assert client.get(f"/{address}cases").status_code == 404


def test_a_kept_collection_that_cannot_be_opened_is_a_sentence_without_its_place(build, tmp_path):
    address, folder = keep(OwnPages(VISIT_SECONDS, tmp_path / "kept"), build)
    later = OwnPages(VISIT_SECONDS, tmp_path / "kept")
    for part in folder.glob("map-*"):
        part.write_bytes(b"damaged")
    with TestClient(Router([later.route(build)])) as client:
        answer = client.get(f"/{address}cases")
    assert answer.status_code == 503
    assert "cannot be opened any more" in answer.text
    assert str(tmp_path) not in answer.text


def test_without_a_place_nothing_is_opened_again(build, tmp_path, clock):
    pages = OwnPages(VISIT_SECONDS, clock=clock)
    address, folder = keep(pages, build)
    assert pages.kept([own_pages.token_of(address)]) == []
    clock.now = VISIT_SECONDS + 1
    pages.sweep()
    assert not folder.exists()
    with TestClient(Router([pages.route(build)])) as client:
        assert "is gone" in client.get(f"/{address}cases").text


def test_there_are_only_so_many_at_a_time(build, monkeypatch):
    monkeypatch.setattr(own_pages, "_MOST", 1)
    pages = OwnPages(VISIT_SECONDS)
    added(pages, build)
    with pytest.raises(CollectionError, match="Too many visitors"):
        added(pages, build)
