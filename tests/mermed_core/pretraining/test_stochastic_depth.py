"""Stochastic depth that skips what it drops, against timm's own."""

import copy
from typing import cast

import pytest
import timm
import torch
from timm.models import VisionTransformer

from mermed_core.pretraining.stochastic_depth import skip_dropped


def vit(rate: float = 0.5) -> VisionTransformer:
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=48, depth=4, num_classes=0, drop_path_rate=rate
    )
    return cast(VisionTransformer, model.double().train())


@pytest.mark.parametrize("batch", [1, 2, 16])
@pytest.mark.parametrize("seed", range(4))
def test_the_same_images_are_dropped_and_value_and_gradient_are_the_same(seed, batch):
    whole, ours = vit(), vit()
    skip_dropped(ours)
    images = torch.randn(batch, 3, 48, 48).double()
    direction = torch.randn(batch, 192).double()
    for model in (whole, ours):
        torch.manual_seed(seed)
        found = model(images)
        (found * direction).sum().backward()
        model.register_buffer("found", found.detach())
    torch.testing.assert_close(ours.found, whole.found, rtol=0, atol=1e-10)
    theirs = dict(whole.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=0, atol=1e-10)


def test_a_branch_sees_only_the_images_that_are_left():
    model, seen = vit(0.9), []
    skip_dropped(model)
    model.get_submodule("blocks.3.mlp").register_forward_hook(lambda *call: seen.append(len(call[1][0])))
    model(torch.randn(64, 3, 48, 48).double())
    assert 0 < seen[0] < 20


def test_evaluation_drops_nothing():
    whole = vit().eval()
    ours = copy.deepcopy(whole)
    skip_dropped(ours)
    images = torch.randn(3, 3, 48, 48).double()
    torch.testing.assert_close(ours(images), whole(images), rtol=0, atol=0)


def test_checkpointed_activations_are_made_again_with_the_same_draws():
    plain, saving = vit(), vit()
    for model in (plain, saving):
        skip_dropped(model)
    saving.set_grad_checkpointing(True)
    images = torch.randn(5, 3, 48, 48).double()
    for model in (plain, saving):
        torch.manual_seed(3)
        model(images).square().sum().backward()
    for ours, theirs in zip(saving.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_half_precision_keeps_the_type_of_the_tokens():
    model = vit().float()
    skip_dropped(model)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(torch.randn(6, 3, 48, 48))
    found.float().sum().backward()
    assert torch.isfinite(found).all()


def test_an_encoder_without_such_blocks_stays_as_it_is():
    for model in (vit(0.0), timm.create_model("test_efficientnet", drop_path_rate=0.5)):
        skip_dropped(model)
        assert not [module for module in model.modules() if "forward" in vars(module)]
