import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mermed_core.data.phantoms import FINDINGS, NORMAL, draw_phantom, phantom_manifest
from mermed_core.modalities import MODALITIES, MODALITY_KEYS

ALL = [(key, label) for key in MODALITY_KEYS for label in (NORMAL, *FINDINGS[key])]


@pytest.mark.parametrize(("key", "label"), ALL)
def test_a_phantom_has_a_mask_exactly_where_it_has_a_finding(key, label):
    phantom = draw_phantom(key, label, seed=3)
    assert phantom.pixels.shape == (160, 160, 3)
    assert phantom.pixels.dtype == np.uint8
    assert phantom.mask.shape == (160, 160)
    assert phantom.mask.dtype == bool
    assert (phantom.modality, phantom.label) == (key, label)
    assert phantom.mask.any() == (label != NORMAL)
    assert phantom.mask.mean() < 0.5


@pytest.mark.parametrize(("key", "label"), [pair for pair in ALL if pair[1] != NORMAL])
def test_the_finding_changes_the_image_where_the_mask_says(key, label):
    inside = outside = 0.0
    for seed in range(4):
        sick, well = (draw_phantom(key, name, seed=seed) for name in (label, NORMAL))
        changed = np.abs(sick.pixels.astype(int) - well.pixels.astype(int)).mean(axis=2)
        inside += changed[sick.mask].mean()
        outside += changed[~sick.mask].mean()
    assert inside > 3 * outside


@pytest.mark.parametrize("key", MODALITY_KEYS)
def test_the_seed_decides_everything(key):
    first, again, other = (draw_phantom(key, FINDINGS[key][0], seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (first.pixels != other.pixels).mean() > 0.1


@pytest.mark.parametrize("key", MODALITY_KEYS)
def test_grey_modalities_are_grey_and_the_others_are_not(key):
    pixels = draw_phantom(key, seed=0).pixels.astype(int)
    is_grey = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())
    assert is_grey == (MODALITIES[key].channels == 1)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(ALL), st.integers(0, 10_000), st.sampled_from([32, 64, 97]))
def test_any_seed_and_size_can_be_drawn(pair, seed, size):
    phantom = draw_phantom(*pair, seed=seed, size=size)
    assert phantom.pixels.shape == (size, size, 3)
    assert phantom.pixels.std() > 5


def test_a_finding_that_the_modality_does_not_have_is_refused():
    with pytest.raises(ValueError, match="synthetic nodule"):
        draw_phantom("ct", "synthetic drusen", seed=0)


def test_the_manifest_says_synthetic_everywhere():
    manifest = phantom_manifest(40, seed=2)
    frame = manifest.frame
    assert len(manifest) == 40 * 7
    assert frame["source"].str.startswith("phantom_").all()
    assert all(label.startswith("synthetic") for labels in frame["labels"] for label in labels)
    for split, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        assert (frame["split"] == split).mean() == pytest.approx(share, abs=0.001)
    normal = sum(labels == [NORMAL] or list(labels) == [NORMAL] for labels in frame["labels"])
    assert normal == 140
    image = Image.open(io.BytesIO(manifest.image_source(0)))  # pyright: ignore[reportArgumentType]
    assert (image.format, image.size) == ("PNG", (160, 160))


def test_another_seed_gives_other_images():
    first, second = (phantom_manifest(2, seed=seed).frame for seed in (0, 1))
    assert not set(first["image"]) & set(second["image"])
    assert not set(first["case_id"]) & set(second["case_id"])
