"""Class activation maps against HiResCAM worked out by hand, and that two users never mix."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.transform import resize

from mermed_core.inference.saliency import Explainer
from mermed_core.models.embedder import Embedder
from mermed_core.models.heads import Head

CPU = torch.device("cpu")


def made_up_head(dim: int) -> Head:
    weight = np.random.default_rng(0).normal(size=(2, dim)).astype(np.float32)
    return Head("lung", "ct", "multiclass", ("a", "b"), weight, np.zeros(2, np.float32), 1.0, 1)


def picture(seed: int, shape=(60, 90, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def by_hand(embedder: Embedder, head: Head, label: int, pixels: np.ndarray) -> list[np.ndarray]:
    """HiResCAM of each layer: every activation times its own gradient, summed over channels, cut at zero."""
    kept = []
    hooks = [
        layer.register_forward_hook(lambda *call: kept.append(call[2]))
        for layer in embedder.backbone.cam_layers()
    ]
    image = embedder.prepare(pixels, "ct")[None].requires_grad_(True)
    vector = torch.nn.functional.normalize(embedder.backbone(image), dim=1)
    for hook in hooks:
        hook.remove()
    score = (vector @ torch.from_numpy(head.weight).T)[0, label]
    gradients = torch.autograd.grad(score, kept)
    return [
        (gradient * values).sum(1)[0].clamp(min=0).detach().numpy()
        for values, gradient in zip(kept, gradients, strict=True)
    ]


@pytest.mark.parametrize("label", ["a", "b"])
def test_the_peak_and_the_map_are_those_of_hires_cam(embedder, label):
    head, pixels = made_up_head(embedder.backbone.dim), picture(1)
    saliency = Explainer(embedder).explain(pixels, "ct", head, label)
    layers = by_hand(embedder, head, head.classes.index(label), pixels)
    assert len(layers) == 2
    assert saliency.peak == pytest.approx(max(float(layer.max()) for layer in layers), rel=1e-3, abs=1e-7)
    side = embedder.config.preprocessing.image_size
    stretched = [(layer - layer.min()) / np.ptp(layer) for layer in layers]
    mean = np.mean([np.asarray(resize(layer, (side, side), order=1)) for layer in stretched], axis=0)
    expected = np.asarray(resize(gaussian_filter(mean, 0.025 * side), (60, 90), order=1))
    assert np.corrcoef(expected.ravel(), saliency.heat.ravel())[0, 1] > 0.98


def test_the_map_has_the_size_of_the_image_and_a_scale_from_0_to_1(embedder):
    saliency = Explainer(embedder).explain(picture(2), "ct", made_up_head(embedder.backbone.dim), "a")
    assert saliency.heat.shape == (60, 90)
    assert saliency.heat.dtype == np.float32
    assert 0 <= saliency.heat.min() <= saliency.heat.max() <= 1
    assert (saliency.task, saliency.label, saliency.method) == ("lung", "a", "HiResCAM")


def test_a_vit_is_explained_too(tmp_path, make_model):
    embedder = make_model(tmp_path / "vit", architecture="test_vit")
    saliency = Explainer(embedder).explain(picture(3), "ct", made_up_head(embedder.backbone.dim), "b")
    assert saliency.heat.shape == (60, 90)
    assert np.isfinite(saliency.heat).all()


def test_many_at_once_get_each_their_own_map(embedder):
    explainer, head = Explainer(embedder), made_up_head(embedder.backbone.dim)
    pictures = [picture(seed) for seed in range(12)]

    def explain(pixels: np.ndarray) -> np.ndarray:
        return explainer.explain(pixels, "ct", head, "a").heat

    alone = [explain(pixels) for pixels in pictures]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(explain, pictures))
    for left, right in zip(alone, together, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-4)


def test_it_leaves_the_serving_encoder_without_hooks_and_gradients(embedder):
    Explainer(embedder).explain(picture(4), "ct", made_up_head(embedder.backbone.dim), "a")
    assert not any(module._forward_hooks for module in embedder.backbone.modules())
    assert all(parameter.grad is None for parameter in embedder.backbone.parameters())


@pytest.mark.parametrize("shape", [(30, 90, 3), (91, 40, 3)])
def test_a_padded_image_has_the_map_of_its_part_of_the_square(embedder, shape):
    padding = replace(embedder.config, preprocessing=replace(embedder.config.preprocessing, resize="pad"))
    padded = Embedder(embedder.backbone, padding, "made up", embedder.device)
    head, pixels = made_up_head(embedder.backbone.dim), picture(5, shape)
    height, width = shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + height, left : left + width] = pixels
    whole = Explainer(embedder).explain(square, "ct", head, "a").heat
    part = Explainer(padded).explain(pixels, "ct", head, "a").heat
    np.testing.assert_allclose(part, whole[top : top + height, left : left + width], atol=1e-4)


def test_a_class_that_the_head_does_not_have_is_refused(embedder):
    with pytest.raises(ValueError, match="not in"):
        Explainer(embedder).explain(picture(6), "ct", made_up_head(embedder.backbone.dim), "c")


@pytest.mark.parametrize("way", ["squash", "pad"])
def test_a_frame_that_is_left_out_stays_cold(embedder, way):
    preprocessing = replace(embedder.config.preprocessing, resize=way, trim=True)
    trimming = Embedder(embedder.backbone, replace(embedder.config, preprocessing=preprocessing), "", CPU)
    head, inner = made_up_head(embedder.backbone.dim), picture(3)
    framed = np.pad(inner, ((20, 10), (5, 30), (0, 0)), constant_values=255)
    heat = Explainer(trimming).explain(framed, "ct", head, "a").heat
    alone = Explainer(trimming).explain(inner, "ct", head, "a").heat
    assert heat.shape == framed.shape[:2]
    np.testing.assert_array_equal(heat[20:-10, 5:-30], alone)
    assert heat.sum() == pytest.approx(alone.sum())
