import pytest
import torch

from mermed_core.errors import ModelError
from mermed_core.models.backbone import Backbone


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


@pytest.mark.parametrize("architecture", ["test_vit", "swin_tiny_patch4_window7_224"])
def test_a_transformer_takes_the_smaller_crops_of_multi_crop(architecture):
    backbone = Backbone(architecture, image_size=64).eval()
    for size in (64, 32):
        backbone.check_size(size)
        assert backbone(torch.randn(1, 3, size, size)).shape == (1, backbone.dim)


def test_a_size_that_an_encoder_cannot_take_is_a_sentence_and_changes_nothing():
    backbone = Backbone("cait_xxs24_224", image_size=64).train()
    with pytest.raises(ModelError, match="'cait_xxs24_224' cannot take images of 64 × 64 pixels"):
        backbone.check_size(64)
    assert all(module.training for module in backbone.modules())


def test_a_swins_feature_map_lies_as_the_image_does():
    """What changes in a corner of the image changes there, in each of the layers that are looked at."""
    backbone = Backbone("swin_tiny_patch4_window7_224", image_size=224).eval()
    layers = backbone.cam_layers()
    image = torch.zeros(1, 3, 224, 224)
    marked = image.clone()
    marked[..., 168:, :56] = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    seen = []
    for layer in layers:
        layer.register_forward_hook(lambda *call: seen.append(backbone.to_feature_map(call[2])))
    with torch.no_grad():
        backbone(image)
        backbone(marked)
    for before, after, cells in zip(seen[:2], seen[2:], (14, 7), strict=True):
        change = (after - before).abs().sum(dim=1)[0]
        assert change.shape == (cells, cells)
        assert change[cells // 2 :, : cells // 2].sum() > 0.6 * change.sum()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 16, 5), (2, 5, 4, 4)),
        ((2, 17, 5), (2, 5, 4, 4)),
        ((2, 4, 4, 5), (2, 5, 4, 4)),
        ((2, 5, 4, 4), (2, 5, 4, 4)),
        ((2, 4, 4, 4), (2, 4, 4, 4)),
    ],
)
def test_a_feature_map_is_found_with_and_without_class_token_and_with_channels_last(shape, expected):
    assert Backbone("test_vit", image_size=64).to_feature_map(torch.zeros(shape)).shape == expected


@pytest.mark.parametrize("activations", [torch.zeros(2, 19, 5), torch.zeros(2, 5), [torch.zeros(2, 16, 5)]])
def test_what_is_no_feature_map_is_a_sentence(activations):
    with pytest.raises(ModelError, match="activations of 'test_vit' are no feature map"):
        Backbone("test_vit", image_size=64).to_feature_map(activations)


def test_a_list_of_stages_that_is_not_the_models_is_a_sentence():
    with pytest.raises(ModelError, match="No feature map is known for 'mvitv2_tiny'"):
        Backbone("mvitv2_tiny", image_size=64).cam_layers()


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
