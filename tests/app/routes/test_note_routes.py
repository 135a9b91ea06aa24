"""Tags and notes as a browser asks for them: written where the host allows it, seen by map and files."""

import base64
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.components.case_rows import CaseRows
from app.components.map_columns import MISSING, MapColumns
from app.routes.explore_routes import explore_routes
from app.routes.note_routes import note_routes
from app.shared_notes import SharedNotes
from app.static_export import write_static
from mermed_core.collections.annotations import ANNOTATIONS, read_annotations, tag_cases, write_note
from mermed_core.collections.collection import Collection
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_COLLECTION

AT = "/explore-data"


@pytest.fixture
def folder(tmp_path) -> Path:
    return shutil.copytree(BUNDLED_COLLECTION, tmp_path / "mine")


@pytest.fixture(scope="module")
def collection() -> Collection:
    return load_collection(BUNDLED_COLLECTION)


def page(folder: Path, collection: Collection, *, writable: bool = True) -> tuple[TestClient, MapColumns]:
    notes = SharedNotes(folder, writable=writable)
    columns = MapColumns(collection, written=notes.read)
    routes = [*explore_routes(CaseRows(columns)), *note_routes(columns, notes)]
    return TestClient(Starlette(routes=routes)), columns


def bits(*points: int) -> str:
    flags = np.zeros(420, np.uint8)
    flags[list(points)] = 1
    return base64.b64encode(np.packbits(flags, bitorder="little").tobytes()).decode()


