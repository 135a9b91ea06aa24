"""A ViT whose last block computes the class token alone, against timm's own."""

import copy
from typing import cast

import pytest
import timm
import torch
from timm.models import VisionTransformer

from mermed_core.pretraining.class_token import end_in_class_token
from mermed_core.pretraining.distributed import Ranks
from mermed_core.pretraining.pair import build_pair

OPTIONS = [{}, {"qkv_bias": False}, {"init_values": 0.1, "qk_norm": True}, {"scale_attn_norm": True}]


def vit(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=48, depth=3, num_classes=0, **options)
    return model.double()


@pytest.mark.parametrize("options", OPTIONS)
def test_embedding_and_gradients_are_those_of_the_whole_block(options):
    whole = vit(**options)
    ours = copy.deepcopy(whole)
    assert end_in_class_token(ours)
    images, direction = torch.randn(3, 3, 48, 48).double(), torch.randn(3, 192).double()
    found = [(model, model(images)) for model in (whole, ours)]
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=1e-10)
    for _, embedding in found:
        (embedding * direction).sum().backward()
    theirs = dict(whole.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=0, atol=1e-10)


def test_stochastic_depth_is_drawn_alike():
    whole = vit(drop_path_rate=0.5).train()
    ours = copy.deepcopy(whole)
    end_in_class_token(ours)
    images, found = torch.randn(8, 3, 48, 48).double(), []
    for model in (whole, ours):
        torch.manual_seed(1)
        found.append(model(images))
    torch.testing.assert_close(*found)


def test_a_copy_of_it_has_its_own_weights():
    first = vit()
    end_in_class_token(first)
    images = torch.randn(2, 3, 48, 48).double()
    before, second = first(images), copy.deepcopy(first)
    for parameter in first.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(second(images), before)


def test_activations_can_be_checkpointed():
    plain, saving = vit(), vit()
    for model in (plain, saving):
        end_in_class_token(model)
    cast(VisionTransformer, saving).set_grad_checkpointing(True)
    images = torch.randn(2, 3, 48, 48).double()
    for model in (plain, saving):
        model(images).square().sum().backward()
    for ours, theirs in zip(saving.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("test_efficientnet", {}),
        ("vit_tiny_patch16_224", {"global_pool": "avg"}),
        ("vit_tiny_patch16_224", {"global_pool": "map"}),
        ("eva02_tiny_patch14_224", {}),
        ("vit_relpos_small_patch16_224", {}),
    ],
)
def test_an_encoder_that_reads_more_than_the_class_token_stays_as_it_is(architecture, options):
    model = timm.create_model(architecture, num_classes=0, **options)
    assert not end_in_class_token(model)
    assert not [module for module in model.modules() if "forward" in vars(module)]


def test_student_and_teacher_of_a_run_are_made_so(smoke):
    recipe = smoke("encoder.architecture=vit_tiny_patch16_224", "encoder.start=random")
    for network in build_pair(recipe, Ranks("cpu")):
        tokens = cast(VisionTransformer, network.backbone.encoder).forward_features(torch.randn(2, 3, 48, 48))
        assert tokens.shape == (2, 1, 192)
