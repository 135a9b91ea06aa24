"""The checks in the background: their state, their end, cancelling, and what their addresses send."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app import check_job
from app.check_job import CheckJob
from app.components.map_columns import MapColumns
from app.routes.check_routes import check_routes
from mermed_core.collections.quality.findings import CheckResult, Suspect

AT = "/explore-data/checks"


@pytest.fixture
def collection(services):
    return services.predictor.collection


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, collection) -> threading.Event:
    """Checks of two results; the second is not made before the event is set."""
    go_on = threading.Event()
    first, second = collection.records["case_id"][:2]

    def checks(_: object, *, watch: CheckJob) -> Iterator[CheckResult]:
        watch.begin("nearest cases", 10)
        watch.advance(4)
        yield CheckResult("labels", "Doubtful labels", "m", "a", (Suspect(0.5, "odd", (first, second)),))
        assert go_on.wait(20)
        watch.begin("outliers", 0)
        yield CheckResult("outliers", "Outliers", "m", "a")

    monkeypatch.setattr(check_job, "check_collection", checks)
    return go_on


def test_the_state_tells_how_far_the_checks_are_and_they_run_once(collection, steps):
    job = CheckJob(collection)
    assert not job.state()["running"]
    job.start()
    while not job.state()["checks"]:
        pass
    state = job.state()
    assert (state["running"], state["step"], state["done"], state["total"]) == (True, "nearest cases", 4, 10)
    job.start()  # nothing: they run
    steps.set()
    job.wait()
    state = job.state()
    assert state["complete"]
    assert not state["running"]
    assert [check["name"] for check in state["checks"]] == ["labels", "outliers"]
    assert state["checks"][0]["flagged"] == 1
    before = job.result("labels")
    job.start()  # nothing: they are done
    assert job.result("labels") is before


def test_cancelled_checks_keep_what_they_found_and_can_be_started_again(collection, steps):
    job = CheckJob(collection)
    job.start()
    while not job.state()["checks"]:
        pass
    job.cancel()
    steps.set()
    job.wait()
    state = job.state()
    assert not state["complete"]
    assert [check["name"] for check in state["checks"]] == ["labels"]
    job.start()
    job.wait()
    assert job.state()["complete"]


def test_checks_that_fail_say_so(collection, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(check_job, "check_collection", fails)
    job = CheckJob(collection)
    job.start()
    job.wait()
    assert job.state()["failed"] == "MemoryError"


def test_findings_come_with_their_points_on_the_map(collection, steps):
    columns, job = MapColumns(collection), CheckJob(collection)
    client = TestClient(Starlette(routes=check_routes(columns, job)))
    assert client.get(f"{AT}/found/labels").status_code == 404
    steps.set()
    client.post(f"{AT}/start", json={})
    job.wait()
    assert client.get(AT).json()["complete"]
    found = client.get(f"{AT}/found/labels").json()
    assert columns.order[found["suspects"][0]["points"]].tolist() == [0, 1]
    assert found["measure"] == "m"
    client.post(f"{AT}/cancel", json={})
    assert np.isscalar(found["suspects"][0]["score"])
