"""Every kind of encoder opens with its own preprocessing, and what cannot be opened is an error."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from torch import nn

from mermed_core.errors import EvaluationError, ModelError
from mermed_core.evaluation.encoders import open_encoder

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_a_model_folder_is_opened_with_its_own_name(encoder_folder):
    embedder = open_encoder(str(encoder_folder))
    assert embedder.config.name == "tiny"
    assert np.linalg.norm(embedder.embed(PIXELS, "ct")) == pytest.approx(1, abs=1e-5)


def test_a_size_that_an_architecture_cannot_take_is_a_sentence():
    with pytest.raises(ModelError, match="'cait_xxs24_224' cannot take images of 96 × 96 pixels"):
        open_encoder("random:cait_xxs24_224@96")


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


def sizes(monkeypatch, *specs):
    """Returns the img_size that timm is asked for, of each encoder."""
    asked = []

    def create(name, **options):
        asked.append(options.get("img_size"))
        return timm.models.create_model("test_efficientnet", num_classes=0)

    monkeypatch.setattr("mermed_core.evaluation.encoders.timm.create_model", create)
    for spec in specs:
        assert open_encoder(spec).config.preprocessing.image_size == 96
    return asked


def test_what_is_made_for_one_size_is_told_another(monkeypatch):
    fixed = ["vit_small_patch16_224.dino", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]
    assert sizes(monkeypatch, *(f"{name}@96" for name in fixed)) == [96] * 3


def test_convolutions_take_any_size_whatever_their_name(monkeypatch):
    any_size = ["repvit_m1", "fastvit_t8", "mobilevit_s", "resnet18"]
    assert sizes(monkeypatch, *(f"{name}@96" for name in any_size)) == [None] * 4


def test_a_model_of_the_hub_says_itself_what_it_is(monkeypatch):
    architectures = {"someone/uni": "vit_large_patch16_224", "someone/vit-lookalike": "resnet18"}
    monkeypatch.setattr(
        "mermed_core.evaluation.encoders.load_model_config_from_hf",
        lambda name: ({}, architectures[name], {}),
    )
    specs = ("hf_hub:someone/uni@96", "hf_hub:someone/vit-lookalike@96", "timm:hf_hub:someone/uni@96")
    assert sizes(monkeypatch, *specs) == [96, None, 96]


def test_a_vit_sees_the_size_asked_for(monkeypatch):
    real = timm.create_model

    def create(name, pretrained, **options):
        return real(name, **options)

    monkeypatch.setattr("mermed_core.evaluation.encoders.timm.create_model", create)
    assert open_encoder("test_vit@64").embed(PIXELS, None).shape == (64,)


class Clip(nn.Module):
    """Looks like a model of open_clip."""

    def __init__(self, side):
        super().__init__()
        self.visual = SimpleNamespace(image_size=side, image_mean=[0.5] * 3, image_std=[0.25] * 3)
        self.scale = nn.Parameter(torch.ones(1))

    def encode_image(self, images):
        return self.scale * images.mean(dim=(2, 3))


def clip(monkeypatch, create):
    """Installs an open_clip that makes models so."""
    monkeypatch.setitem(sys.modules, "open_clip", SimpleNamespace(create_model_and_transforms=create))


def test_names_of_open_clip_are_model_and_tag_or_a_name_of_the_hub(monkeypatch):
    asked = []

    def create(name, pretrained=None, force_image_size=None):
        asked.append((name, pretrained))
        return Clip((force_image_size or 24,) * 2), None, None

    clip(monkeypatch, create)
    hub = "hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"
    embedder = open_encoder(f"open_clip:{hub}")
    assert open_encoder("open_clip:ViT-B-32/openai@48").config.preprocessing.image_size == 48
    assert asked == [(hub, None), ("ViT-B-32", "openai")]
    assert embedder.config.preprocessing.image_size == 24
    image = embedder.prepare(PIXELS, None).mean(dim=(1, 2)).numpy()
    np.testing.assert_allclose(embedder.embed(PIXELS, None), image / np.linalg.norm(image), atol=1e-6)


def test_what_open_clip_refuses_is_told(monkeypatch):
    def unknown(name, pretrained=None):
        raise RuntimeError(f"Model config for {name} not found.")

    clip(monkeypatch, unknown)
    with pytest.raises(EvaluationError, match="cannot open 'nothing/known': Model config for nothing not"):
        open_encoder("open_clip:nothing/known")
    with pytest.raises(EvaluationError, match="force_image_size"):
        open_encoder("open_clip:ViT-B-32/openai@48")
    with pytest.raises(EvaluationError, match="which weights; write open_clip:NAME/TAG"):
        open_encoder("open_clip:ViT-B-32")


def test_a_clip_that_keeps_its_own_size_is_refused_another(monkeypatch):
    clip(monkeypatch, lambda name, pretrained, force_image_size: (Clip(24), None, None))
    with pytest.raises(EvaluationError, match="for 24 px only; leave out @48"):
        open_encoder("open_clip:ViT-B-32/openai@48")
    assert open_encoder("open_clip:ViT-B-32/openai@24").config.preprocessing.image_size == 24


def test_a_hub_out_of_reach_is_told(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("mermed_core.evaluation.encoders.timm.create_model", refuse)
    with pytest.raises(EvaluationError, match="cannot be downloaded from the hub: no network"):
        open_encoder("timm:test_efficientnet")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("nothing_known", "is not an encoder"),
        ("random:", "names nothing"),
        ("random:nothing_known", "no architecture 'nothing_known'"),
        ("timm:nothing_known", "no architecture 'nothing_known'"),
        ("random:test_efficientnet@large", "not a whole number"),
        ("weights:test_efficientnet", "weights:NAME=START"),
        ("open_clip:ViT-B-32/openai", "open_clip_torch"),
    ],
)
def test_what_cannot_be_opened_is_an_error(spec, told, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)  # as if it were not installed
    with pytest.raises(EvaluationError, match=told):
        open_encoder(spec)


def test_weights_that_are_not_there_are_an_error(tmp_path):
    with pytest.raises(ModelError):
        open_encoder(f"weights:test_efficientnet={tmp_path / 'none.pth'}")
