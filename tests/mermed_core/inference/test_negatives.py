"""What is called a negative, with a head that is made up: the probability that it gives to each picture."""

import numpy as np
import pytest

from mermed_core.inference.negatives import as_taken, embed_as_taken

PIXELS = np.full((96, 96, 3), 200, np.uint8)
PIXELS[20:60, 20:60] = 100


def asked(pixels: np.ndarray, as_it_is: float, turned: float, negative: bool | None = None):
    """Returns the grey that is embedded and whether it is a negative, where the head says so."""
    grey = float(pixels[0, 0, 0])
    said = {grey: as_it_is, 255 - grey: turned}
    vector, found = embed_as_taken(
        pixels, lambda shown: shown[0, 0, :1].astype(float), lambda vector: said[float(vector[0])], negative
    )
    return float(vector[0]), found


@pytest.mark.parametrize(
    ("as_it_is", "turned", "negative"),
    [(0.9, 0.1, True), (0.51, 0.19, True), (0.5, 0.1, False), (0.9, 0.2, False), (0.9, 0.9, False)],
)
def test_a_negative_looks_like_one_and_the_other_way_round_does_not(as_it_is, turned, negative):
    assert asked(PIXELS, as_it_is, turned) == ((55.0 if negative else 200.0), negative)


def test_a_small_or_coloured_picture_is_never_called_one_unless_it_is_known():
    coloured = np.stack([PIXELS[..., 0], PIXELS[..., 0], np.zeros((96, 96), np.uint8)], axis=2)
    for pixels in (PIXELS[:95], PIXELS[:, :95], coloured):
        assert asked(pixels, 0.99, 0.01) == (200.0, False)
        assert asked(pixels, 0.99, 0.01, negative=True) == (55.0, True)
    assert asked(PIXELS, 0.99, 0.01, negative=False) == (200.0, False)


@pytest.mark.parametrize("noise", [0, 4])
def test_an_empty_picture_is_no_negative(noise):
    grain = np.random.default_rng(0).integers(-noise, noise + 1, (120, 120, 1)).repeat(3, 2)
    empty = (250 + grain).astype(np.uint8)
    empty[0, 0] = 250
    assert asked(empty, 0.99, 0.01) == (250.0, False)


def test_a_negative_of_a_negative_is_the_picture():
    assert (as_taken(as_taken(PIXELS, True), True) == PIXELS).all()
    assert as_taken(PIXELS, False) is PIXELS
