"""Clusters on the map: their columns and names, and outlines against the cases that they are drawn around."""

import numpy as np
import pandas as pd
import pytest
from skimage.measure import points_in_poly

from app.components.map_clusters import SPAN, MapClusters
from app.components.map_columns import MapColumns
from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.map_file import MapData
from mermed_core.collections.sources import SourceFacts
from mermed_core.search.faiss_engine import FaissEngine

EACH = 200
CENTRES = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 8.0], [0.0, 8.0]])


@pytest.fixture
def collection() -> Collection:
    generator = np.random.default_rng(0)
    fine = np.repeat(np.arange(4), EACH)
    places = CENTRES[fine] + generator.normal(size=(4 * EACH, 2))
    records = pd.DataFrame(
        {
            "case_id": [str(row) for row in range(4 * EACH)],
            "modality": np.where(fine < 2, "dermatology", "oct"),
            "labels": [(["nv", "mel", "normal", "dme"][kind],) for kind in fine],
            "source": "here",
            "group": "",
            "split": "",
        }
    )
    vectors = generator.normal(size=(4 * EACH, 4)).astype(np.float32)
    columns = {"clusters_1": (fine >= 2).astype(np.int16), "clusters_2": fine.astype(np.int16)}
    placed = np.arange(4 * EACH) % 100 == 99
    drawn = MapData(places.astype(np.float32), placed, columns)
    facts = {"here": SourceFacts(title="Ward 7", names={"nv": "melanocytic naevus"})}
    about = Description("", "", False, "", facts)
    return Collection(about, records, vectors, drawn, None, FaissEngine.build(vectors))


def test_the_map_can_be_coloured_by_each_level_and_by_what_came_later(collection):
    columns = MapColumns(collection)
    assert columns.names[3:6] == ("clusters, coarse", "clusters, fine", "place on the map")
    fine = columns.coloured("clusters, fine")
    assert {group.name for group in fine.groups} == {"Melanocytic naevus", "Mel", "Normal", "Dme"}
    codes = np.frombuffer(fine.codes, np.uint8)
    for group in fine.groups:
        labels = collection.records["labels"].iloc[columns.order[codes == group.code]]
        assert len({labels[0] for labels in labels}) == 1
        assert group.count == EACH
    later = columns.coloured("place on the map").groups
    assert [group.count for group in later] == [4 * EACH - 8, 8]


def test_names_stand_where_the_cases_are_and_outlines_hold_most_of_them(collection):
    columns = MapColumns(collection)
    coarse, fine = columns.cluster_marks()
    assert len(coarse) == 2
    places = np.frombuffer(columns.places(), "<u2").reshape(-1, 2)
    member = collection.map.columns["clusters_2"][columns.order]
    for number, mark in enumerate(fine):
        own = places[member == number]
        assert np.abs(np.array(mark["at"]) - own.mean(axis=0)).max() < 0.06 * SPAN
        inside = np.zeros(len(places), bool)
        for line in mark["outlines"]:  # pyright: ignore[reportGeneralTypeIssues]
            inside |= points_in_poly(places, np.array(line).reshape(-1, 2))
        assert inside[member == number].mean() > 0.75
        assert inside[member != number].mean() < 0.02


def test_a_map_without_clusters_has_none(collection):
    bare = MapData.computed(collection.coordinates)
    same = Collection(
        Description("", "", False, ""), collection.records, collection.vectors, bare, None, collection.engine
    )
    assert MapClusters(same).columns == ()
    assert MapColumns(same).cluster_marks() == []
    assert MapColumns(same).names == ("modality", "label", "source")
