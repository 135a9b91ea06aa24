import math
from pathlib import Path

import pytest

from mermed_core.config import read_recipe
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.schedules import Schedule, build_schedules

RECIPES = Path(__file__).parents[3] / "train" / "recipes"


def test_warm_up_is_linear_and_then_cosine_to_the_end():
    schedule = Schedule(1.0, 0.2, 101, start=0.0, warmup=20)
    assert [schedule[step] for step in (0, 5, 10, 20)] == pytest.approx([0.0, 0.25, 0.5, 1.0])
    assert schedule[60] == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 2)) / 2)
    assert schedule[40] == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2)
    assert schedule[100] == pytest.approx(0.2)


def test_steps_outside_are_taken_as_the_nearest():
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
