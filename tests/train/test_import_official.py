import argparse

import pytest
import timm
import torch

from mermed_core.errors import OccupiedError
from mermed_core.models.model_folder import load_model
from train.import_official import main

NAME = "vit_tiny_patch16_224"


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    vit = timm.create_model(NAME, num_classes=0)
    teacher = {f"module.backbone.{name}": tensor for name, tensor in vit.state_dict().items()}
    torch.save({"teacher": teacher, "args": argparse.Namespace(lr=1)}, tmp_path / "MerMED.pth")
    return tmp_path / "MerMED.pth", vit.eval()


@pytest.mark.parametrize(("options", "own"), [((), False), (("--normalisation", "modality"), True)])
def test_the_folder_is_a_model_with_the_chosen_preprocessing(tmp_path, weights, options, own):
    path, vit = weights
    main([str(path), "--out", str(tmp_path / "model"), "--architecture", NAME, *options])
    backbone, config = load_model(tmp_path / "model")
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), vit(images))
    assert (config.preprocessing.image_size, config.preprocessing.resize) == (224, "squash")
    assert bool(config.preprocessing.modalities) == own
    assert config.training["loaded"]["taken"] == len(vit.state_dict())
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "Research use only" in card
    assert "CC BY-NC 4.0" in card


def test_what_stands_in_the_folder_is_not_lost(tmp_path, weights):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(OccupiedError):
        main([str(weights[0]), "--out", str(tmp_path / "mine"), "--architecture", NAME])
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"
