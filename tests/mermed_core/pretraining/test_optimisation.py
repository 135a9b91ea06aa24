"""Schedules against their formulas, and an optimiser that gives every parameter its rate and decay."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from mermed_core.config import read_recipe
from mermed_core.pretraining.optimisation import (
    Schedule,
    apply_schedule,
    build_optimiser,
    build_schedules,
    clip_gradients,
)
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.student_teacher import build_student

RECIPES = Path(__file__).parents[3] / "train" / "recipes"


def test_warm_up_is_linear_and_then_a_cosine_to_the_end():
    schedule = Schedule(1.0, 0.2, 101, start=0.0, warmup=20)
    assert [schedule[step] for step in (0, 5, 10, 20)] == pytest.approx([0.0, 0.25, 0.5, 1.0])
    assert schedule[60] == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 2)) / 2)
    assert schedule[40] == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2)
    assert schedule[100] == pytest.approx(0.2)


def test_steps_outside_have_the_value_of_the_nearest():
    schedule = Schedule(1.0, 0.2, 11, start=0.3, warmup=2)
    assert schedule[-4] == schedule[0] == 0.3
    assert schedule[500] == schedule[10] == pytest.approx(0.2)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (2, 2), (3, 9)])
def test_the_shortest_runs_have_values_too(steps, warmup):
    schedule = Schedule(1.0, 0.2, steps, warmup=warmup)
    assert all(0 <= schedule[step] <= 1 for step in range(steps + 1))


def test_the_papers_run_in_epochs():
    schedules = build_schedules(read_recipe(Recipe, RECIPES / "paper.toml"), steps_per_epoch=50)
    assert schedules.steps == 5000
    peak = schedules[500]
    assert peak.learning_rate == pytest.approx(5e-5 * 1024 / 256)
    assert schedules[0].learning_rate == 0
    assert schedules[250].learning_rate == pytest.approx(peak.learning_rate / 2)
    first, last = schedules[0], schedules[4999]
    assert (first.weight_decay, first.momentum, first.teacher_temperature) == pytest.approx(
        (0.04, 0.9995, 0.04)
    )
    assert (last.weight_decay, last.momentum, last.teacher_temperature) == pytest.approx((0.4, 1.0, 0.07))
    assert last.learning_rate == pytest.approx(1e-6)
    assert schedules[250].teacher_temperature == pytest.approx(0.055)
    assert schedules[500].teacher_temperature == schedules[3000].teacher_temperature == pytest.approx(0.07)


@pytest.mark.parametrize("architecture", ["test_efficientnet", "test_vit", "test_convnext", "test_resnet"])
def test_every_parameter_is_in_one_group_with_its_rate_and_decay(smoke, architecture):
    recipe = smoke(f"encoder.architecture={architecture}", "optimiser.layer_decay=0.5")
    student = build_student(recipe)
    optimiser = build_optimiser(student, recipe.optimiser)
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


def test_the_rates_of_a_vits_layers_fall_towards_its_start(smoke):
    recipe = smoke("encoder.architecture=test_vit", "optimiser.layer_decay=0.5")
    student = build_student(recipe)
    optimiser = build_optimiser(student, recipe.optimiser)
    scale = {p: group["lr_scale"] for group in optimiser.param_groups for p in group["params"]}
    encoder = dict(student.backbone.encoder.named_parameters())
    depth = len({name.split(".")[1] for name in encoder if name.startswith("blocks.")})
    blocks = [scale[encoder[f"blocks.{number}.attn.qkv.weight"]] for number in range(depth)]
    assert depth > 1
    assert all(before == pytest.approx(after * 0.5) for before, after in pairwise(blocks))
    assert scale[encoder["patch_embed.proj.weight"]] < blocks[0]


def test_clipping_is_by_the_norm_over_all_parameters():
    layer = nn.Linear(2, 2)
    layer.weight.grad, layer.bias.grad = torch.full((2, 2), 2.0), torch.full((2,), 3.0)
    assert clip_gradients(layer, 1.0) == pytest.approx((4 * 4 + 2 * 9) ** 0.5)
    after = torch.cat([layer.weight.grad.flatten(), layer.bias.grad])
    assert after.norm().item() == pytest.approx(1.0, abs=1e-4)
    assert (after[0] / after[-1]).item() == pytest.approx(2 / 3, rel=1e-5)
