"""What Gradio holds of a visit goes with the visit."""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import gradio as gr
import pytest
from gradio.state_holder import StateHolder
from starlette.testclient import TestClient

from app.services import VISIT_SECONDS, Services
from app.ui import build_app
from app.visits import CLOSED_SECONDS, Visits


class Held:
    """A value that a reference can be kept to."""


class Site:
    """A page with one state, its visits, and a clock that a test sets.

    Attributes:
        ended: the values that the state wanted to be told of.
    """

    def __init__(self) -> None:
        self.ended: list[object] = []
        with gr.Blocks() as self.page:
            self.state = gr.State(None, delete_callback=self.ended.append)
        self.holder = StateHolder()
        self.holder.set_blocks(self.page)
        self.now = datetime(2026, 1, 1)
        self.visits = Visits(self.page, lambda: self.now)

    def uses(self, visit: str, value: object = None) -> None:
        held = self.holder[visit]
        if value is not None:
            held[self.state._id] = value
        self.holder.time_last_used[visit] = self.now

    def closes(self, visit: str) -> None:
        self.holder.session_data[visit].is_closed = True
        self.visits.sweep()

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.visits.sweep()


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_closed_page_is_forgotten_soon_and_an_open_one_is_not(site):
    value = Held()
    gone = weakref.ref(value)
    site.uses("closed", value)
    site.uses("open", Held())
    site.closes("closed")
    site.passes(CLOSED_SECONDS - 1)
    assert "closed" in site.holder
    site.passes(1)
    assert set(site.holder.session_data) == set(site.holder.time_last_used) == {"open"}
    assert site.ended == [value]
    site.ended.clear()
    del value
    gc.collect()
    assert gone() is None


def test_a_page_that_nobody_uses_is_forgotten_although_it_is_open(site):
    site.uses("a")
    site.passes(VISIT_SECONDS - 1)
    site.uses("a")
    site.passes(VISIT_SECONDS - 1)
    assert "a" in site.holder
    site.passes(1)
    assert "a" not in site.holder


def test_who_goes_on_after_a_lost_connection_keeps_the_visit(site):
    site.uses("a")
    site.closes("a")
    site.passes(CLOSED_SECONDS - 1)
    site.uses("a")
    site.passes(CLOSED_SECONDS + 1)
    assert "a" in site.holder
    site.closes("a")  # and is not closed for ever: a second loss counts from its own time
    site.passes(CLOSED_SECONDS)
    assert "a" not in site.holder


def test_all_are_forgotten_when_the_page_is_served_no_longer(site):
    async def serve() -> None:
        async with site.visits.watched():
            site.uses("a", "its value")

    with ThreadPoolExecutor(1) as thread:  # this one may have the loop of a browser
        thread.submit(asyncio.run, serve()).result()
    assert "a" not in site.holder
    assert site.ended == ["its value"]


@pytest.fixture
def closed_page(services) -> Callable[[], "weakref.ref[gr.Blocks]"]:
    def make() -> "weakref.ref[gr.Blocks]":
        page = build_app(Services(services.predictor, own=False))
        with TestClient(page.mounted()) as client:
            assert client.get("/config").status_code == 200
        return weakref.ref(page)

    return make


def test_nothing_holds_a_page_that_is_served_no_longer(closed_page):
    """Fails if an upgrade of Gradio or FastAPI remembers pages in another place."""
    page = closed_page()
    # On a busy machine threads that are ending hold it for a moment, and what has a finaliser goes with the
    # collection after that.
    for _ in range(100):
        gc.collect()
        if page() is None:
            break
        time.sleep(0.1)
    assert page() is None
