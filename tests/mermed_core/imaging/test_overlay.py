"""Heat over an image, and words above and below it."""

import numpy as np
import pytest
from PIL import Image

from mermed_core.imaging.overlay import fitted, heat_colours, laid_over, with_words


def test_the_scale_gets_lighter_all_the_way():
    ramp = heat_colours(np.linspace(0, 1, 50)).astype(float)
    luminance = ramp @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(luminance) > 0)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_ends_of_the_scale_are_reached(value):
    assert heat_colours(np.array([value])).shape == (1, 3)


def test_where_nothing_is_hot_the_image_stays_and_heat_is_mixed_in_by_its_strength():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(laid_over(pixels, np.zeros((8, 8), np.float32)), pixels)
    heat = np.zeros((8, 8), np.float32)
    heat[2, 3] = 1
    mixed = laid_over(pixels, heat, 0.5)
    expected = (pixels[2, 3].astype(float) + heat_colours(np.array(1.0))) / 2
    assert np.abs(mixed[2, 3] - expected).max() <= 0.5
    changed = (mixed != pixels).any(axis=2)
    assert changed.sum() == 1


def test_words_hide_no_pixel_of_the_image():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 600, 3), dtype=np.uint8)
    worded = with_words(pixels, "RESEARCH USE ONLY", ["one line", "word " * 60])
    top = next(row for row in range(len(worded)) if np.array_equal(worded[row], pixels[0]))
    assert np.array_equal(worded[top : top + 300], pixels)
    above, below = worded[:top], worded[top + 300 :]
    assert (above.max(axis=2) > 200).any()
    assert len(below) > 3 * len(above)  # the long line takes several


def test_a_small_image_grows_until_words_can_be_read():
    assert with_words(np.zeros((20, 40, 3), np.uint8), "RESEARCH USE ONLY", []).shape[1] == 512


def test_fitting_keeps_the_shape_and_never_enlarges():
    assert fitted(np.zeros((1000, 4000, 3), np.uint8), 800).shape == (200, 800, 3)
    assert fitted(np.zeros((10, 40), np.uint8), 800).shape == (10, 40)
    assert fitted(np.zeros((1, 9000, 3), np.uint8), 100).shape == (1, 100, 3)


@pytest.mark.parametrize("shape", [(200, 300, 3), (300, 200)])
def test_fitting_is_pillows_cubic_and_takes_what_cannot_be_written(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pixels.flags.writeable = False
    size = (90, 60) if shape[1] > shape[0] else (60, 90)
    expected = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    assert np.abs(fitted(pixels, 90).astype(int) - expected).max() <= 1
