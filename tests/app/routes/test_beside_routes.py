"""The addresses of the second map, asked as a browser asks them."""

from dataclasses import replace

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.components.beside_columns import BesideColumns
from app.components.map_columns import MapColumns
from app.routes.beside_routes import beside_routes


@pytest.fixture(scope="module")
def columns(services) -> BesideColumns:
    """The bundled collection beside itself."""
    collection = services.predictor.collection
    return BesideColumns(MapColumns(collection), collection)


@pytest.fixture(scope="module")
def client(columns) -> TestClient:
    return TestClient(Starlette(routes=beside_routes(columns)))


def test_geometry_and_colours_come_as_bytes(client, columns):
    places = client.get("/beside/map-columns/places")
    assert places.content == columns.own.places()
    assert (
        client.get(
            "/beside/map-columns/places", headers={"If-None-Match": places.headers["etag"]}
        ).status_code
        == 304
    )
    points = np.frombuffer(client.get("/beside/map-columns/points").content, "<u4")
    assert points.tolist() == list(range(420))  # both maps are of the same cases, drawn in the same order
    for number, name in enumerate(columns.names[:3]):
        assert client.get(f"/beside/map-columns/{number}").content == columns.first.coloured(name).codes
        assert client.get(f"/beside/explore-data/facts/{number}").json() == {"groups": []}
    for wrong in ("map-columns/99", "explore-data/facts/99", "map-columns/nonsense"):
        assert client.get(f"/beside/{wrong}").status_code == 404


def test_cases_come_as_those_of_the_first_map_do(client, columns):
    record = client.post("/beside/explore-data/records", json={"points": [5]}).json()[0]
    assert record["case"] == columns.collection.records["case_id"].iat[int(columns.own.order[5])]
    assert client.get("/beside/explore-data/picture/any/5").headers["content-type"] == "image/jpeg"


def test_the_overlap_is_said_with_a_bar_for_each_modality(client, columns):
    begun = client.get("/beside/explore-data/overlap")
    assert begun.status_code == 202
    assert set(begun.json()) == {"step", "done", "total", "seconds_left"}
    columns.overlap.wait()
    found = client.get("/beside/explore-data/overlap").json()
    assert "420 cases are on both maps" in found["said"]
    assert found["chance"] == pytest.approx(10 / 419)
    assert [share["name"] for share in found["shares"]][:2] == ["All", "CT"]
    assert len(found["shares"]) == 8
    assert all(share["mean"] == 1 and share["ends"] == [1, 1] for share in found["shares"])
    assert found["shares"][1]["words"] == "100% (100 to 100), 60 cases"


def test_the_overlap_says_of_how_many_cases_the_model_told_the_modality(client, columns, monkeypatch):
    columns.overlap.found()
    columns.overlap.wait()
    whole = columns.overlap.found()
    said = client.get("/beside/explore-data/overlap").json()["said"]
    monkeypatch.setattr(columns.overlap, "found", lambda: replace(whole, told=1234))
    told = client.get("/beside/explore-data/overlap").json()["said"]
    assert told.removeprefix(said) == (
        " The modality of 1,234 of these cases is the model's own answer and stated by nobody."
    )


def test_two_collections_that_share_nothing_are_a_sentence(services, monkeypatch):
    collection = services.predictor.collection
    columns = BesideColumns(MapColumns(collection), collection)
    monkeypatch.setattr("mermed_core.collections.overlap.match_cases", lambda *_: np.empty((0, 2), int))
    client = TestClient(Starlette(routes=beside_routes(columns)))
    assert client.get("/beside/explore-data/overlap").status_code == 202
    columns.overlap.wait()
    answer = client.get("/beside/explore-data/overlap")
    assert answer.status_code == 400
    assert "share 0 of their cases" in answer.text