def points(content: bytes) -> list[int]:
    return np.flatnonzero(np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")).tolist()


def case_at(columns: MapColumns, point: int) -> str:
    return str(columns.collection.records["case_id"].iat[int(columns.order[point])])


def posted(client: TestClient, name: str, **body: Any) -> Any:
    answer = client.post(f"{AT}/{name}", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def test_a_tag_is_given_found_counted_and_taken_back(folder, collection):
    client, columns = page(folder, collection)
    assert client.get(f"{AT}/notes").json() == {"writable": True, "problem": "", "tags": [], "noted": 0}
    posted(client, "notes/tag", tag="odd", bits=bits(3, 9), on=True)
    changed = posted(client, "notes/tag", tag=" odd ", bits=bits(9, 11), on=True).json()
    assert points(base64.b64decode(changed["changed"])) == [11]
    assert changed["count"] == 1
    assert read_annotations(folder).tags == {
        "odd": frozenset(case_at(columns, point) for point in (3, 9, 11))
    }
    assert client.get(f"{AT}/notes").json()["tags"] == [{"name": "odd", "count": 3}]
    assert points(posted(client, "tagged", tag="odd").content) == [3, 9, 11]
    posted(client, "notes/tag", tag="odd", bits=changed["changed"], on=False)
    assert points(posted(client, "tagged", tag="odd").content) == [3, 9]
    assert points(posted(client, "tagged", tag="nobody's").content) == []


def test_a_note_is_on_its_case_in_the_row_and_found_by_its_words(folder, collection):
    client, columns = page(folder, collection)
    assert posted(client, "notes/note", point=7, text="Looks CROPPED").json() == {"before": ""}
    assert (
        posted(client, "notes/note", point=7, text="Looks cropped twice").json()["before"] == "Looks CROPPED"
    )
    posted(client, "notes/tag", tag="again", bits=bits(7, 8), on=True)
    posted(client, "notes/tag", tag="and again", bits=bits(7), on=True)
    (row,) = posted(client, "records", points=[7]).json()
    assert (row["mm_tags"], row["mm_note"]) == ("again | and again", "Looks cropped twice")
    assert row["case"] == case_at(columns, 7)
    assert points(posted(client, "search", text="CROPPED twice").content) == [7]
    assert points(posted(client, "search", text="again").content) == [7, 8]
    assert points(posted(client, "tagged", tag="").content) == [7]
    order = np.frombuffer(client.get(f"{AT}/order/mm_tags").content, "<u4")
    assert set(order[:2]) == {7, 8}


def test_the_map_is_coloured_by_tags_as_they_are_now_whoever_writes_them(folder, collection):
    _, columns = page(folder, collection)
    assert columns.names[-1] == "tags"
    assert [group.name for group in columns.coloured("tags").groups] == ["no tag"]
    tag_cases(folder, "b", [case_at(columns, 5), case_at(columns, 6)])  # such as by the command
    tag_cases(folder, "a", [case_at(columns, 6)])
    coloured = columns.coloured("tags")
    assert {group.name: group.count for group in coloured.groups} == {"a | b": 1, "b": 1, "no tag": 418}
    codes = np.frombuffer(coloured.codes, np.uint8)
    assert np.flatnonzero(codes != MISSING).tolist() == [5, 6]
    assert columns.coloured("tags") is coloured  # made once until something changes


def test_the_table_to_take_along_has_them(folder, collection):
    client, _ = page(folder, collection)
    posted(client, "notes/tag", tag="odd", bits=bits(3), on=True)
    posted(client, "notes/tag", tag="bad", bits=bits(3), on=True)
    posted(client, "notes/note", point=3, text="=1+1")
    lines = posted(client, "export/table", bits=bits(3)).text.splitlines()
    assert lines[0].endswith(",tags,note")
    assert lines[1].endswith(",bad|odd,'=1+1")


def test_where_the_host_has_not_allowed_it_nothing_is_written(folder, collection):
    tag_cases(folder, "mine", [collection.records["case_id"].iat[0]])
    client, _ = page(folder, collection, writable=False)
    before = (folder / ANNOTATIONS).read_bytes()
    assert client.get(f"{AT}/notes").json()["writable"] is False
    for name, body in (
        ("tag", {"tag": "x", "bits": bits(1), "on": True}),
        ("note", {"point": 1, "text": "x"}),
    ):
        answer = client.post(f"{AT}/notes/{name}", json=body)
        assert answer.status_code == 400
        assert "has not allowed" in answer.text
    assert (folder / ANNOTATIONS).read_bytes() == before
    assert client.get(f"{AT}/notes").json()["tags"] == [{"name": "mine", "count": 1}]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("tag", {"tag": 3, "bits": bits(1), "on": True}),
        ("tag", {"tag": "x", "bits": bits(1), "on": "yes"}),
        ("tag", {"tag": "x", "bits": "AAAA", "on": True}),
        ("tag", {"tag": "x" * 41, "bits": bits(1), "on": True}),
        ("note", {"point": 420, "text": "x"}),
        ("note", {"point": True, "text": "x"}),
        ("note", {"point": 1, "text": None}),
        ("note", {"point": 1, "text": "x" * 2001}),
    ],
)
def test_what_is_no_tag_or_note_is_refused(folder, collection, name, body):
    client, _ = page(folder, collection)
    assert client.post(f"{AT}/notes/{name}", json=body).status_code == 400
    assert not (folder / ANNOTATIONS).exists()


def test_another_site_cannot_write_by_a_form(folder, collection):
    client, _ = page(folder, collection)
    assert client.post(f"{AT}/notes/tag", data={"tag": "x"}).status_code == 415


def test_a_damaged_file_is_said_and_the_map_stays(folder, collection):
    (folder / ANNOTATIONS).write_text("{")
    client, columns = page(folder, collection)
    assert "cannot be read" in client.get(f"{AT}/notes").json()["problem"]
    assert columns.coloured("tags").groups[0].count == 420


def test_an_exported_page_has_tags_and_notes_unless_they_are_left_out(folder, collection, tmp_path):
    case = str(collection.records["case_id"].iat[4])
    tag_cases(folder, "for the paper", [case])
    write_note(folder, case, "the clearest one")
    write_static(tmp_path / "with", collection, read_annotations(folder))
    write_static(tmp_path / "without", collection)
    content = {
        place: "".join(path.read_text() for path in (tmp_path / place / "data").iterdir())
        for place in ("with", "without")
    }
    for trace in ("for the paper", "the clearest one"):
        assert trace in content["with"]
        assert trace not in content["without"]
