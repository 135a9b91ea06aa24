"""The published weights become a model folder; nothing else is lost for it."""

import argparse

import pytest
import timm
import torch

from mermed_core.cli import main
from mermed_core.models.model_folder import load_model

NAME = "test_vit"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    vit = timm.create_model(NAME, num_classes=0, img_size=224)
    teacher = {f"module.backbone.{name}": tensor for name, tensor in vit.state_dict().items()}
    path = tmp_path_factory.mktemp("official") / "MerMED.pth"
    torch.save({"teacher": teacher, "args": argparse.Namespace(lr=1)}, path)
    return path, vit.eval()


@pytest.mark.parametrize(("options", "own"), [((), False), (("--normalisation", "modality"), True)])
def test_the_folder_is_a_model_with_the_chosen_preprocessing(tmp_path, weights, options, own):
    path, vit = weights
    out = tmp_path / "model"
    assert main(["import-official", str(path), "--out", str(out), "--architecture", NAME, *options]) == 0
    backbone, config = load_model(out)
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), vit(images))
    assert (config.preprocessing.image_size, config.preprocessing.resize) == (224, "squash")
    assert bool(config.preprocessing.modalities) == own
    assert config.training["loaded"]["taken"] == len(vit.state_dict())
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "Research use only" in card
    assert "CC BY-NC 4.0" in card


def test_a_folder_with_something_else_is_kept(tmp_path, weights, error_of):
    (tmp_path / "thesis.txt").write_text("years")
    assert error_of("import-official", weights[0], "--out", tmp_path, "--architecture", NAME)[0] == 1
    assert (tmp_path / "thesis.txt").read_text() == "years"
