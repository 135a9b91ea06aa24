"""One step: the weight of KoLeo that is logged is the one that is applied; the memory's warm-up is known."""

import dataclasses

import pytest
import torch

from mermed_core.pretraining.engine import Engine
from mermed_core.pretraining.loader import Batch
from mermed_core.pretraining.ranks import Ranks
from mermed_core.pretraining.schedules import build_schedules

KEYS = ("ct", "oct")


def batch():
    generator = torch.Generator().manual_seed(0)

    def views(count, size):
        return torch.randint(0, 256, (count, 6, 3, size, size), generator=generator, dtype=torch.uint8)

    amounts = torch.tensor([0.0, 0, 1, 1, 1, 0, 0]).expand(4, 6, -1)
    return Batch(views(2, 32), views(2, 16), amounts, torch.tensor([0, 0, 0, 1, 1, 1]), {})


@pytest.fixture
def gradient(smoke):
    """Returns the gradient of a first step with some weight of KoLeo, before clipping."""
    recipe = smoke("data.batch=6", "encoder.drop_path=0", "optimiser.clip_norm=1e9")

    def of(weight):
        engine = Engine(recipe, KEYS, Ranks("cpu"))
        engine.prefill(first_view())
        applied = dataclasses.replace(build_schedules(recipe, 5)[0], koleo_weight=weight)
        outcome = engine.step(batch(), 0, applied)
        flat = [p.grad.flatten() for p in engine.student.parameters() if p.grad is not None]
        return torch.cat(flat), outcome

    def first_view():
        whole = batch()
        return Batch(whole.global_views[:1], whole.local_views[:0], whole.amounts[:1], whole.modality, {})

    return of


def test_the_scheduled_weight_of_koleo_is_the_one_applied(gradient):
    (none, plain), (one, outcome), (three, _) = gradient(0.0), gradient(1.0), gradient(3.0)
    assert plain.koleo is None
    assert outcome.koleo is not None
    assert outcome.loss == plain.loss
    assert (one - none).norm() > 1e-3
    torch.testing.assert_close(three - none, 3 * (one - none), rtol=1e-3, atol=1e-4)


def test_the_memory_says_when_its_warm_up_is_over(smoke):
    engine = Engine(smoke("data.batch=6", "memory.size=24"), KEYS, Ranks("cpu"))
    applied = build_schedules(smoke(), 5)[0]
    seen = []
    for number in range(5):
        engine.step(batch(), number, applied)
        seen.append((engine.bank.is_full, engine.bank.fill()["ct"]))
    assert seen == [(False, 0.25), (False, 0.5), (False, 0.75), (True, 1.0), (True, 1.0)]


def test_without_the_restriction_every_modality_shares_one_ring(smoke):
    engine = Engine(smoke("data.batch=6", "memory.size=24", "memory.by_modality=false"), KEYS, Ranks("cpu"))
    applied = build_schedules(smoke(), 5)[0]
    engine.step(batch(), 0, applied)
    assert engine.bank.rings == ("all",)
    assert engine.bank.fill() == {"all": 6 / 24}
    assert len(engine.bank.memories(0).unique(dim=0)) == 6
    assert engine.step(batch(), 1, applied).loss is not None
    assert engine.bank.fill() == {"all": 12 / 24}
