"""The addresses of the map's views, asked as a browser asks them."""

import base64
import io
import zipfile
from types import SimpleNamespace
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.components.case_rows import CaseRows
from app.components.map_columns import MapColumns
from app.routes.explore_routes import explore_routes
from app.selection_files import manifest_file, pictures_file
from mermed_core.data.sources.csv_table import read_csv
from mermed_core.errors import CollectionError

AT = "/explore-data"


@pytest.fixture(scope="module")
def rows(services) -> CaseRows:
    return CaseRows(MapColumns(services.predictor.collection))


@pytest.fixture(scope="module")
def client(rows) -> TestClient:
    return TestClient(Starlette(routes=explore_routes(rows)))


def test_the_picture_of_a_point_is_its_cases_and_may_be_kept(client, rows):
    answer = client.get(f"{AT}/picture/any/7")
    collection = rows.columns.collection
    case = collection.records["case_id"].iat[int(rows.columns.order[7])]
    assert answer.content == collection.thumbnail(case)
    assert Image.open(io.BytesIO(answer.content)).format == "JPEG"
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "path", ["picture/any/420", "picture/any/-1", "facts/77", "order/nonsense", "nonsense"]
)
def test_what_is_not_there_is_not_found(client, path):
    assert client.get(f"{AT}/{path}").status_code == 404


def test_an_order_is_sent_once(client, rows):
    answer = client.get(f"{AT}/order/label")
    assert np.frombuffer(answer.content, "<u4").tolist() == rows.order("label").tolist()
    again = client.get(f"{AT}/order/label", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_the_facts_of_a_column_are_its_groups(client):
    groups = client.get(f"{AT}/facts/0").json()["groups"]
    assert sum(group["count"] for group in groups) == 420


def test_records_come_by_point_and_a_search_as_bits(client, rows):
    assert client.post(f"{AT}/records", json={"points": [2, 9]}).json() == rows.rows([2, 9])
    bits = client.post(f"{AT}/search", json={"text": "phantom_ct"}).content
    found = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[:420]
    assert found.astype(bool).tolist() == rows.search("phantom_ct").tolist()
    assert found.sum() == 60


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("records", {"points": "all"}),
        ("records", {"points": list(range(2001))}),
        ("records", {}),
        ("records", []),
        ("search", {"text": "a" * 201}),
        ("search", {"text": 3}),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(client, path, body):
    assert client.post(f"{AT}/{path}", json=body).status_code == 400


def test_a_form_of_another_site_cannot_ask(client):
    assert client.post(f"{AT}/search", content=b'{"text": ""}').status_code == 415
    headers = {"Content-Type": "application/json"}
    assert client.post(f"{AT}/search", content=b"{", headers=headers).status_code == 400
    long = b'{"text": "' + b"a" * 2**23 + b'"}'
    assert client.post(f"{AT}/search", content=long, headers=headers).status_code == 413


def bits(rows: CaseRows, positions: list[int]) -> str:
    flags = np.isin(rows.columns.order, positions)
    return base64.b64encode(np.packbits(flags, bitorder="little").tobytes()).decode()


def test_a_selection_is_taken_along_as_a_table_and_as_pictures(client, rows):
    collection, body = rows.columns.collection, {"bits": bits(rows, [4, 70])}
    ids = list(collection.records["case_id"].iloc[[4, 70]])
    table = client.post(f"{AT}/export/table", json=body)
    assert [line.split(",")[0] for line in table.text.splitlines()] == ["case", *ids]
    assert 'filename="cases.csv"' in table.headers["content-disposition"]
    archive = zipfile.ZipFile(io.BytesIO(client.post(f"{AT}/export/pictures", json=body).content))
    first, second, listed = archive.namelist()
    assert archive.read(first) == collection.thumbnail(ids[0])
    assert archive.read(second) == collection.thumbnail(ids[1])
    assert listed == "cases.csv"


def test_a_manifest_needs_the_names_of_files_and_then_is_read_back(client, rows, tmp_path):
    refused = client.post(f"{AT}/export/manifest", json={"bits": bits(rows, [4])})
    assert refused.status_code == 400
    assert "--keep file" in refused.text
    records = rows.columns.collection.records.assign(file=[f"{i}.png" for i in range(420)])
    collection: Any = SimpleNamespace(records=records)
    (tmp_path / "manifest.csv").write_bytes(manifest_file(collection, np.array([4, 70])).content)
    manifest = read_csv(tmp_path / "manifest.csv").frame
    assert list(manifest["case_id"]) == list(collection.records["case_id"].iloc[[4, 70]])
    assert [list(names) for names in manifest["labels"]] == [
        list(names) for names in collection.records["labels"].iloc[[4, 70]]
    ]
    assert manifest["path"].iloc[1] == str(tmp_path / "70.png")


def test_bits_of_another_collection_are_refused_with_a_sentence(client):
    answer = client.post(f"{AT}/export/table", json={"bits": "AA=="})
    assert answer.status_code == 400
    assert "another collection" in answer.text


def test_a_refusal_reaches_the_reader_through_the_page_itself(address):
    """The served page answers errors that are raised with JSON, of which its script reads no sentence."""
    answer = httpx2.post(f"{address}{AT}/export/table", json={"bits": "AA=="})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert answer.text.startswith("The selection is of another collection")


def test_too_many_pictures_are_refused(rows, monkeypatch):
    monkeypatch.setattr("app.selection_files.MOST_PICTURES", 3)
    with pytest.raises(CollectionError, match="at most 3 pictures"):
        pictures_file(rows.columns.collection, np.arange(4))
