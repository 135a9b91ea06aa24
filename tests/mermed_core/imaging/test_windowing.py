import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mermed_core.imaging.windowing import look_up, scale_to_bytes, stretch_to_bytes, window_to_bytes


def test_a_range_becomes_0_to_255_and_the_rest_is_cut():
    values = np.array([-5.0, 0, 40, 100, 105, np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(scale_to_bytes(values, 0, 100), [0, 0, 102, 255, 255, 0, 255, 0])
    assert scale_to_bytes(values, 7, 7).max() == 0


@given(arrays(np.float64, 20, elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_any_values_can_be_stretched_and_keep_their_order(values):
    shown = stretch_to_bytes(values)
    assert shown.dtype == np.uint8
    finite = np.isfinite(values)
    order = np.argsort(values[finite], kind="stable")
    assert (np.diff(shown[finite][order].astype(int)) >= 0).all()


def test_a_constant_image_is_black_and_a_nearly_constant_one_is_not():
    assert stretch_to_bytes(np.full(1000, 7.0)).max() == 0
    values = np.full(1000, 7.0)
    values[0] = 9
    assert stretch_to_bytes(values)[0] == 255


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", "unknown"])
def test_a_window_rises_and_is_half_way_at_its_centre(function):
    shown = window_to_bytes(np.linspace(0, 200, 401), 100, 50, function).astype(int)
    assert (np.diff(shown) >= 0).all()
    assert shown[0] <= 1
    assert shown[-1] >= 254
    assert abs(int(window_to_bytes(np.array([99.5]), 100, 50, function)[0]) - 128) <= 3


def test_a_window_of_width_one_is_a_threshold():
    shown = window_to_bytes(np.array([9.0, 9.5, 10.0]), 10, 1, "LINEAR")
    np.testing.assert_array_equal(shown, [0, 0, 255])


def test_the_narrowest_window_that_is_none():
    shown = window_to_bytes(np.array([8.9, 9.25, 9.5, 10.1]), 10, 2, "LINEAR")
    np.testing.assert_array_equal(shown, [0, 64, 128, 255])


def test_values_far_outside_a_window_overflow_nothing():
    far = np.array([-1e300, -1e9, 0, 1e9, 1e300])
    for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        with np.errstate(all="raise", under="ignore"):
            np.testing.assert_array_equal(
                window_to_bytes(far, 0.5, 1.5, function)[[0, 1, 3, 4]], [0, 0, 255, 255]
            )


def test_a_table_stands_for_what_lies_outside_it_too():
    table = np.array([5, 6, 7])
    np.testing.assert_array_equal(look_up(np.array([-9, 10, 11, 12, 99]), 10, table), [5, 5, 6, 7, 7])
