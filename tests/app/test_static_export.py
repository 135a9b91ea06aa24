"""The exported page as files: everything that its script asks for is there, and nothing that must not be."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import static_export
from app.components.case_rows import CaseRows
from app.components.map_columns import MapColumns
from app.static_export import write_static
from mermed_core.collections.quality.case_measures import PREDICTION, measure_cases
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.errors import OccupiedError


@pytest.fixture(scope="module")
def folder(services, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "page"
    write_static(folder, services.predictor.collection)
    return folder


def data(folder: Path, name: str) -> Any:
    written = (folder / "data" / f"{name}.js").read_text()
    found = re.fullmatch(r'mermedData\("(\w+)",(.*)\);\n', written, re.DOTALL)
    assert found
    assert found[1] == name
    return json.loads(found[2])


def test_records_columns_and_orders_are_those_of_the_page(folder, services):
    collection = services.predictor.collection
    measures = measure_cases(collection, Neighbourhood.of(collection))
    columns = MapColumns(collection, None, lambda: measures)
    rows = CaseRows(columns)
    props = data(folder, "props")
    assert PREDICTION in columns.names
    assert [each["name"] for each in props["names"]] == list(columns.names)
    assert data(folder, "records_0") == rows.rows(list(range(420)))
    for number, name in enumerate(columns.names):
        assert base64.b64decode(data(folder, f"column_{number}")) == columns.coloured(name).codes
    for number, name in enumerate(rows.titles):
        order = np.frombuffer(base64.b64decode(data(folder, f"order_{number}")), "<u4")
        assert order.tolist() == rows.order(name).tolist()
    assert base64.b64decode(data(folder, "places")) == columns.places()


def test_the_nearest_cases_of_each_case_are_those_of_other_patients(folder, services, tmp_path, monkeypatch):
    collection = services.predictor.collection
    near, order = Neighbourhood.of(collection), MapColumns(collection).order
    assert data(folder, "props")["nearest"] == 8
    points = np.frombuffer(base64.b64decode(data(folder, "nearest")), "<u4").reshape(420, 8)
    for point in (0, 17, 419):
        row = order[point]
        others = near.positions[row][near.patients[near.positions[row]] != near.patients[row]]
        assert order[points[point]].tolist() == others[:8].tolist()
    monkeypatch.setattr(static_export, "_MOST_WITH_NEAREST", 419)
    write_static(tmp_path / "many", collection)
    assert data(tmp_path / "many", "props")["nearest"] == 0
    assert not (tmp_path / "many" / "data" / "nearest.js").exists()


def test_each_picture_lies_under_the_number_of_its_point(folder, services):
    collection = services.predictor.collection
    order = MapColumns(collection).order
    for point in (0, 17, 419):
        case = collection.records["case_id"].iat[int(order[point])]
        assert (folder / "pictures" / "0" / f"{point}.jpg").read_bytes() == collection.thumbnail(case)
    assert len(list((folder / "pictures" / "0").iterdir())) == 420


def test_the_page_loads_nothing_from_elsewhere(folder):
    page = (folder / "index.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {"style.css", "explorer.js"} <= set(sources)
    assert not [source for source in sources if source.startswith("http") and "<a href" not in page]
    assert 'data-panel="checks"' not in page  # what needs a server is not offered


def test_the_place_of_something_else_is_not_taken(services, tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(OccupiedError):
        write_static(tmp_path, services.predictor.collection)
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_every_colour_of_the_style_is_stated_in_it(folder):
    """The page's theme is not there: what it gives the served map, the export has to state itself."""
    style = (folder / "style.css").read_text()
    by_script = set(re.findall(r'setProperty\("(--[\w-]+)"', (folder / "explorer.js").read_text()))
    in_page = set(re.findall(r"(--[\w-]+):", style + (folder / "index.html").read_text()))
    assert set(re.findall(r"var\((--[\w-]+)\)", style)) <= in_page | by_script
