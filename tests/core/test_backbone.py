import pytest
import torch

from mermed_core.backbone import Backbone
from mermed_core.errors import ModelError


@pytest.mark.parametrize("architecture", ["test_efficientnet", "test_vit", "test_resnet", "test_convnext"])
def test_any_encoder_gives_embeddings_and_a_feature_map(architecture):
    backbone = Backbone(architecture, image_size=64).eval()
    seen = []
    hook = backbone.cam_layers()[-1].register_forward_hook(lambda *call: seen.append(call[2]))
    vectors = backbone(torch.randn(2, 3, 64, 64))
    hook.remove()
    assert vectors.shape == (2, backbone.dim)
    grid = backbone.to_feature_map(seen[0])
    assert grid.ndim == 4
    assert grid.shape[0] == 2
    assert grid.shape[2] == grid.shape[3] > 1


def test_a_vit_takes_the_smaller_crops_of_multi_crop():
    backbone = Backbone("test_vit", image_size=64).eval()
    assert backbone(torch.randn(1, 3, 32, 32)).shape == (1, backbone.dim)


def test_an_architecture_that_timm_does_not_have_is_a_sentence():
    with pytest.raises(ModelError, match="no_such_network"):
        Backbone("no_such_network", image_size=32)


def test_an_encoder_without_a_known_feature_map_is_a_sentence(monkeypatch):
    backbone = Backbone("test_mambaout", image_size=32)
    monkeypatch.setattr(backbone.encoder, "feature_info", [])
    with pytest.raises(ModelError, match="test_mambaout"):
        backbone.cam_layers()


@pytest.mark.parametrize(
    ("image_size", "stages"),
    [
        (224, ["blocks.4", "blocks.6"]),
        (160, ["blocks.2", "blocks.4"]),
        (14, ["blocks.0"]),
        (8, ["blocks.0"]),
    ],
)
def test_a_convnet_is_explained_at_the_two_deepest_stages_of_seven_cells_or_more(image_size, stages):
    backbone = Backbone("tf_efficientnet_lite0", image_size=image_size)
    assert backbone.cam_layers() == [backbone.encoder.get_submodule(stage) for stage in stages]


def test_a_vit_is_explained_where_patch_tokens_still_reach_the_embedding():
    backbone = Backbone("test_vit", image_size=64)
    norms = [module for name, module in backbone.encoder.named_modules() if name.endswith(".norm1")]
    assert backbone.cam_layers() == norms[-1:]
