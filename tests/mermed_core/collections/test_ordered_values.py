"""Which columns have an order, and dates as days."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mermed_core.collections.ordered_values import are_ordered, days, numbers, ordered_values

NEW_YEAR = date(1970, 1, 1)


@given(st.lists(st.dates(date(1900, 1, 1), date(2100, 1, 1)), min_size=1, max_size=30))
def test_dates_are_counted_from_1970(dates):
    counted = days(pd.Series([each.isoformat() for each in dates]))
    assert counted is not None
    assert counted.tolist() == [(each - NEW_YEAR).days for each in dates]


def test_times_of_a_day_and_what_is_missing_are_known():
    counted = days(pd.Series(["1970-01-02T06:00:00", None, "", "1970-01-02T02:00:00+02:00"]))
    assert counted is not None
    np.testing.assert_array_equal(counted, [1.25, np.nan, np.nan, 1.0])
    stamps = pd.Series([pd.Timestamp(1970, 1, 3), pd.NaT])
    counted = days(stamps)
    assert counted is not None
    np.testing.assert_array_equal(counted, [2, np.nan])


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b"],
        [1.5, 2.0],
        ["1", "2"],
        [True, False],
        [None, ""],
        [],
        ["2024-01-01", "unknown"],
        [*(f"2024-01-01T{hour:02}:{minute:02}" for hour in range(24) for minute in range(60)), "unknown"],
    ],
)
def test_what_is_no_date_has_no_days(values):
    assert days(pd.Series(values, dtype=object)) is None


def test_numbers_come_before_dates_and_names_have_no_order():
    numbers = ordered_values(pd.Series(["10", "9"]))
    assert numbers is not None
    assert numbers.tolist() == [10, 9]
    assert are_ordered(pd.Series(["2024-05-01", None, ""]))
    assert not are_ordered(pd.Series(["scanner a", "scanner b"]))


def test_numbers_of_a_table_are_numbers_though_they_are_texts_and_some_are_missing():
    counted = numbers(pd.Series(["71", None, "", "-0.5", " 1e3", "0"], dtype=object))
    assert counted is not None
    np.testing.assert_array_equal(counted, [71, np.nan, np.nan, -0.5, 1000, 0])
    floats = numbers(pd.Series([2.5, np.nan]))
    assert floats is not None
    np.testing.assert_array_equal(floats, [2.5, np.nan])


@pytest.mark.parametrize(
    "values",
    [
        ["007", "012"],  # names of scanners or patients
        ["2024-05-01", "2024-05-02"],
        ["1", "unknown"],
        ["1", "inf"],
        [*map(str, range(2000)), "unknown"],
        [True, False],
        [None, ""],
        [],
    ],
)
def test_what_is_no_number_is_not_counted(values):
    assert numbers(pd.Series(values, dtype=bool if values == [True, False] else object)) is None
