"""Student, teacher and optimiser on the smallest of timm's networks."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mermed_core.models.backbone import Backbone
from mermed_core.pretraining.ema import BufferGuard, follow
from mermed_core.pretraining.head import ProjectionHead
from mermed_core.pretraining.network import SelfSupervisedNetwork
from mermed_core.pretraining.optimiser import apply_schedule, build_optimiser, clip_gradients
from mermed_core.pretraining.sections import Optimiser

OPTIMISER = Optimiser(1e-3, 0.0, 0.04, 0.4, (0.9, 0.999), 0.5, 1.0, 3)


def network(architecture="test_efficientnet", *, freeze=False):
    torch.manual_seed(0)
    backbone = Backbone(architecture, image_size=32)
    head = ProjectionHead(backbone.dim, layers=3, hidden=24, dim=8)
    return SelfSupervisedNetwork(backbone, head, freeze_batch_norm=freeze)


def views(count, size, batch=3):
    return torch.randn(count, batch, 3, size, size, generator=torch.Generator().manual_seed(count))


def test_the_head_has_the_asked_layers_and_gives_unit_norm():
    head = ProjectionHead(10, layers=3, hidden=24, dim=8)
    shapes = [tuple(module.weight.shape) for module in head.modules() if isinstance(module, nn.Linear)]
    assert shapes == [(24, 10), (24, 24), (8, 24)]
    kinds = [type(module) for module in head.modules()]
    assert (kinds.count(nn.BatchNorm1d), kinds.count(nn.GELU)) == (2, 2)
    assert torch.allclose(head(torch.randn(5, 10)).norm(dim=1), torch.ones(5), atol=1e-6)
    assert head(torch.randn(5, 10).bfloat16().float()).dtype == torch.float32
    assert [type(m) for m in ProjectionHead(10, layers=1, hidden=24, dim=8).layers] == [nn.Linear]


@pytest.mark.parametrize("architecture", ["test_efficientnet", "test_vit"])
def test_views_of_two_sizes_come_back_in_order(architecture):
    student = network(architecture).eval()
    large, small = views(2, 32), views(3, 16)
    with torch.no_grad():
        together, embeddings, _ = student(large, small)
        alone = [student(view[None]).projected[0] for view in [*large, *small]]
    assert together.shape == (5, 3, 8)
    assert embeddings.shape == (2, 3, student.backbone.dim)
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(student(large, views(0, 16)).projected, student(large).projected)


def test_frozen_batch_norms_keep_their_statistics_and_learn_their_scale():
    student = network(freeze=True).train()
    norms = [module for module in student.backbone.modules() if isinstance(module, _BatchNorm)]
    assert norms
    assert not any(module.training for module in norms)
    before = [copy.deepcopy(module.state_dict()) for module in norms]
    student(views(2, 32)).projected.sum().backward()
    for module, state in zip(norms, before, strict=True):
        assert torch.equal(module.get_buffer("running_mean"), state["running_mean"])
        assert module.weight.grad is not None
    head_norms = [module for module in student.head.modules() if isinstance(module, nn.BatchNorm1d)]
    assert all(module.training for module in head_norms)
    loose = network(freeze=False).train()
    assert all(module.training for module in loose.backbone.modules() if isinstance(module, _BatchNorm))


def test_the_teacher_follows_parameters_and_keeps_its_own_buffers():
    teacher, student = network(), network()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
        for buffer in student.buffers():
            buffer.add_(3)
    before = copy.deepcopy(teacher.state_dict())
    follow(teacher, student, 0.75)
    parameters = dict(teacher.named_parameters())
    for name, tensor in teacher.state_dict().items():
        expected = before[name] + 0.25 if name in parameters else before[name]
        torch.testing.assert_close(tensor, expected)
    follow(teacher, student, 1.0)
    torch.testing.assert_close(next(teacher.parameters()), next(iter(before.values())) + 0.25)


def test_the_guard_puts_buffers_back():
    student = network().train()
    before = copy.deepcopy(student.state_dict())
    guard = BufferGuard(student)
    student(views(2, 32) * float("nan"))
    assert not all(torch.isfinite(buffer).all() for buffer in student.buffers())
    guard.restore()
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("architecture", ["test_efficientnet", "test_vit", "test_convnext", "test_resnet"])
def test_every_parameter_has_one_group_and_rates_rise_to_the_head(architecture):
    student = network(architecture)
    optimiser = build_optimiser(student, OPTIMISER)
    apply_schedule(optimiser, learning_rate=0.1, weight_decay=0.3)
    rate, decay = {}, {}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            assert parameter not in rate
            rate[parameter], decay[parameter] = group["lr"], group["weight_decay"]
    names = {name: parameter for name, parameter in student.named_parameters() if parameter.requires_grad}
    assert set(rate) == set(names.values())
    assert all(rate[p] == 0.1 for name, p in names.items() if name.startswith("head."))
    encoder = [rate[parameter] for name, parameter in names.items() if name.startswith("backbone.")]
    assert min(encoder) < 0.1 * 0.5
    assert max(encoder) <= 0.1
    for name, parameter in names.items():
        spared = parameter.ndim <= 1 or name.endswith(("pos_embed", "cls_token"))
        assert decay[parameter] == (0.0 if spared else 0.3), name


def test_the_layers_of_a_vit_have_falling_rates():
    student = network("test_vit")
    optimiser = build_optimiser(student, OPTIMISER)
    scale = {p: group["lr_scale"] for group in optimiser.param_groups for p in group["params"]}
    encoder = dict(student.backbone.encoder.named_parameters())
    depth = len({name.split(".")[1] for name in encoder if name.startswith("blocks.")})
    blocks = [scale[encoder[f"blocks.{number}.attn.qkv.weight"]] for number in range(depth)]
    assert depth > 1
    assert all(before == pytest.approx(after * 0.5) for before, after in pairwise(blocks))
    assert scale[encoder["patch_embed.proj.weight"]] < blocks[0]


def test_clipping_is_by_the_norm_over_all_parameters():
    layer = nn.Linear(2, 2)
    assert layer.bias is not None
    layer.weight.grad, layer.bias.grad = torch.full((2, 2), 2.0), torch.full((2,), 3.0)
    assert clip_gradients(layer, 1.0) == pytest.approx((4 * 4 + 2 * 9) ** 0.5)
    after = torch.cat([layer.weight.grad.flatten(), layer.bias.grad])
    assert after.norm().item() == pytest.approx(1.0, abs=1e-4)
    assert (after[0] / after[-1]).item() == pytest.approx(2 / 3, rel=1e-5)
