"""Corruptions: graded, repeatable, and of the kind that happens to each modality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt, proper_to
from mermed_core.modalities import MODALITIES, MODALITY_KEYS

POINTWISE = ("noise", "speckle", "contrast", "brightness")
GEOMETRIC = ("cropping", "rotation")
PIXELS = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)))


def grades(pixels, name, seed):
    return [corrupt(pixels, name, severity, seed).astype(float) for severity in SEVERITIES]


def root_mean_square(changed, pixels):
    return np.sqrt(((changed - pixels.astype(float)) ** 2).mean())


@settings(max_examples=30)
@given(pixels=PIXELS, name=st.sampled_from(POINTWISE), seed=st.integers(0, 99))
def test_no_pixel_comes_nearer_to_the_original_with_severity(pixels, name, seed):
    distances = np.abs(np.stack(grades(pixels, name, seed)) - pixels)
    assert (np.diff(distances, axis=0) >= 0).all()


@settings(max_examples=30)
@given(key=st.sampled_from(MODALITY_KEYS), seed=st.integers(0, 999))
def test_every_severity_is_farther_from_the_original_than_the_one_before(key, seed):
    pixels = draw_phantom(key, FINDINGS[key][0], seed=seed, size=128).pixels
    for name in set(proper_to(key)) - set(GEOMETRIC):
        distances = [root_mean_square(changed, pixels) for changed in grades(pixels, name, seed)]
        assert distances[0] > 0
        assert (np.diff(distances) > 0).all(), (name, distances)


@settings(max_examples=30)
@given(name=st.sampled_from(GEOMETRIC), seed=st.integers(0, 999))
def test_every_severity_moves_the_picture_farther_than_the_one_before(name, seed):
    # A pixel that tells its own place shows where each pixel came from.
    rows, columns = np.mgrid[10:240:2, 10:240:2]
    pixels = np.stack([rows, columns, rows], axis=2).astype(np.uint8)
    distances = [root_mean_square(changed, pixels) for changed in grades(pixels, name, seed)]
    assert distances[0] > 1
    assert (np.diff(distances) > 0).all(), distances


@settings(max_examples=30)
@given(pixels=PIXELS, name=st.sampled_from(sorted(CORRUPTIONS)), severity=st.sampled_from(SEVERITIES))
def test_shape_and_type_are_kept_and_the_input_is_left_alone(pixels, name, severity):
    before = pixels.copy()
    pixels.flags.writeable = False
    changed = corrupt(pixels, name, severity, 0)
    assert changed.shape == pixels.shape
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_seed_decides_and_nothing_else(name):
    pixels = draw_phantom("pathology", seed=3, size=48).pixels
    first = corrupt(pixels, name, 3, (7, 1))
    np.testing.assert_array_equal(first, corrupt(pixels, name, 3, (7, 1)))
    others = [corrupt(pixels, name, 3, (7, case)) for case in range(2, 12)]
    assert any((first != other).any() for other in others) == (name not in ("blur", "contrast", "jpeg"))


@pytest.mark.parametrize("key", [key for key in MODALITY_KEYS if MODALITIES[key].channels == 1])
def test_grey_images_stay_grey(key):
    pixels = draw_phantom(key, seed=1, size=48).pixels
    for name in proper_to(key):
        changed = corrupt(pixels, name, 4, 0)
        assert (changed == changed[:, :, :1]).all(), name


def test_noise_has_the_strength_that_is_stated():
    pixels = np.full((200, 200, 3), 128, np.uint8)
    assert corrupt(pixels, "noise", 2, 0).std() == pytest.approx(0.04 * 255, rel=0.02)
    assert corrupt(pixels, "speckle", 2, 0).std() == pytest.approx(0.2 * 128, rel=0.02)


def test_brightness_doubles_or_halves_at_most_and_black_stays_black():
    pixels = np.array([[[0, 0, 0], [100, 100, 100], [200, 200, 200]]], np.uint8)
    seen = {tuple(corrupt(pixels, "brightness", 5, seed)[0, :, 0].tolist()) for seed in range(20)}
    assert seen == {(0, 200, 255), (0, 50, 100)}


def test_stain_leaves_colours_without_stain_alone():
    white = np.full((4, 4, 3), 255, np.uint8)
    np.testing.assert_array_equal(corrupt(white, "stain", 5, 0), white)


def test_every_modality_has_its_corruptions():
    for key in MODALITY_KEYS:
        assert set(proper_to(key)) <= set(CORRUPTIONS)
        assert {"blur", "contrast"} <= set(proper_to(key))
    assert "jpeg" not in proper_to("ct")
    assert proper_to("US") == proper_to("ultrasound")


@pytest.mark.parametrize("severity", [0, 6, -1])
def test_a_severity_that_there_is_not_is_refused(severity):
    with pytest.raises(ValueError, match="severity"):
        corrupt(np.zeros((2, 2, 3), np.uint8), "noise", severity, 0)


def test_a_corruption_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="rust"):
        corrupt(np.zeros((2, 2, 3), np.uint8), "rust", 1, 0)
