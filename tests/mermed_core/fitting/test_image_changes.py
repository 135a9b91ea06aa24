"""Changes keep what an image is: eight bits, three channels, not vanishingly small, the same each time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mermed_core.fitting import image_changes
from mermed_core.fitting.image_changes import change, grey_world

CHANGES = [
    image_changes.border,
    image_changes.padding,
    image_changes.screenshot,
    image_changes.photograph,
    image_changes.crop,
    image_changes.mirror,
    image_changes.compression,
    image_changes.resolution,
    image_changes.tone,
    image_changes.colour,
    image_changes.stain,
    image_changes.softness,
    image_changes.noise,
]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    cells = random.integers(0, 256, (-(-height // 4), -(-width // 4), 3), dtype=np.uint8)
    return np.ascontiguousarray(cells.repeat(4, 0).repeat(4, 1)[:height, :width])


def sound(pixels: np.ndarray) -> bool:
    return pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3


@pytest.mark.parametrize("make", CHANGES, ids=lambda make: make.__name__)
def test_each_change_gives_an_image_and_the_same_one_each_time(make):
    before = picture(61, 83)
    kept = before.copy()
    changed, again = (make(before, np.random.default_rng(7)) for _ in range(2))
    assert sound(changed)
    np.testing.assert_array_equal(changed, again)
    np.testing.assert_array_equal(before, kept)  # the image itself is left alone
    assert changed.shape != before.shape or (changed != before).any()


@settings(max_examples=40, deadline=None)
@given(height=st.integers(24, 90), width=st.integers(24, 90), seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("make", CHANGES, ids=lambda make: make.__name__)
def test_each_change_takes_every_shape(make, height, width, seed):
    changed = make(picture(height, width), np.random.default_rng(seed))
    assert sound(changed)
    assert min(changed.shape[:2]) >= 8
    assert max(changed.shape[:2]) <= 2 * max(height, width)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(24, 60),
    width=st.integers(24, 60),
    modality=st.sampled_from(["", "ct", "pathology", "fundus", "dermatology"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_copy_is_an_image_and_the_same_one_each_time(height, width, modality, seed):
    changed, again = (change(picture(height, width), modality, np.random.default_rng(seed)) for _ in range(2))
    assert sound(changed)
    assert min(changed.shape[:2]) >= 8
    np.testing.assert_array_equal(changed, again)


def test_only_some_modalities_are_coloured(monkeypatch):
    made = []

    def note(name):
        return lambda pixels, _: made.append(name) or pixels

    monkeypatch.setattr(image_changes, "_ALWAYS", (note("always"),) * 3)
    of_modality = {"pathology": (note("stain"),) * 3, "fundus": (note("colour"),) * 3}
    monkeypatch.setattr(image_changes, "_OF_MODALITY", of_modality)
    for modality, expected in (
        ("ct", {"always"}),
        ("pathology", {"always", "stain"}),
        ("fundus", {"always", "colour"}),
    ):
        made.clear()
        counts = set()
        for seed in range(40):
            before = len(made)
            change(picture(24, 24), modality, np.random.default_rng(seed))
            counts.add(len(made) - before)
        assert set(made) == expected
        assert counts == {1, 2, 3}


def test_what_each_change_does_to_a_plain_image():
    grey = np.full((50, 40, 3), 100, np.uint8)
    grey[:, :20] = 60
    random = np.random.default_rng
    np.testing.assert_array_equal(image_changes.mirror(grey, random(0))[:, :20], 100)
    framed = image_changes.border(grey, random(0))
    width = (framed.shape[0] - 50) // 2
    assert width == (framed.shape[1] - 40) // 2 >= 1
    np.testing.assert_array_equal(framed[width:-width, width:-width], grey)
    assert len(np.unique(framed[0])) == 1
    square = image_changes.padding(grey, random(0))
    assert square.shape[0] == square.shape[1] >= 50
    cut = image_changes.crop(grey, random(0))
    assert 0.6 * 50 < cut.shape[0] < 50
    toned = image_changes.tone(grey, random(0))
    assert len(np.unique(toned)) == 2
    assert toned[0, 0, 0] < toned[0, 30, 0]  # what is darker stays darker


def test_grey_world_takes_the_cast_away_and_keeps_the_light():
    random = np.random.default_rng(1)
    skin = np.clip(random.normal(120, 15, (20, 30, 3)), 0, 255).astype(np.uint8)
    cast = (skin * [1.0, 0.7, 0.5]).astype(np.uint8)
    balanced = grey_world(cast)
    means = balanced.mean(axis=(0, 1))
    np.testing.assert_allclose(means, cast.mean(), atol=1)
    # But for the light, the same as without the cast.
    other = grey_world(skin)
    np.testing.assert_allclose(balanced / means.mean(), other / other.mean(), atol=0.05)


def test_grey_world_leaves_black_black():
    black = np.zeros((4, 4, 3), np.uint8)
    np.testing.assert_array_equal(grey_world(black), black)
