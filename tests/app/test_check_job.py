"""Checks and measures in the background: their state and end, cancelling, and what their addresses send."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app import check_job
from app.check_job import CheckJob
from app.components.case_rows import CaseRows
from app.components.collection_map import map_value
from app.components.map_columns import MapColumns
from app.routes.check_routes import check_routes, findings
from app.routes.columns_route import columns_route
from app.routes.explore_routes import explore_routes
from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.quality.case_measures import OUTLIER
from mermed_core.collections.quality.findings import CheckResult, Suspect
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.languages.say import speaking
from mermed_core.search.faiss_engine import FaissEngine

AT = "/explore-data/checks"


@pytest.fixture
def collection(services):
    return services.predictor.collection


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, collection) -> threading.Event:
    """Checks of two results; the second is not made before the event is set."""
    go_on = threading.Event()
    first, second = collection.records["case_id"][:2]

    def checks(_: object, *, neighbours: object, watch: CheckJob) -> Iterator[CheckResult]:
        assert neighbours is not None
        watch.begin("pictures", 10)
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
    assert (state["running"], state["step"], state["done"], state["total"]) == (True, "pictures", 4, 10)
    with speaking("de"):
        assert job.state()["step"] == "Bilder"
        assert job.state()["checks"][0]["title"] == "Zweifelhafte Labels"
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


@pytest.fixture
def dated() -> Collection:
    """Cases of one modality, the later half of which differs, with a column whose name holds a slash."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(70, 8)).astype(np.float32)
    vectors[35:, 0] += 4
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"c{row}" for row in range(70)]
    records = pd.DataFrame(
        {"case_id": names, "modality": "ct", "source": "here", "group": names, "split": ""}
    )
    records["labels"] = [[] for _ in names]
    records["acquired"] = pd.date_range("2020-01-01", periods=70).strftime("%Y-%m-%d")
    records["site/scanner"] = np.where(random.permutation(70) < 35, "north", "south")
    description = Description("", "", False, "")
    return Collection(description, records, vectors, vectors[:, :2].copy(), None, FaissEngine.build(vectors))


def test_drift_between_dates_is_looked_for_alone_and_stays_beside_the_checks(collection, steps, dated):
    job = CheckJob(dated)
    assert job.drift_columns == ("acquired", "site/scanner")
    client = TestClient(Starlette(routes=check_routes(MapColumns(dated), job)))
    assert client.post(f"{AT}/compare", json={"column": "label"}).status_code == 404
    for column in job.drift_columns:
        assert client.post(f"{AT}/compare", json={"column": column}).status_code == 200
    job.wait()
    state = client.get(AT).json()
    assert not state["running"]
    assert not state["complete"]
    assert [check["name"] for check in state["checks"]] == ["drift-acquired", "drift-site/scanner"]
    assert [check["flagged"] for check in state["checks"]] == [1, 0]
    found = client.get(f"{AT}/found/drift-site%2Fscanner").json()
    assert found["title"] == "Drift by site/scanner"
    (suspect,) = client.get(f"{AT}/found/drift-acquired").json()["suspects"]
    assert suspect["reason"].startswith("CT images by acquired, until 2020-02-04 and after 2020-02-04: ")
    assert len(suspect["points"]) == 10
    before = job.result("drift-acquired")
    job.compare("acquired")  # nothing: it is done
    steps.set()
    job.start()
    job.wait()
    assert job.result("drift-acquired") is before
    assert [check["name"] for check in job.state()["checks"]][:1] == ["labels"]
    with speaking("de"):
        german = findings(MapColumns(dated), before)
    assert german["title"] == "Drift nach acquired"
    assert german["suspects"][0]["reason"].startswith(
        "Bilder (CT) nach acquired, bis 2020-02-04 und nach 2020-02-04"
    )


def test_a_comparison_that_is_cancelled_leaves_nothing(dated, monkeypatch):
    job = CheckJob(dated)

    def cancelled(*_: object, watch: CheckJob, **__: object) -> None:
        job.cancel()
        watch.begin("drift", 3)

    monkeypatch.setattr(check_job, "check_drift", cancelled)
    job.compare("acquired")
    job.wait()
    state = job.state()
    assert not state["running"]
    assert not state["failed"]
    assert not state["checks"]


