"""Student and teacher with the smallest of timm's networks."""

import copy

import pytest
import torch
from torch import nn

from mermed_core.errors import RecipeError
from mermed_core.models.backbone import Backbone
from mermed_core.pretraining.distributed import BATCH_NORMS
from mermed_core.pretraining.student_teacher import (
    BufferSnapshot,
    ProjectionHead,
    SelfSupervisedNetwork,
    freeze_stages,
    update_teacher,
)


def network(architecture="test_efficientnet", *, freeze=False):
    torch.manual_seed(0)
    backbone = Backbone(architecture, image_size=32)
    head = ProjectionHead(backbone.dim, layers=3, hidden=24, dim=8)
    return SelfSupervisedNetwork(backbone, head, freeze_batch_norm=freeze)


def views(count, size, batch=3):
    return torch.randn(count, batch, 3, size, size, generator=torch.Generator().manual_seed(count))


def test_the_head_has_its_layers_and_gives_unit_norm():
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
    norms = [module for module in student.backbone.modules() if isinstance(module, BATCH_NORMS)]
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
    assert all(module.training for module in loose.backbone.modules() if isinstance(module, BATCH_NORMS))


@pytest.mark.parametrize(
    ("architecture", "count", "learn"),
    [
        ("test_efficientnet", 0, "conv_stem"),
        ("test_efficientnet", 2, "blocks.2"),
        ("test_resnet", 1, "layer1"),
        ("test_vit", 3, "blocks.3"),
    ],
)
def test_frozen_stages_learn_nothing_and_all_behind_them_do(architecture, count, learn):
    student = network(architecture)
    freeze_stages(student.backbone, count)
    student(views(2, 32)).projected.square().sum().backward()
    encoder = dict(student.backbone.encoder.named_parameters())
    learning = [name for name, parameter in encoder.items() if parameter.requires_grad]
    frozen = [name for name in encoder if name not in learning]
    assert all(encoder[name].grad is None for name in frozen)
    assert bool(frozen) == bool(count)
    assert any(name.startswith(learn) for name in learning)
    assert not any(name.startswith(learn) for name in frozen)
    names = list(encoder)
    assert max(map(names.index, frozen), default=-1) < min(map(names.index, learning))


def test_an_encoder_cannot_freeze_more_stages_than_it_has():
    with pytest.raises(RecipeError, match=r"frozen_stages.*is 9; 'test_efficientnet' has"):
        freeze_stages(network().backbone, 9)


def test_the_teacher_averages_parameters_and_keeps_its_own_buffers():
    teacher, student = network(), network()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
        for buffer in student.buffers():
            buffer.add_(3)
    before = copy.deepcopy(teacher.state_dict())
    update_teacher(teacher, student, 0.75)
    parameters = dict(teacher.named_parameters())
    for name, tensor in teacher.state_dict().items():
        expected = before[name] + 0.25 if name in parameters else before[name]
        torch.testing.assert_close(tensor, expected)
    update_teacher(teacher, student, 1.0)
    torch.testing.assert_close(next(teacher.parameters()), next(iter(before.values())) + 0.25)


def test_a_snapshot_restores_buffers():
    student = network().train()
    before = copy.deepcopy(student.state_dict())
    snapshot = BufferSnapshot(student)
    student(views(2, 32) * float("nan"))
    assert not all(torch.isfinite(buffer).all() for buffer in student.buffers())
    snapshot.restore()
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, before[name])
