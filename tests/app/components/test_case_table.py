import csv
import io
from types import SimpleNamespace
from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from app.components import case_table as table
from app.texts import case_text


def test_one_row_per_case_with_its_place(services):
    collection = services.predictor.collection
    frame = table.frame(collection, [5, 2])
    assert list(frame["case"]) == [case.case_id for case in collection.cases_at([5, 2])]
    assert list(frame["label"]) == [
        case_text.labels(collection, case.labels) for case in collection.cases_at([5, 2])
    ]
    assert list(frame["x"]) == [round(float(collection.coordinates[i, 0]), 3) for i in (5, 2)]


def test_columns_that_a_hospital_kept_are_in_the_table(services):
    collection = services.predictor.collection
    days = [f"2024-01-{1 + row % 28:02d}" for row in range(len(collection))]
    records = collection.records.assign(acquired=days, x="its own")
    facts = {"label_names": {}, "own_labels": frozenset()}
    kept: Any = SimpleNamespace(records=records, coordinates=collection.coordinates, **facts)
    frame = table.frame(kept, [3, 30])
    assert list(frame["acquired"]) == ["2024-01-04", "2024-01-03"]
    assert list(frame["x"]) == [round(float(collection.coordinates[i, 0]), 3) for i in (3, 30)]
    assert not {"checksum", "frame", "labels"} & set(frame)


@given(
    st.lists(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00\r")), max_size=5)
)
def test_no_cell_can_act_as_a_formula_and_none_is_lost(values):
    text = table.to_csv(pd.DataFrame({"label": pd.Series(values, dtype=object), "x": [-1.5] * len(values)}))
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert len(rows) == len(values)
    for (label, x), value in zip(rows, values, strict=True):
        assert not label.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert label.removeprefix("'") == value.removeprefix("'")
        assert x == "-1.5"
