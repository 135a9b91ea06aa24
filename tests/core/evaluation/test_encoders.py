"""Every kind of encoder opens with its own preprocessing, and what cannot be had is told."""

import numpy as np
import pytest
import timm
import torch

from mermed_core.errors import EvaluationError, ModelError
from mermed_core.evaluation.encoders import open_encoder

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_a_model_folder_is_opened_with_its_own_name(encoder_folder):
    embedder = open_encoder(str(encoder_folder))
    assert embedder.config.name == "tiny"
    assert np.linalg.norm(embedder.embed(PIXELS, "ct")) == pytest.approx(1, abs=1e-5)


def test_random_weights_are_the_same_each_time_and_of_the_size_asked_for():
    first, second = (open_encoder("random:test_efficientnet@48") for _ in range(2))
    assert first.config.preprocessing.image_size == 48
    assert first.fingerprint == second.fingerprint
    np.testing.assert_array_equal(first.embed(PIXELS, None), second.embed(PIXELS, None))
    assert open_encoder("random:test_efficientnet@64").fingerprint != first.fingerprint


def test_raw_pixels_are_the_normalised_image():
    embedder = open_encoder("pixels@8")
    prepared = embedder.prepare(PIXELS, None).flatten().numpy()
    np.testing.assert_allclose(embedder.embed(PIXELS, None), prepared / np.linalg.norm(prepared), atol=1e-6)


def test_weights_start_as_a_recipe_would(tmp_path):
    torch.manual_seed(3)
    model = timm.create_model("test_efficientnet", num_classes=0)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    embedder = open_encoder(f"weights:test_efficientnet={tmp_path / 'weights.pth'}@48")
    image = embedder.prepare(PIXELS, None)[None]
    expected = torch.nn.functional.normalize(model.eval()(image))[0].detach().numpy()
    np.testing.assert_allclose(embedder.embed(PIXELS, None), expected, atol=1e-5)


def test_a_timm_name_takes_its_pretrained_weights_and_their_preprocessing(monkeypatch):
    asked = []

    def create(name, **options):
        asked.append((name, options))
        return timm.models.create_model("test_efficientnet", num_classes=0)

    monkeypatch.setattr("mermed_core.evaluation.encoders.timm.create_model", create)
    for spec in ("test_efficientnet", "timm:test_efficientnet", "hf_hub:someone/model"):
        open_encoder(spec)
    names = ["test_efficientnet", "test_efficientnet", "hf-hub:someone/model"]
    assert [name for name, _ in asked] == names
    assert all(options["pretrained"] for _, options in asked)
    assert open_encoder("test_efficientnet").config.preprocessing.image_size == 160


def test_a_hub_out_of_reach_is_told(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("mermed_core.evaluation.encoders.timm.create_model", refuse)
    with pytest.raises(EvaluationError, match="cannot be had from the hub: no network"):
        open_encoder("timm:test_efficientnet")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("nothing_known", "is no encoder"),
        ("random:", "names no encoder"),
        ("random:nothing_known", "no architecture 'nothing_known'"),
        ("timm:nothing_known", "no architecture 'nothing_known'"),
        ("random:test_efficientnet@large", "no size in pixels"),
        ("weights:test_efficientnet", "weights:NAME=START"),
        ("open_clip:ViT-B-32/openai", "open_clip_torch"),
    ],
)
def test_what_cannot_be_opened_is_told(spec, told):
    with pytest.raises(EvaluationError, match=told):
        open_encoder(spec)


def test_weights_that_are_not_there_are_told(tmp_path):
    with pytest.raises(ModelError):
        open_encoder(f"weights:test_efficientnet={tmp_path / 'none.pth'}")
