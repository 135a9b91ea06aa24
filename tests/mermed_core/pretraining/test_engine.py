"""One step: the weights that are logged are those that are applied; the memory's warm-up is known."""

import dataclasses

import pytest
import torch

from mermed_core.pretraining.distributed import Ranks
from mermed_core.pretraining.engine import Engine
from mermed_core.pretraining.schedules import build_schedules

KEYS = ("ct", "oct")


DISTILLED = ("distillation.architecture=test_resnet", "distillation.weight_start=1")


@pytest.mark.parametrize(("name", "overrides"), [("koleo", ()), ("distillation", DISTILLED)])
def test_the_scheduled_weight_is_the_one_applied(smoke, batch, first_views, name, overrides):
    recipe = smoke("data.batch=6", "encoder.drop_path=0", "optimiser.clip_norm=1e9", *overrides)

    def gradient(weight):
        engine = Engine(recipe, KEYS, Ranks("cpu"))
        engine.prefill(first_views)
        applied = dataclasses.replace(build_schedules(recipe, 5)[0], **{f"{name}_weight": weight})
        outcome = engine.step(batch, 0, applied)
        flat = [p.grad.flatten() for p in engine.student.parameters() if p.grad is not None]
        return torch.cat(flat), outcome

    (none, plain), (one, outcome), (three, _) = gradient(0.0), gradient(1.0), gradient(3.0)
    assert outcome.loss == plain.loss
    assert getattr(outcome, name) is not None
    assert (one - none).norm() > 1e-3
    torch.testing.assert_close(three - none, 3 * (one - none), rtol=1e-3, atol=1e-4)


def test_koleo_without_weight_is_not_computed(smoke, batch, first_views):
    engine = Engine(smoke("data.batch=6"), KEYS, Ranks("cpu"))
    engine.prefill(first_views)
    outcome = engine.step(batch, 0, build_schedules(smoke(), 5)[0])
    assert outcome.loss is not None
    assert (outcome.koleo, outcome.distillation) == (None, None)


def test_the_memory_says_when_its_warm_up_is_over(smoke, batch):
    engine = Engine(smoke("data.batch=6", "memory.size=24"), KEYS, Ranks("cpu"))
    applied = build_schedules(smoke(), 5)[0]
    seen = []
    for number in range(5):
        engine.step(batch, number, applied)
        seen.append((engine.bank.is_full, engine.bank.fill()["ct"]))
    assert seen == [(False, 0.25), (False, 0.5), (False, 0.75), (True, 1.0), (True, 1.0)]


def test_without_the_restriction_every_modality_shares_one_ring(smoke, batch):
    engine = Engine(smoke("data.batch=6", "memory.size=24", "memory.by_modality=false"), KEYS, Ranks("cpu"))
    applied = build_schedules(smoke(), 5)[0]
    engine.step(batch, 0, applied)
    assert engine.bank.rings == ("all",)
    assert engine.bank.fill() == {"all": 6 / 24}
    assert len(engine.bank.memories(0).unique(dim=0)) == 6
    assert engine.step(batch, 1, applied).loss is not None
    assert engine.bank.fill() == {"all": 12 / 24}
