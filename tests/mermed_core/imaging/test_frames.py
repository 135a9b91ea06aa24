"""The picture inside its frame: what is around it goes, and the picture itself is not cut."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from mermed_core.imaging.frames import Box, find_picture


def picture(height: int = 90, width: int = 120, seed: int = 0) -> np.ndarray:
    """Something like tissue: smooth, with nothing even at its sides."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width, 3))
    return (128 + 60 * np.tanh(gaussian_filter(noise, (2, 2, 0)) * 8)).clip(50, 200).astype(np.uint8)


def framed(inner: np.ndarray, top: int, left: int, bottom: int, right: int, value: int) -> np.ndarray:
    return np.pad(inner, ((top, bottom), (left, right), (0, 0)), constant_values=value)


@settings(max_examples=40, deadline=None)
@given(
    sides=st.tuples(*[st.integers(0, 40)] * 4),
    value=st.sampled_from([0, 20, 128, 240, 255]),
    size=st.tuples(st.integers(60, 200), st.integers(60, 200)),
)
def test_a_border_of_any_width_and_grey_is_left_out(sides, value, size):
    inner = picture(*size)
    top, left, bottom, right = sides
    box = find_picture(framed(inner, top, left, bottom, right, value))
    assert box == Box(top, left, *size)


def test_a_picture_without_a_frame_is_taken_whole():
    assert find_picture(picture()) == Box(0, 0, 90, 120)


def test_a_padded_picture_on_a_page_is_freed_of_both():
    page = framed(framed(picture(), 12, 0, 12, 0, 0), 30, 40, 20, 10, 255)
    assert find_picture(page) == Box(42, 40, 90, 120)


def test_a_border_survives_compression():
    buffer = io.BytesIO()
    Image.fromarray(framed(picture(240, 320), 24, 24, 24, 24, 255)).save(buffer, "JPEG", quality=60)
    box = find_picture(np.asarray(Image.open(buffer)))
    # Compression smears the picture into the blocks of 16 px that it touches, and a little further.
    assert box.top == pytest.approx(20, abs=6)
    assert box.left == pytest.approx(20, abs=6)
    assert box.height == pytest.approx(248, abs=12)
    assert box.width == pytest.approx(328, abs=12)


@pytest.mark.parametrize(("value", "dark"), [(0, True), (40, True), (128, False), (255, False)])
def test_a_dark_frame_is_told_from_a_light_one(value, dark):
    pixels = framed(picture(), 20, 10, 5, 30, value)
    assert find_picture(pixels).frame_is_dark(pixels) is dark


def test_the_window_of_a_viewer_is_left_out():
    window = np.full((300, 400, 3), 230, np.uint8)
    window[:14] = (40, 90, 200)
    window[40:44, 20:60:2] = 30  # words
    window[100:220, 150:340] = picture(120, 190)
    box = find_picture(window)
    assert abs(box.top - 100) <= 2
    assert abs(box.left - 150) <= 2
    assert abs(box.height - 120) <= 3
    assert abs(box.width - 190) <= 3


def test_an_eye_keeps_its_circle():
    rows, columns = np.mgrid[:200, :200]
    eye = np.where(((rows - 100) ** 2 + (columns - 100) ** 2 < 90**2)[..., None], picture(200, 200), 0)
    box = find_picture(eye.astype(np.uint8))
    assert box.height == pytest.approx(179, abs=4)
    assert box.width == pytest.approx(179, abs=4)


def test_two_panels_on_a_page_stay_together():
    page = np.full((200, 400, 3), 255, np.uint8)
    page[40:160, 30:180] = picture(120, 150)
    page[40:160, 220:370] = picture(120, 150, seed=1)
    box = find_picture(page)
    assert (box.top, box.height) == (pytest.approx(40, abs=2), pytest.approx(120, abs=3))
    assert (box.left, box.width) == (pytest.approx(30, abs=2), pytest.approx(340, abs=3))


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_even_image_is_taken_whole(value):
    assert find_picture(np.full((40, 50, 3), value, np.uint8)) == Box(0, 0, 40, 50)


def test_a_speck_on_a_page_is_no_picture():
    page = np.full((200, 200, 3), 255, np.uint8)
    page[90:110, 90:110] = picture(20, 20)
    assert find_picture(page) == Box(0, 0, 200, 200)


def test_stray_pixels_on_a_page_are_no_picture():
    page = np.full((400, 400, 3), 255, np.uint8)
    page[200, 10:20] = page[300, 200:210] = 0
    assert find_picture(page) == Box(0, 0, 400, 400)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    levels=st.integers(1, 4),
)
def test_the_box_lies_inside_the_image_whatever_it_holds(seed, size, levels):
    random = np.random.default_rng(seed)
    pixels = (random.integers(0, levels, (*size, 1)) * 80).repeat(3, axis=2).astype(np.uint8)
    box = find_picture(pixels)
    assert box.top >= 0
    assert box.left >= 0
    assert box.height >= 1
    assert box.width >= 1
    assert box.top + box.height <= size[0]
    assert box.left + box.width <= size[1]
