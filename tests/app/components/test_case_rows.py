"""Rows, orders and the search of the views beside the map, against the records themselves."""

import numpy as np
import pandas as pd
import pytest

from app.components.case_rows import CaseRows
from app.components.map_columns import MapColumns
from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.sources import SourceFacts
from mermed_core.search.faiss_engine import FaissEngine

COUNT = 40


@pytest.fixture(scope="module")
def rows() -> CaseRows:
    ages = np.random.default_rng(2).permutation(COUNT).astype(float)
    ages[5] = np.nan
    records = pd.DataFrame(
        {
            "case_id": [f"case {i:02}" for i in range(COUNT)],
            "modality": ["oct" if i % 3 else "ct" for i in range(COUNT)],
            "labels": [("nv",) if i % 2 else () for i in range(COUNT)],
            "source": ["here" if i < 30 else "there" for i in range(COUNT)],
            "group": [f"patient {i}" for i in range(COUNT)],
            "split": [""] * COUNT,
            "age": ages,
        }
    )
    return rows_of(records)


def rows_of(records: pd.DataFrame) -> CaseRows:
    facts = {"here": SourceFacts(title="Ward 7", names={"nv": "Melanocytic naevus"})}
    vectors = np.eye(COUNT, dtype=np.float32)
    about = Description("", "", False, "", facts)
    collection = Collection(about, records, vectors, vectors[:, :2], None, FaissEngine.build(vectors))
    return CaseRows(MapColumns(collection))


def test_a_row_says_what_a_point_is_and_what_is_no_point_is_empty(rows):
    position = int(rows.columns.order[3])
    first, *others = rows.rows([3, -1, COUNT, "3", True])
    assert first["case"] == f"case {position:02}"
    assert first["source"] == ("Ward 7" if position < 30 else "there")
    assert first["modality_name"] == ("OCT" if position % 3 else "CT")
    assert set(rows.titles) <= {*first}
    assert others == [{}] * 4


def test_a_column_that_says_nothing_is_not_listed(rows):
    assert {"case", "label", "group", "age"} <= set(rows.titles)
    assert "split" not in rows.titles  # of no case
    records = rows.columns.collection.records
    listed = rows_of(records.assign(group=records["case_id"], age=np.nan, split="train")).titles
    assert "split" in listed
    assert "age" not in listed
    assert "group" not in listed  # every case is a group of its own


@pytest.mark.parametrize("name", ["case", "label", "modality_name", "source", "age"])
def test_an_order_sorts_every_point_by_its_column_and_missing_values_come_last(rows, name):
    order = rows.order(name)
    assert sorted(order.tolist()) == list(range(COUNT))
    if name == "age":
        ages = rows.columns.collection.records["age"].iloc[rows.columns.order[order]]
        pd.testing.assert_series_equal(ages, ages.sort_values(na_position="last"))
        assert np.isnan(ages.iloc[-1])
    else:
        values = [row[name] for row in rows.rows(order.tolist())]
        assert values == sorted(values)


def test_numbers_that_a_table_wrote_as_texts_are_sorted_as_numbers(rows):
    records = rows.columns.collection.records
    doses = [None if i == 4 else str(COUNT - i) for i in range(COUNT)]
    sorted_rows = rows_of(records.assign(dose=doses))
    order = sorted_rows.order("dose")
    values = [row["dose"] for row in sorted_rows.rows(order.tolist())]
    assert values == [*map(str, (n for n in range(1, COUNT + 1) if n != COUNT - 4)), ""]


def test_an_order_by_what_is_no_column_is_refused(rows):
    with pytest.raises(KeyError):
        rows.order("nonsense")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("WARD", lambda i: i < 30),
        ("naevus chest", lambda i: False),
        ("naevus OCT", lambda i: i % 2 == 1 and i % 3 > 0),
        ("there case", lambda i: i >= 30),
        ("nv", lambda i: bool(i % 2)),
        ("(", lambda i: False),
        ("", lambda i: True),
    ],
)
def test_a_search_finds_the_cases_whose_record_holds_every_word(rows, text, holds):
    assert rows.search(text).tolist() == [holds(int(i)) for i in rows.columns.order]
