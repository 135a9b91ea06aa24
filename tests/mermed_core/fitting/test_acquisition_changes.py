"""Copies as other devices show them: images of sound shape, the same each time, drawn for their modality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import hed2rgb

from mermed_core.fitting import acquisition_changes
from mermed_core.fitting.acquisition_changes import acquired_elsewhere
from mermed_core.modalities import MODALITIES

CHANGES = [
    acquisition_changes.detail,
    acquisition_changes.close_up,
    acquisition_changes.stretch,
    acquisition_changes.distance,
    acquisition_changes.window,
    acquisition_changes.sector,
    acquisition_changes.gain,
    acquisition_changes.immunohistochemistry,
    acquisition_changes.hue,
]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    cells = random.integers(0, 256, (-(-height // 4), -(-width // 4), 3), dtype=np.uint8)
    return np.ascontiguousarray(cells.repeat(4, 0).repeat(4, 1)[:height, :width])


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("make", CHANGES, ids=lambda make: make.__name__)
def test_each_change_gives_an_image_of_any_shape_and_the_same_each_time(make, height, width, seed):
    before = picture(height, width)
    kept = before.copy()
    changed, again = (make(before, np.random.default_rng(seed)) for _ in range(2))
    assert changed.dtype == np.uint8
    assert changed.ndim == 3
    assert changed.shape[2] == 3
    assert changed.size
    np.testing.assert_array_equal(changed, again)
    np.testing.assert_array_equal(before, kept)  # the image itself is left alone


def test_a_detail_is_a_part_of_the_image():
    places = np.arange(100 * 80, dtype=np.int64).reshape(100, 80)
    pixels = np.stack([places // 256, places % 256, places * 0], axis=2).astype(np.uint8)
    for seed in range(20):
        part = acquisition_changes.detail(pixels, np.random.default_rng(seed))
        first = int(part[0, 0, 0]) * 256 + int(part[0, 0, 1])
        top, left = divmod(first, 80)
        assert part.shape[0] < 100
        assert part.shape[1] < 80
        np.testing.assert_array_equal(part, pixels[top : top + len(part), left : left + part.shape[1]])


def test_a_distant_view_holds_the_image_as_it_is():
    pixels = np.full((40, 60, 3), 200, np.uint8)
    for seed in range(10):
        field = acquisition_changes.distance(pixels, np.random.default_rng(seed))
        assert field.shape[0] > 40
        assert field.shape[1] > 60
        if field.min() == 0:  # on black
            assert (field[..., 0] == 200).sum() == 40 * 60


def test_a_window_keeps_the_order_of_greys():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    for seed in range(30):
        shown = acquisition_changes.window(ramp, np.random.default_rng(seed))[0, :, 0].astype(int)
        assert (np.diff(shown) >= 0).all()
        assert shown[-1] > shown[0]


def test_a_fan_is_black_outside_and_has_the_image_inside():
    pixels = np.full((80, 100, 3), 180, np.uint8)
    for seed in range(20):
        fan = acquisition_changes.sector(pixels, np.random.default_rng(seed))
        grey = (fan == fan[..., :1]).all(axis=2)  # a machine's marks may be coloured
        middle = fan[len(fan) // 2, fan.shape[1] // 2]
        assert middle.max() > 0
        left, right = fan[-1, 0], fan[-1, -1]
        assert left.max() == 0 or right.max() == 0
        assert 0.1 < (grey & (fan[..., 0] > 0)).mean() < 0.95


def test_brown_comes_where_the_nuclei_are():
    # A section with one large nucleus of haematoxylin on eosin.
    stains = np.zeros((64, 64, 3))
    stains[..., 1] = 0.05
    stains[24:40, 24:40] = (0.3, 0.02, 0)
    section = np.round(hed2rgb(stains) * 255).astype(np.uint8)
    brown = 0
    for seed in range(30):
        stained = acquisition_changes.immunohistochemistry(section, np.random.default_rng(seed)).astype(int)
        nucleus, around = stained[28:36, 28:36].mean(axis=(0, 1)), stained[:12, :12].mean(axis=(0, 1))
        assert around.mean() > nucleus.mean()
        assert around[1] > 120  # eosin, which takes green away, is gone but for a shade
        brown += nucleus[0] > nucleus[2] + 20
    assert 3 < brown < 28  # some fields took the stain, some did not


def test_unknown_kinds_are_redrawn_in_every_way(monkeypatch):
    made = []
    note = [lambda pixels, _, name=change.__name__: made.append(name) or pixels for change in CHANGES]
    monkeypatch.setattr(acquisition_changes, "_OF_UNKNOWN", tuple(note))
    for seed in range(60):
        acquired_elsewhere(picture(30, 30), "", np.random.default_rng(seed))
    assert set(made) == {change.__name__ for change in CHANGES}
    assert 60 < len(made) < 120  # one or two each


@pytest.mark.parametrize("modality", MODALITIES)
def test_each_modality_has_changes_of_its_own(modality):
    pixels = picture(48, 48)
    copies = [acquired_elsewhere(pixels, modality, np.random.default_rng(seed)) for seed in range(6)]
    assert all(copy.shape != pixels.shape or (copy != pixels).any() for copy in copies)
    again = acquired_elsewhere(pixels, modality, np.random.default_rng(5))
    np.testing.assert_array_equal(again, copies[-1])
