import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mermed_core.imaging.geometry import true_proportion, upright
from mermed_core.imaging.limits import Limits

RGB = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)


def test_whole_multiples_repeat_pixels():
    shown, notes = true_proportion(RGB, 3.0, 1.0, Limits())
    np.testing.assert_array_equal(shown, RGB.repeat(3, axis=0))
    assert "3 times as high as wide" in notes[0]
    shown, notes = true_proportion(RGB, 0.2, 0.4, Limits())
    np.testing.assert_array_equal(shown, RGB.repeat(2, axis=1))
    assert "2 times as wide as high" in notes[0]


def test_other_ratios_are_interpolated():
    shown, _ = true_proportion(RGB, 1.5, 1.0, Limits())
    expected = Image.fromarray(RGB).resize((10, 9), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(shown, np.asarray(expected))


@pytest.mark.parametrize(
    ("height", "width"), [(None, 1.0), (1.0, None), (0.0, 1.0), (1.0, -1.0), (1.0, 1.0), (0.5, 0.502)]
)
def test_square_pixels_and_no_sizes_change_nothing(height, width):
    shown, notes = true_proportion(RGB, height, width, Limits())
    assert shown is RGB
    assert notes == ()


def test_a_ratio_that_cannot_be_true_is_said_and_left_aside():
    shown, notes = true_proportion(RGB, 100.0, 1.0, Limits())
    assert shown is RGB
    assert "cannot be true" in notes[0]


@given(st.floats(0.06, 16), st.integers(60, 400))
def test_the_limit_on_pixels_holds_and_so_does_the_proportion(ratio, most):
    pixels = np.zeros((6, 10, 3), np.uint8)
    shown, _ = true_proportion(pixels, ratio, 1.0, Limits(max_pixels=most))
    rows, columns = shown.shape[:2]
    assert rows * columns <= most + 10
    wanted = 6 * ratio / 10
    assert abs(rows - columns * wanted) <= max(1.0, wanted)


def test_an_unknown_orientation_changes_nothing():
    for orientation in (0, 1, 9, None, "6", (6,)):
        assert upright(RGB, orientation) is RGB
