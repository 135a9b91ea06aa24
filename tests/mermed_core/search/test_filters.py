"""Filters against a plain loop over the rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mermed_core.errors import SearchError
from mermed_core.search.filters import Filter, ListColumn, ScalarColumn

VALUES = st.sampled_from(["a", "b", "c"])
ROWS = st.lists(
    st.tuples(VALUES | st.none(), st.lists(VALUES, max_size=3) | st.none(), st.integers(0, 3)), max_size=20
)


@given(ROWS, st.sets(VALUES | st.just("nowhere")), st.sets(VALUES), st.sets(st.integers(0, 4)))
def test_a_mask_is_that_of_a_plain_loop(rows, kinds, labels, numbers):
    frame = pd.DataFrame(rows, columns=["kind", "labels", "number"]).astype({"labels": object})
    columns = {
        "kind": ScalarColumn(frame["kind"]),
        "label": ListColumn(frame["labels"]),
        "number": ScalarColumn(frame["number"]),
    }
    mask = Filter({"kind": kinds, "label": labels, "number": numbers}).mask(columns)
    expected = [
        (not kinds or kind in kinds)
        and (not labels or bool(labels & set(names or ())))
        and (not numbers or number in numbers)
        for kind, names, number in rows
    ]
    if mask is None:
        assert not any((kinds, labels, numbers))
    else:
        assert mask.tolist() == expected
    for name, value in (
        ("kind", "b"),
        ("label", "b"),
        ("number", 2),
        ("kind", "nowhere"),
        ("label", "nowhere"),
    ):
        held = columns[name].rows(value)
        assert held.tolist() == np.flatnonzero(columns[name].contains([value])).tolist()
    assert columns["kind"].values == tuple(sorted({kind for kind, _, _ in rows if kind}))
    assert columns["label"].values == tuple(sorted({name for _, names, _ in rows for name in names or ()}))


def test_a_column_that_is_not_there_is_a_sentence():
    with pytest.raises(SearchError, match="no column 'sex' to filter by; there are kind"):
        Filter({"sex": ["f"]}).mask({"kind": ScalarColumn(pd.Series(["a"]))})


def test_a_filter_is_a_value():
    assert Filter({"kind": ["a"], "label": []}) == Filter({"kind": ("a",)})
    assert not Filter({"kind": []})
    assert Filter({"kind": iter("a")}) == Filter({"kind": "a"})


def test_missing_values_match_nothing_and_numbers_are_numbers():
    column = ScalarColumn(pd.Series([1.0, np.nan, 2.5]))
    assert column.values == (1.0, 2.5)
    assert column.contains([1, 7]).tolist() == [True, False, False]
