"""A second collection in the colours of the first, against the names that its records say."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from app.components.beside_columns import BesideColumns
from app.components.map_columns import MISSING, OTHER, PALETTE, MapColumns
from mermed_core.collections.collection import Collection, Description
from mermed_core.modalities import MODALITIES
from mermed_core.search.faiss_engine import FaissEngine

AGES = 30


def collection_of(
    name: str, numbers: list[int], modality: list[str], site: Sequence[str | None]
) -> Collection:
    random = np.random.default_rng(len(numbers))
    vectors = random.normal(size=(len(numbers), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    records = pd.DataFrame(
        {
            "case_id": [f"c{number}" for number in numbers],
            "modality": modality,
            "labels": [("sick",) if number % 2 else () for number in numbers],
            "source": "here",
            "group": [f"p{number}" for number in numbers],
            "split": "train",
            "site": site,
            "age": [float(number % AGES) for number in numbers],
        }
    )
    engine = FaissEngine.build(vectors)
    return Collection(
        Description(name, "", False, name), records, vectors, vectors[:, :2].copy(), None, engine
    )


@pytest.fixture(scope="module")
def columns() -> BesideColumns:
    """The first has cases 0 to 59, the second 40 to 99: of these 40 to 59 are in both."""
    first = collection_of("one", list(range(60)), ["ct"] * 30 + ["cxr"] * 30, ["north"] * 40 + ["south"] * 20)
    site = ["elsewhere"] * 20 + ["south"] * 10 + ["west"] * 25 + [None] * 5
    second = collection_of("two", list(range(40, 100)), ["cxr"] * 40 + ["oct"] * 20, site)
    return BesideColumns(MapColumns(first), second)


def named(columns: BesideColumns, column: str) -> list[str]:
    """The name of each of the second map's points by its code, in the order of the cases."""
    first = columns.first.coloured(column)
    names = {group.code: group.name for group in (*first.groups, *columns.coloured(column).groups)}
    codes = np.frombuffer(columns.coloured(column).codes, np.uint8)
    return [names[int(codes[point])] for point in np.argsort(columns.own.order)]


def test_every_point_knows_the_same_case_on_the_first_map(columns):
    ids = [columns.first.collection.records["case_id"].iat[row] for row in columns.first.order]
    of_point = [columns.collection.records["case_id"].iat[row] for row in columns.own.order]
    for case_id, number in zip(of_point, columns.points, strict=True):
        assert (ids[number] == case_id) if number < 60 else (case_id not in ids)
    assert sorted(number for number in columns.points if number >= 60) == list(range(60, 100))


def test_two_maps_of_one_name_are_told_apart(columns):
    assert columns.map_names == ("one", "two")
    both = BesideColumns(columns.first, columns.first.collection)
    assert both.map_names == ("one, first map", "one, second map")


def test_names_have_the_colours_of_the_first_map_and_new_ones_their_own(columns):
    expected = [MODALITIES[key].name for key in columns.collection.records["modality"]]
    assert named(columns, "modality") == expected
    (new,) = columns.coloured("modality").groups
    assert (new.name, new.count, new.colour) == (MODALITIES["oct"].name, 20, MODALITIES["oct"].colour)
    # What is on both maps is as on the first, whatever the second one's records say.
    assert named(columns, "site")[:55] == ["south"] * 30 + ["west"] * 25
    west, none = columns.coloured("site").groups
    assert (west.name, west.code, west.colour, west.count) == ("west", 2, PALETTE[2], 25)
    assert (none.code, none.count) == (MISSING, 5)


def test_numbers_lie_on_the_ramp_of_the_first_map(columns):
    codes = np.frombuffer(columns.coloured("age").codes, np.uint8)[np.argsort(columns.own.order)]
    expected = np.arange(40, 100) % AGES / (AGES - 1) * OTHER
    np.testing.assert_allclose(codes, expected, atol=1)
    assert columns.coloured("age").groups == ()
    assert columns.coloured("age").limits == (0, AGES - 1)


def test_the_overlap_is_that_of_both_collections(columns):
    assert columns.overlap.found() is None  # it has begun
    columns.overlap.wait()
    found = columns.overlap.found()
    assert found is not None
    assert found.matched == 20
    assert columns.overlap.found() is found
