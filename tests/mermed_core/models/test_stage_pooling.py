"""Pooled stages against means and deviations worked out by hand, and the way into a model folder and back."""

import numpy as np
import pytest
import torch

from mermed_core.errors import ManifestError, ModelError
from mermed_core.files import write_folder
from mermed_core.fitting.pooled_stages import pool_stages
from mermed_core.models.backbone import Backbone
from mermed_core.models.embedder import Embedder, embed_manifest
from mermed_core.models.model_folder import CONFIG, WEIGHTS, load_model, save_model
from mermed_core.models.pretrained import start_backbone
from mermed_core.models.stage_pooling import StagePooling, centre_weights


@pytest.fixture(scope="module")
def result(embedder, phantoms) -> Embedder:
    return pool_stages(embedder, phantoms, 2, size=64, centre_sigma=0.25)


def test_it_is_the_mean_and_deviation_of_every_channel_standardised():
    pooled, maps = torch.randn(3, 4), [torch.randn(3, 2, 5, 5), torch.randn(3, 6, 3, 3)]
    pooling = StagePooling(4 + 2 * (2 + 6))
    plain = pooling(pooled, maps).numpy()
    expected = [pooled.numpy() / np.linalg.norm(pooled.numpy(), axis=1, keepdims=True)]
    for each in maps:
        flat = each.flatten(2).numpy()
        expected += [flat.mean(axis=2), flat.std(axis=2)]
    np.testing.assert_allclose(plain, np.concatenate(expected, axis=1), atol=1e-5)
    pooling.fit(torch.from_numpy(plain))
    fitted = pooling(pooled, maps).numpy()
    np.testing.assert_allclose(fitted.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(fitted.std(axis=0), 1, atol=1e-4)


def test_with_a_centre_sigma_the_centre_follows_the_whole():
    pooled, values, centre_sigma = torch.randn(2, 3), torch.randn(2, 4, 5, 7), 0.25
    centred = StagePooling(3 + 4 * 4, centre_sigma)(pooled, [values]).numpy()
    weights = np.empty((5, 7))
    for row, column in np.ndindex(5, 7):
        down, right = (row - 2) / 5, (column - 3) / 7
        weights[row, column] = np.exp(-(down**2 + right**2) / (2 * centre_sigma**2))
    flat, weights = values.flatten(2).numpy(), weights.ravel()
    mean = np.average(flat, axis=2, weights=weights)
    deviation = np.sqrt(np.average((flat - mean[..., None]) ** 2, axis=2, weights=weights))
    np.testing.assert_allclose(centred[:, 11:], np.concatenate([mean, deviation], axis=1), atol=1e-5)
    np.testing.assert_allclose(centred[:, :11], StagePooling(3 + 2 * 4)(pooled, [values]).numpy(), atol=1e-6)


def test_a_wide_centre_is_the_whole_and_a_narrow_one_the_cells_in_the_middle():
    torch.testing.assert_close(centre_weights(4, 6, 1e3), torch.full((4, 6), 1 / 24))
    central = torch.zeros(4, 5)
    central[1:3, 2] = 0.5
    torch.testing.assert_close(centre_weights(4, 5, 1e-4), central)


def test_a_centre_sigma_without_stages_is_a_sentence():
    with pytest.raises(ModelError, match="needs stages"):
        Backbone("test_efficientnet", image_size=64, centre_sigma=0.1)


def test_a_channel_that_never_changes_does_not_blow_up():
    pooling = StagePooling(2)
    pooling.fit(torch.tensor([[1.0, 3.0], [1.0, 5.0]]))
    assert pooling.scale.tolist() == [1.0, 1.0]
    features = torch.tensor([[1.0, 4.0]])
    assert ((features - pooling.center) / pooling.scale).tolist() == [[0.0, 0.0]]


def test_a_map_that_is_the_same_everywhere_has_a_finite_gradient():
    maps = [torch.ones(1, 2, 3, 3, requires_grad=True)]
    StagePooling(1 + 4)(torch.ones(1, 1), maps).sum().backward()
    assert maps[0].grad is not None
    assert torch.isfinite(maps[0].grad).all()


@pytest.mark.parametrize("centre_sigma", [0.0, 0.25])
@pytest.mark.parametrize("architecture", ["test_efficientnet", "test_vit", "test_resnet", "test_convnext"])
def test_any_encoder_can_pool_its_stages(architecture, centre_sigma):
    backbone = Backbone(architecture, image_size=64, pooled_stages=2, centre_sigma=centre_sigma).eval()
    assert backbone(torch.randn(2, 3, 64, 64)).shape == (2, backbone.dim)
    assert backbone.dim > Backbone(architecture, image_size=64).dim


def test_more_stages_than_there_are_is_a_sentence():
    with pytest.raises(ModelError, match="no 9 stages"):
        Backbone("test_efficientnet", image_size=64, pooled_stages=9)


def test_training_images_are_standardised_and_the_weights_are_as_they_were(result, embedder, phantoms):
    train = embed_manifest(result, phantoms.split("train"), unit=False).vectors
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(train.std(axis=0)[train.std(axis=0) > 0.5], 1, atol=1e-2)
    ours, theirs = (each.backbone.encoder.state_dict() for each in (result, embedder))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (result.config.pooled_stages, result.config.preprocessing.image_size) == (2, 64)
    assert result.config.centre_sigma == 0.25


def test_a_model_folder_gives_the_same_embedding(result, tmp_path):
    with write_folder(tmp_path / "model") as staging:
        save_model(staging, result.backbone, result.config)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    again = Embedder.load(tmp_path / "model")
    np.testing.assert_allclose(again.embed(pixels, "ct"), result.embed(pixels, "ct"), atol=1e-6)
    assert again.config == result.config


def test_it_can_start_a_run_and_the_pooling_is_left_out(result, tmp_path):
    with write_folder(tmp_path / "model") as staging:
        save_model(staging, result.backbone, result.config)
    started = start_backbone("test_efficientnet", str(tmp_path / "model"), image_size=48)
    ours, theirs = started.encoder.state_dict(), result.backbone.encoder.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_weights_and_config_that_disagree_are_refused(result, embedder, encoder_folder, tmp_path):
    with write_folder(tmp_path / "model") as staging:
        save_model(staging, result.backbone, result.config)
    for folder, other in ((tmp_path / "model", encoder_folder), (encoder_folder, tmp_path / "model")):
        mixed = tmp_path / f"mixed_{other.parent.name}"
        mixed.mkdir()
        (mixed / CONFIG).write_bytes((folder / CONFIG).read_bytes())
        (mixed / WEIGHTS).write_bytes((other / WEIGHTS).read_bytes())
        with pytest.raises(ModelError, match="do not fit"):
            load_model(mixed)


def test_a_vit_stays_at_its_size_and_images_to_standardise_on_are_needed(make_model, phantoms, tmp_path):
    vit = make_model(tmp_path / "vit", architecture="test_vit")
    with pytest.raises(ModelError, match="another size"):
        pool_stages(vit, phantoms, 2, size=96)
    with pytest.raises(ManifestError, match="train split"):
        pool_stages(vit, phantoms.split("test"), 2)
