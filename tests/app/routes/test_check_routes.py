"""What the page is sent of the checks: in the reader's words, with the places of the cases on the map."""

import pytest

from app.components.map_columns import MapColumns
from app.routes.check_routes import findings
from mermed_core.collections.quality.check import check_collection
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.languages.say import speaking


@pytest.fixture(scope="module")
def columns() -> MapColumns:
    return MapColumns(load_collection(BUNDLED_COLLECTION))


@pytest.fixture(scope="module")
def results(columns: MapColumns):
    return list(check_collection(columns.collection, ("labels", "outliers", "modalities")))


def test_findings_know_where_their_cases_are_on_the_map(columns, results):
    for result in results:
        for suspect in findings(columns, result)["suspects"]:
            ids = columns.collection.records["case_id"].to_numpy()[columns.order[suspect["points"]]]
            assert list(ids) == suspect["cases"]


def test_findings_are_in_the_readers_words(columns, results):
    for result in results:
        english = findings(columns, result)
        with speaking("de"):
            german = findings(columns, result)
        assert english["title"] == result.title
        for name in ("title", "measure", "accuracy"):
            assert german[name] != english[name]
        for one, other in zip(german["suspects"], english["suspects"], strict=True):
            assert one["reason"] != other["reason"]
            assert one["cases"] == other["cases"]


def test_a_finding_is_known_by_one_key_in_every_language(columns, results):
    for result in results:
        keys = [suspect["key"] for suspect in findings(columns, result)["suspects"]]
        with speaking("de"):
            assert [suspect["key"] for suspect in findings(columns, result)["suspects"]] == keys
        assert len(set(keys)) == len(keys)
