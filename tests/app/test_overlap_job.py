"""The comparison of two collections in the background: how far it is, and when it ends."""

import threading
from collections.abc import Callable

import pytest

from app import overlap_job
from app.overlap_job import OverlapJob
from mermed_core.errors import CollectionError

Compared = Callable[[OverlapJob], object]


@pytest.fixture
def job(services) -> OverlapJob:
    collection = services.predictor.collection
    return OverlapJob(collection, collection)


def compares(monkeypatch: pytest.MonkeyPatch, work: Compared) -> None:
    monkeypatch.setattr(overlap_job, "neighbourhood_overlap", lambda *_, watch: work(watch))


def test_it_is_computed_once_and_tells_how_far_it_is(job, monkeypatch):
    half, go_on, times = threading.Event(), threading.Event(), []

    def work(watch: OverlapJob) -> object:
        times.append(1)
        watch.begin("neighbours", 10)
        watch.advance(5)
        half.set()
        assert go_on.wait(20)
        return "found"

    compares(monkeypatch, work)
    assert job.found() is None
    assert half.wait(20)
    assert job.found() is None  # another visitor
    state = job.state()
    assert (state["step"], state["done"], state["total"]) == ("neighbours", 5, 10)
    assert state["seconds_left"] is not None
    go_on.set()
    job.wait()
    assert (job.found(), job.found(), times) == ("found", "found", [1])


def test_it_stops_where_nobody_waits_and_begins_again(job, monkeypatch):
    reached = []

    def work(watch: OverlapJob) -> object:
        watch.begin("neighbours", 2)
        watch.advance(1)
        reached.append(1)
        return "found"

    compares(monkeypatch, work)
    monkeypatch.setattr(overlap_job, "_PATIENCE", -1.0)  # nobody asks again
    job.found()
    job.wait()
    assert not reached
    monkeypatch.setattr(overlap_job, "_PATIENCE", 60.0)
    job.found()
    job.wait()
    assert job.found() == "found"


def test_what_cannot_be_compared_is_said(job, monkeypatch):
    def refuse(_: OverlapJob) -> object:
        raise CollectionError("too few")

    compares(monkeypatch, refuse)
    job.found()
    job.wait()
    with pytest.raises(CollectionError, match="too few"):
        job.found()


def test_an_unexpected_error_has_a_number_and_it_may_be_tried_again(job, monkeypatch):
    def fail(_: OverlapJob) -> object:
        raise MemoryError

    compares(monkeypatch, fail)
    job.found()
    job.wait()
    with pytest.raises(CollectionError, match=r"[0-9a-f]{8}"):
        job.found()
    compares(monkeypatch, lambda _: "found")
    job.found()
    job.wait()
    assert job.found() == "found"