@dataclass
class Searches:
    """Searches for neighbours: how many were begun, and what lets them go on."""

    begun: threading.Semaphore
    go_on: threading.Event
    count: int = 0

    def finish(self, job: CheckJob) -> None:
        """Lets a search that has begun go on, and returns when nothing is being made."""
        assert self.begun.acquire(timeout=20)
        self.go_on.set()
        job.wait()


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Searches:
    found, search = Searches(threading.Semaphore(0), threading.Event()), Neighbourhood.of

    def of(collection: Any, *, watch: CheckJob) -> Neighbourhood:
        found.count += 1
        found.begun.release()
        assert found.go_on.wait(20)
        watch.advance(1)  # stops here where nobody waits any more
        return search(collection, watch=watch)

    monkeypatch.setattr(check_job.Neighbourhood, "of", of)
    return found


def test_measures_are_made_once_for_all_who_ask_and_the_checks_use_the_same_neighbours(
    collection, steps, searches
):
    job = CheckJob(collection)
    assert job.measures() is None
    job.measure()
    job.measure()
    assert job.state()["busy"]
    assert not job.state()["running"]  # the checks do not
    searches.finish(job)
    measures = job.measures()
    assert measures is not None
    assert len(measures.prediction) == len(collection)
    steps.set()
    job.start()
    job.wait()
    assert job.state()["complete"]
    job.measure()
    assert job.measures() is measures
    assert searches.count == 1


def test_checks_that_are_started_while_cases_are_measured_come_after_that(collection, steps, searches):
    job = CheckJob(collection)
    steps.set()
    job.measure()
    job.start()
    searches.finish(job)
    assert job.measures() is not None
    assert job.state()["complete"]
    assert searches.count == 1


def test_cancelled_checks_do_not_take_the_measures_from_who_waits_for_them(collection, steps, searches):
    job = CheckJob(collection)
    job.measure()
    job.start()
    job.cancel()
    searches.finish(job)
    assert job.measures() is not None
    assert not job.state()["complete"]


def test_nothing_is_measured_when_nobody_waits_any_more(collection, monkeypatch, searches):
    job = CheckJob(collection)
    job.measure()
    assert searches.begun.acquire(timeout=20)
    monkeypatch.setattr(check_job, "_PATIENCE", -1.0)
    searches.go_on.set()
    job.wait()
    assert job.measures() is None
    assert not job.state()["busy"]
    monkeypatch.setattr(check_job, "_PATIENCE", 100.0)
    job.measure()
    job.wait()
    assert job.measures() is not None


def test_a_column_of_measures_says_how_far_it_is_until_it_is_there(collection, searches):
    job = CheckJob(collection)
    columns = MapColumns(collection, None, job.measures)
    number = columns.names.index(OUTLIER)
    routes = [columns_route(columns, job.state), *explore_routes(CaseRows(columns), job.state)]
    client = TestClient(Starlette(routes=[*routes, *check_routes(columns, job)]))
    value = map_value(columns, OUTLIER, None)
    assert value["pending"]
    assert "quartile" in value["about"]
    for path in (f"map-columns/{number}", f"explore-data/facts/{number}"):
        assert client.get(path).status_code == 202
        assert not client.get(path).json()["busy"]  # asking alone starts nothing
    assert client.post("explore-data/measure", json={}).json()["busy"]
    searches.finish(job)
    codes = np.frombuffer(client.get(f"map-columns/{number}").content, np.uint8)
    facts = client.get(f"explore-data/facts/{number}").json()
    assert len(codes) == len(collection)
    assert "pending" not in facts
    measures = job.measures()
    assert measures is not None
    low, high = facts["limits"]
    shown = low + codes / 254 * (high - low)
    np.testing.assert_allclose(shown, measures.outlier[columns.order], atol=(high - low) / 500)


def test_checks_that_fail_say_so(collection, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(check_job, "check_collection", fails)
    job = CheckJob(collection)
    job.start()
    job.wait()
    assert job.state()["failed"] == "MemoryError"
    assert not job.state()["running"]


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
