import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.pixels.processing import convert_color_space

from mermed_core.imaging.colours import colour_to_rgb, grey_to_rgb, is_grey, over_black, ybr_to_rgb

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@given(arrays(np.uint8, (2, 3, 3)))
def test_luma_and_differences_become_what_pydicom_makes_of_them(values):
    expected = convert_color_space(values, "YBR_FULL", "RGB").astype(int)
    np.testing.assert_allclose(ybr_to_rgb(values, 8).astype(int), expected, atol=1)


def test_luma_and_differences_of_twelve_bits():
    eight = ybr_to_rgb(RGB, 8).astype(float)
    np.testing.assert_allclose(ybr_to_rgb(RGB.astype(np.uint16) * 16, 12) / 16, eight, atol=1)


@pytest.mark.parametrize(("top", "used"), [(200, 8), (900, 10), (4000, 12), (16000, 14), (40000, 16)])
def test_the_range_is_that_of_the_bits_that_are_used(top, used):
    values = np.array([[[0, top // 2, top]]], np.uint16)
    shown, notes = colour_to_rgb(values)
    np.testing.assert_allclose(shown, values / ((1 << used) - 1) * 255, atol=0.51)
    assert len(notes) == (used < 16)


def test_stated_bits_are_believed():
    shown, notes = colour_to_rgb(np.array([[[0, 100, 200]]], np.uint16), 12)
    np.testing.assert_allclose(shown, np.array([[[0, 100, 200]]]) / 4095 * 255, atol=0.51)
    assert notes == ()


@given(arrays(np.float32, (2, 2, 3), elements=st.floats(width=32)))
def test_any_numbers_become_colours(values):
    shown, notes = colour_to_rgb(values)
    assert (shown.shape, shown.dtype) == ((2, 2, 3), np.uint8)
    finite = values[np.isfinite(values)]
    assert len(notes) == bool(finite.size and (finite.min() < 0 or finite.max() > 1))


def test_floating_point_from_0_to_1_is_a_share_of_the_full_colour():
    shown, notes = colour_to_rgb(RGB / np.float32(255) * np.float32(0.5))
    np.testing.assert_allclose(shown.astype(float), RGB / 2, atol=0.51)
    assert notes == ()


def test_bytes_of_grey_stay_and_truth_values_are_black_and_white():
    shown, notes = grey_to_rgb(RGB[..., 0])
    np.testing.assert_array_equal(shown[..., 2], RGB[..., 0])
    assert notes == ()
    shown, _ = grey_to_rgb(RGB[..., 0] > 100, white_is_zero=True)
    np.testing.assert_array_equal(shown[..., 0], np.where(RGB[..., 0] > 100, 0, 255))


def test_over_black_is_the_share_of_alpha():
    alpha = np.array([[0, 64, 255]], np.uint8)
    shown, notes = over_black(np.full((1, 3), 200, np.uint8), alpha)
    assert shown.tolist() == [[0, 50, 200]]
    assert notes == ("Transparent parts are shown black.",)
    values = np.full((1, 3, 3), 7, np.uint16)
    assert over_black(values, np.full((1, 3), 65535, np.uint16))[0] is values


def test_a_few_coloured_pixels_leave_an_image_grey():
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 1), np.uint8).repeat(3, axis=2)
    assert is_grey(pixels)
    pixels[:1, :, 0] = 255 - pixels[:1, :, 0]  # a coloured ruler
    assert is_grey(pixels)
    pixels[:50, :, 0] = 255 - pixels[:50, :, 0]
    assert not is_grey(pixels)
