"""The columns of the map as bytes: places, codes and legend, against the records they come from."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from app.components.collection_map import map_value
from app.components.map_columns import MISSING, OTHER, PALETTE, MapColumns
from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.quality.case_measures import (
    AGREEMENT,
    CONFIDENCE,
    ERROR,
    OUTLIER,
    PREDICTION,
    CaseMeasures,
)
from mermed_core.collections.sources import SourceFacts
from mermed_core.records import MapPoint
from mermed_core.search.faiss_engine import FaissEngine

NASTY = '<img src=x onerror="alert(1)">'


def collection_of(count: int, **columns: object) -> Collection:
    generator = np.random.default_rng(3)
    records = pd.DataFrame(
        {
            "case_id": [f"case {i}" for i in range(count)],
            "modality": ["oct" if i % 3 else "ct" for i in range(count)],
            "labels": [("nv",) if i % 2 else () for i in range(count)],
            "source": ["here"] * count,
            "group": [f"patient {i}" for i in range(count)],
            "split": [""] * count,
            **columns,
        }
    )
    facts = {"here": SourceFacts(title="Ward 7", names={"nv": "melanocytic naevus"})}
    vectors = np.eye(count, dtype=np.float32)
    places = generator.normal(size=(count, 2)).astype(np.float32)
    description = Description("", "", False, "", facts)
    return Collection(description, records, vectors, places, None, FaissEngine.build(vectors))


def codes_by_case(columns: MapColumns, name: str) -> np.ndarray:
    codes = np.empty(len(columns.order), np.uint8)
    codes[columns.order] = np.frombuffer(columns.coloured(name).codes, np.uint8)
    return codes


def test_places_fill_both_axes_and_stay_within_half_a_step():
    columns = MapColumns(collection_of(40))
    places = np.frombuffer(columns.places(), "<u2").reshape(-1, 2)
    assert places.min(0).tolist() == [0, 0]
    assert places.max(0).tolist() == [65_535, 65_535]
    x, y, across, up = columns.bounds
    back = places / 65_535 * (across, up) + (x, y)
    wanted = columns.collection.coordinates[columns.order]
    assert np.abs(back - wanted).max() <= 0.51 * max(across, up) / 65_535 + 1e-6


def test_a_million_points_take_four_megabytes_and_one_a_colouring():
    columns = MapColumns(collection_of(40))
    assert len(columns.places()) == 4 * 40
    assert len(columns.coloured("label").codes) == 40


def test_points_in_one_place_do_not_divide_by_nothing():
    collection = collection_of(3)
    collection.coordinates[:] = 5
    assert set(MapColumns(collection).places()) == {0}


def test_the_order_is_shuffled_the_same_for_every_column_and_every_start():
    collection = collection_of(200)
    first, second = MapColumns(collection), MapColumns(collection)
    assert sorted(first.order) == list(range(200))
    assert list(first.order) != list(range(200))
    assert first.places() == second.places()
    # Drawn in the order of the records, a class would lie over the one before it.
    codes = np.frombuffer(first.coloured("modality").codes, np.uint8)
    assert 0.2 < codes[:100].mean() < 0.47


def test_a_code_says_what_the_records_say_and_missing_ones_are_grey():
    columns = MapColumns(collection_of(30))
    codes = codes_by_case(columns, "label")
    assert codes.tolist() == [0 if i % 2 else MISSING for i in range(30)]
    named, missing = columns.coloured("label").groups
    assert (named.name, named.count, named.colour) == ("Melanocytic naevus", 15, PALETTE[0])
    assert (missing.name, missing.code, missing.count, missing.colour) == ("Unlabelled", MISSING, 15, "")


def test_modalities_keep_their_colours_and_sources_their_titles():
    columns = MapColumns(collection_of(30))
    assert [(group.name, group.colour) for group in columns.coloured("modality").groups] == [
        ("OCT", "#E69F00"),
        ("CT", "#0072B2"),
    ]
    assert [group.name for group in columns.coloured("source").groups] == ["Ward 7"]


def test_groups_beyond_the_palette_stay_in_the_legend_and_rarer_than_a_byte_are_other():
    values = [f"kind {i}" for i in range(300) for _ in range(1 + (i < 20))]
    columns = MapColumns(collection_of(len(values), kind=values))
    groups = columns.coloured("kind").groups
    assert len(groups) == OTHER + 1
    assert sum(bool(group.colour) for group in groups) == len(PALETTE)
    assert (groups[-1].name, groups[-1].code, groups[-1].count) == ("other", OTHER, 300 - OTHER)
    assert sum(group.count for group in groups) == len(values)
    counts = [group.count for group in groups[:-1]]
    assert counts == sorted(counts, reverse=True)


def test_numbers_lie_on_a_ramp_and_few_different_ones_are_groups():
    ages = [np.nan if i == 4 else 20.0 + i for i in range(30)]
    columns = MapColumns(collection_of(30, age=ages, grade=[i % 4 for i in range(30)]))
    codes = codes_by_case(columns, "age")
    coloured = columns.coloured("age")
    assert coloured.limits == (20, 49)
    assert (codes[0], codes[29], codes[4]) == (0, OTHER, MISSING)
    assert (np.diff(np.delete(codes, 4).astype(int)) > 0).all()
    assert [(group.name, group.count) for group in coloured.groups] == [("no value", 1)]
    assert columns.coloured("grade").limits is None
    assert sorted(group.name for group in columns.coloured("grade").groups) == ["0", "1", "2", "3"]


def test_numbers_that_a_table_wrote_as_texts_lie_on_the_same_ramp():
    ages = [None if i == 4 else str(i) for i in range(30)]
    columns = MapColumns(collection_of(30, age=ages, grade=["1", "2", "3"] * 10))
    assert {"age", "grade"} <= set(columns.names)
    coloured, codes = columns.coloured("age"), codes_by_case(columns, "age")
    assert (coloured.limits, coloured.dates) == ((0, 29), False)
    assert codes[4] == MISSING
    assert (np.diff(np.delete(codes, 4).astype(int)) > 0).all()  # 10 comes after 9
    assert columns.coloured("grade").limits is None


def test_dates_lie_on_a_ramp_of_days_and_few_different_ones_are_groups():
    dates = [None if i == 4 else f"2024-{1 + i // 28:02}-{1 + i % 28:02}T10:00:00" for i in range(60)]
    columns = MapColumns(collection_of(60, acquired=dates, year=["2023-01-01", "2024-01-01"] * 30))
    assert {"acquired", "year"} <= set(columns.names)
    coloured, codes = columns.coloured("acquired"), codes_by_case(columns, "acquired")
    first = (date(2024, 1, 1) - date(1970, 1, 1)).days + 10 / 24
    last = (date(2024, 3, 4) - date(1970, 1, 1)).days + 10 / 24
    assert coloured.dates
    assert coloured.limits == pytest.approx((first, last))
    assert (codes[0], codes[59], codes[4]) == (0, OTHER, MISSING)
    assert (np.diff(np.delete(codes, 4).astype(int)) > 0).all()
    years = columns.coloured("year")
    assert (years.dates, years.limits) == (False, None)
    assert [group.name for group in years.groups] == ["2023-01-01", "2024-01-01"]


def test_columns_that_name_single_cases_do_not_colour_the_map():
    columns = MapColumns(collection_of(30, file=["a"] * 30, sex=["f", "m", None] * 10, note=list("x" * 30)))
    assert columns.names == ("modality", "label", "source", "sex")


def measures_of(count: int) -> CaseMeasures:
    """Measures as if every third case had no vote, and every fourth one too few of its kind."""
    every = np.arange(count)
    label = np.where(every % 2, 0, -1).astype(np.int32)
    prediction = np.where(every % 3, every % 2, -1).astype(np.int32)
    share = np.where(every % 3, every / count, np.nan).astype(np.float32)
    outlier = np.where(every % 4, every - 10.0, np.nan).astype(np.float32)
    return CaseMeasures((("nv",), ("nv", "odd")), label, prediction, share, share / 2, outlier)


def test_measures_are_columns_once_they_are_there():
    count = 60
    labels = [("nv",) if i % 2 else ("odd",) if not i else () for i in range(count)]
    found: list[CaseMeasures] = []
    columns = MapColumns(collection_of(count, labels=labels), None, lambda: found[0] if found else None)
    assert columns.names[3:] == (PREDICTION, ERROR, CONFIDENCE, AGREEMENT, OUTLIER)
    assert columns.ready("label")
    assert not columns.ready(PREDICTION)
    assert map_value(columns, ERROR, None)["pending"]
    found.append(measures_of(count))
    measures = found[0]
    assert columns.ready(PREDICTION)
    names = {group.code: group for group in columns.coloured(PREDICTION).groups}
    shown = [names[code].name for code in codes_by_case(columns, PREDICTION)]
    missing = "no labelled neighbour"
    assert shown[:4] == [missing, "Melanocytic naevus, Odd", "Melanocytic naevus", missing]
    of_label = {group.name: group.colour for group in columns.coloured("label").groups}
    assert (
        next(g for g in names.values() if g.name == "Melanocytic naevus").colour
        == of_label["Melanocytic naevus"]
    )
    errors = {group.name: group.count for group in columns.coloured(ERROR).groups}
    assert errors["differs from the label"] == int((measures.error == 1).sum())
    for name, values in ((CONFIDENCE, measures.confidence), (OUTLIER, measures.outlier)):
        coloured, codes = columns.coloured(name), codes_by_case(columns, name)
        assert coloured.limits is not None
        low, high = coloured.limits
        known = np.isfinite(values)
        assert (codes[~known] == MISSING).all()
        np.testing.assert_allclose(
            low + codes[known] / OTHER * (high - low), values[known], atol=(high - low) / 500
        )


def test_a_few_different_shares_are_groups_and_one_label_needs_no_prediction():
    measures = measures_of(6)
    columns = MapColumns(collection_of(6, labels=[("a",), ("b",)] * 3), None, lambda: measures)
    assert [group.name for group in columns.coloured(CONFIDENCE).groups] == [
        "0.17",
        "0.33",
        "0.67",
        "0.83",
        "no labelled neighbour",
    ]
    assert MapColumns(collection_of(30), None, lambda: None).names[3:] == (OUTLIER,)
    assert OUTLIER not in MapColumns(collection_of(30)).names


def test_a_column_of_the_records_is_not_hidden_by_a_measure_of_its_name():
    columns = MapColumns(collection_of(30, **{OUTLIER: ["in", "out"] * 15}), None, lambda: None)
    assert [group.name for group in columns.coloured(OUTLIER).groups] == ["in", "out"]


@pytest.mark.parametrize("column", ["modality", "label", "source"])
def test_what_the_page_is_told_is_the_legend_and_no_point(column):
    columns = MapColumns(collection_of(500))
    value = map_value(columns, column, MapPoint(1.0, 2.0))
    assert sum(group["count"] for group in value["groups"]) == 500
    assert value["point"] == [1.0, 2.0]
    assert len(str(value)) < 1000


def test_names_from_outside_are_handed_on_as_text():
    columns = MapColumns(collection_of(4, labels=[(NASTY,)] * 4))
    group = map_value(columns, "label", None)["groups"][0]
    assert group["name"] == NASTY  # the legend writes text, not markup
