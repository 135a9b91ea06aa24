"""Class activation maps worked out by hand on one layer; test_explain has the mean over several."""

import copy

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.transform import resize

from mermed_core.models.cam import METHODS, activation_map

SIDE = 64


@pytest.fixture
def backbone(embedder):
    return copy.deepcopy(embedder.backbone).requires_grad_(False)


def weights(backbone):
    return np.random.default_rng(0).normal(size=backbone.dim).astype(np.float32)


def image():
    return torch.from_numpy(np.random.default_rng(1).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32))


def by_hand(backbone, elementwise):
    """Grad-CAM weighs a channel by its mean gradient, HiResCAM (Draelos 2020) each cell by its own."""
    kept = []
    hook = backbone.cam_layers()[0].register_forward_hook(lambda *call: kept.append(call[2]))
    vector = torch.nn.functional.normalize(backbone(image().requires_grad_(True)), dim=1)
    hook.remove()
    (gradient,) = torch.autograd.grad((vector @ torch.from_numpy(weights(backbone)))[0], kept[0])
    weight = gradient if elementwise else gradient.mean((2, 3), keepdim=True)
    return (weight * kept[0]).sum(1)[0].clamp(min=0).detach().numpy()


@pytest.mark.parametrize(("name", "elementwise"), [("Grad-CAM", False), ("HiResCAM", True)])
def test_a_map_is_that_of_its_paper(backbone, monkeypatch, name, elementwise):
    one = backbone.cam_layers()[:1]
    monkeypatch.setattr(backbone, "cam_layers", lambda: one)
    result = activation_map(backbone, image(), weights(backbone), name)
    expected = by_hand(backbone, elementwise)
    assert result.peak == pytest.approx(float(expected.max()), rel=1e-3)
    stretched = gaussian_filter(resize(expected, (SIDE, SIDE), order=1), 0.025 * SIDE)
    assert np.corrcoef(stretched.ravel(), result.heat.ravel())[0, 1] > 0.98
    assert result.heat.max() == pytest.approx(1)


@pytest.mark.parametrize("name", METHODS)
def test_every_map_is_finite_and_leaves_the_encoder_without_hooks(backbone, name):
    result = activation_map(backbone, image(), weights(backbone), name)
    assert result.heat.shape == (SIDE, SIDE)
    assert 0 <= result.heat.min() <= result.heat.max() <= 1
    assert np.isfinite(result.peak)
    assert not any(module._forward_hooks for module in backbone.modules())


def test_an_image_that_speaks_against_the_class_everywhere_has_no_peak(backbone):
    result = activation_map(backbone, image(), np.zeros(backbone.dim, np.float32))
    assert result.peak == 0
    assert not result.heat.any()
