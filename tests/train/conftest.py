"""An encoder with random weights, for steps that need one."""

from pathlib import Path

import pytest
import torch

from mermed_core.files import write_folder
from mermed_core.models.backbone import Backbone
from mermed_core.models.model_folder import ModelConfig, save_model
from mermed_core.models.preprocessing import IMAGENET, Preprocessing


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    backbone = Backbone("test_efficientnet", image_size=48).eval()
    config = ModelConfig("tiny", "test_efficientnet", Preprocessing(48, "squash", IMAGENET), {}, "CC0")
    with write_folder(tmp_path / "encoder") as staging:
        save_model(staging, backbone, config)
    return tmp_path / "encoder"
