import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mermed_core.modalities import MODALITIES
from mermed_core.models.preprocessing import (
    IMAGENET,
    Preprocessing,
    normalise,
    pad_to_square,
    paper_normalisation,
    timm_normalisation,
    to_tensor,
)

FLAT = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_pixels_are_normalised_as_by_hand():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    shown = Preprocessing(16, "squash", IMAGENET)(pixels).numpy()
    expected = (pixels / 255.0 - np.array(IMAGENET[0])) / np.array(IMAGENET[1])
    np.testing.assert_allclose(shown, expected.transpose(2, 0, 1), atol=1e-5)


def test_each_modality_has_the_papers_statistics_and_an_unknown_one_the_neutral():
    preprocessing = Preprocessing(8, "squash", IMAGENET, paper_normalisation())
    for key, modality in MODALITIES.items():
        assert preprocessing.statistics(key) == (modality.mean, modality.std)
    assert preprocessing.statistics(None) == IMAGENET


def test_padding_keeps_the_shape_of_what_is_seen_and_adds_black():
    pixels = np.full((10, 30, 3), 200, np.uint8)
    shown = Preprocessing(30, "pad", FLAT)(pixels)
    assert torch.allclose(shown[:, 10:20], torch.full((3, 10, 30), 200 / 255))
    assert shown[:, :10].abs().max() == 0
    assert shown[:, 20:].abs().max() == 0


def test_squashing_fills_the_square():
    shown = Preprocessing(12, "squash", FLAT)(np.full((10, 30, 3), 200, np.uint8))
    assert torch.allclose(shown, torch.full((3, 12, 12), 200 / 255))


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_padded_image_is_square_and_whole(height, width):
    image = torch.ones(3, height, width, dtype=torch.uint8)
    padded = pad_to_square(image)
    assert padded.shape == (3, max(height, width), max(height, width))
    assert int(padded.sum()) == 3 * height * width


def test_it_survives_a_trip_through_json():
    before = Preprocessing(96, "pad", IMAGENET, paper_normalisation())
    assert Preprocessing(**json.loads(json.dumps(before.to_dict()))) == before


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("tf_efficientnet_lite0", ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))),
        ("convnext_tiny", IMAGENET),
        ("no_such_network", IMAGENET),
    ],
)
def test_the_statistics_of_a_timm_architecture_are_those_of_its_weights(architecture, expected):
    assert timm_normalisation(architecture) == expected


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)]
)
def test_pixels_of_another_range_or_shape_are_refused(pixels):
    with pytest.raises(ValueError, match="uint8"):
        to_tensor(pixels)


def test_the_tensor_does_not_share_memory_with_the_pixels():
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels.flags.writeable = False
    to_tensor(pixels).add_(1)
    assert pixels.max() == 0


def test_normalise_works_on_batches():
    images = torch.rand(2, 3, 4, 4)
    single = torch.stack([normalise(image, IMAGENET) for image in images])
    assert torch.equal(normalise(images, IMAGENET), single)


def test_a_frame_changes_nothing_where_it_is_left_out():
    picture = np.random.default_rng(3).integers(40, 220, (40, 50, 3), dtype=np.uint8)
    framed = np.pad(picture, ((6, 9), (4, 12), (0, 0)), constant_values=255)
    trimming = Preprocessing(16, "squash", FLAT, trim=True)
    assert torch.equal(trimming(framed), Preprocessing(16, "squash", FLAT)(picture))
    assert not torch.equal(trimming(framed), Preprocessing(16, "squash", FLAT)(framed))


def test_the_choice_to_trim_is_written_only_where_it_was_made():
    assert "trim" not in Preprocessing().to_dict()
    assert Preprocessing(**Preprocessing(trim=True).to_dict()) == Preprocessing(trim=True)
