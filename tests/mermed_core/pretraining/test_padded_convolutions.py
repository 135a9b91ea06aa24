"""Padded convolutions in half precision on the CPU: single precision, and nothing from unwritten memory."""

import copy

import timm
import torch
from torch import nn

from mermed_core.pretraining.distributed import Ranks
from mermed_core.pretraining.padded_convolutions import keep_single
from mermed_core.pretraining.pair import build_pair


def spoil_freed_memory():
    spoiled = [torch.full((count,), float("nan")) for count in (64, 1024, 16_384, 262_144) for _ in range(6)]
    del spoiled


def test_the_gradient_on_the_smallest_map_is_finite_and_that_of_single_precision():
    torch.manual_seed(0)
    single = nn.Conv2d(8, 8, 3, stride=2, padding=1)
    half = copy.deepcopy(single)
    keep_single(half)
    values = torch.randn(14, 8, 1, 1)
    single(values).square().sum().backward()
    for _ in range(20):
        half.zero_grad()
        spoil_freed_memory()
        with torch.autocast("cpu", torch.bfloat16):
            found = half(values)
        found.square().sum().backward()
        torch.testing.assert_close(half.weight.grad, single.weight.grad)


def test_all_other_layers_stay_in_half_precision():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, 3, 8, 8))
    keep_single(network)
    types = []
    for layer in network:
        layer.register_forward_hook(lambda *call: types.append(call[2].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.zeros(1, 3, 8, 8))
    assert types == [torch.float32, *[torch.bfloat16] * 3]


def test_a_subclass_keeps_its_own_forward_and_a_copy_its_own_weights():
    network = timm.create_model("test_resnet", num_classes=0).eval()
    images = torch.randn(2, 3, 32, 32)
    before = network(images)
    keep_single(network)
    other = copy.deepcopy(network)
    for parameter in network.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(other(images), before)


def test_a_run_in_half_precision_on_the_cpu_has_them(smoke):
    for precision, kept in (("bf16", True), ("fp32", False)):
        recipe = smoke("encoder.architecture=test_resnet", f"compute.precision={precision}")
        for network in build_pair(recipe, Ranks("cpu")):
            padded = [
                module
                for module in network.modules()
                if isinstance(module, nn.Conv2d) and module.padding != (0, 0)
            ]
            assert padded
            assert all(("forward" in vars(module)) == kept for module in padded)
