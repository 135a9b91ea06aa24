"""One step: its scheduled weights are applied, and how it is computed does not change the result."""

import dataclasses
import math

import pytest
import torch
from safetensors.torch import load_file

from mermed_core.errors import RecipeError
from mermed_core.pretraining.distributed import Processes
from mermed_core.pretraining.engine import Engine
from mermed_core.pretraining.optimisation import build_schedules
from mermed_core.pretraining.pretrainer import Pretrainer
from mermed_core.pretraining.run_folder import read_log

KEYS = ("ct", "oct")


DISTILLED = ("distillation.architecture=test_resnet", "distillation.weight_start=1")


@pytest.mark.parametrize(("name", "overrides"), [("koleo", ()), ("distillation", DISTILLED)])
def test_the_scheduled_weight_is_the_one_applied(smoke, batch, first_views, name, overrides):
    recipe = smoke("data.batch=6", "encoder.drop_path=0", "optimiser.clip_norm=1e9", *overrides)

    def gradient(weight):
        engine = Engine(recipe, KEYS, Processes("cpu"))
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
    engine = Engine(smoke("data.batch=6"), KEYS, Processes("cpu"))
    engine.prefill(first_views)
    outcome = engine.step(batch, 0, build_schedules(smoke(), 5)[0])
    assert outcome.loss is not None
    assert (outcome.koleo, outcome.distillation) == (None, None)


def test_the_memory_says_when_its_warm_up_is_over(smoke, batch):
    engine = Engine(smoke("data.batch=6", "memory.size=24"), KEYS, Processes("cpu"))
    applied = build_schedules(smoke(), 5)[0]
    seen = []
    for number in range(5):
        engine.step(batch, number, applied)
        seen.append((engine.bank.is_full, engine.bank.fill()["ct"]))
    assert seen == [(False, 0.25), (False, 0.5), (False, 0.75), (True, 1.0), (True, 1.0)]


def test_without_the_restriction_every_modality_shares_one_ring(smoke, batch):
    engine = Engine(
        smoke("data.batch=6", "memory.size=24", "memory.by_modality=false"), KEYS, Processes("cpu")
    )
    applied = build_schedules(smoke(), 5)[0]
    engine.step(batch, 0, applied)
    assert engine.bank.rings == ("all",)
    assert engine.bank.fill() == {"all": 6 / 24}
    assert len(engine.bank.memories(0).unique(dim=0)) == 6
    assert engine.step(batch, 1, applied).loss is not None
    assert engine.bank.fill() == {"all": 12 / 24}


# Without batch norm and without chance in the network, a part of a batch counts for just its images.
PLAIN = (
    "encoder.architecture=test_vit",
    "encoder.drop_path=0",
    "head.layers=1",
    "data.batch=12",
    "schedule.length=3",
    "run.checkpoint_every=99",
)


def run(manifest, recipe):
    folder = Pretrainer(recipe, manifest).run()
    lines = read_log(folder.parent / "log.jsonl")
    return [line["loss"] for line in lines], load_file(folder / "model.safetensors")


def assert_alike(first, second, tolerance):
    assert first[0] == pytest.approx(second[0], rel=tolerance)
    for name, tensor in first[1].items():
        torch.testing.assert_close(tensor, second[1][name], rtol=0, atol=tolerance)


@pytest.mark.parametrize("prefill", [0.0, 0.5])
def test_in_parts_the_result_is_that_of_the_whole_batch(manifest, smoke, prefill):
    options = (*PLAIN, f"memory.prefill={prefill}")
    whole = run(manifest, smoke(*options, folder="whole"))
    parts = run(manifest, smoke(*options, "compute.accumulate=4", folder="parts"))
    assert (whole[0][0] is None) == (prefill == 0)
    assert_alike((whole[0][1:], whole[1]), (parts[0][1:], parts[1]), 1e-4)


@pytest.mark.parametrize("architecture", ["test_vit", "test_resnet", "test_convnext"])
def test_activations_may_be_computed_twice(manifest, smoke, architecture):
    options = (*PLAIN, f"encoder.architecture={architecture}", "head.layers=3", "views.local_size=32")
    kept = run(manifest, smoke(*options, folder="kept"))
    twice = run(manifest, smoke(*options, "compute.checkpoint_activations=true", folder="twice"))
    if architecture == "test_vit":
        assert_alike(kept, twice, 1e-5)
    # Batch norm gathers its statistics twice then; the loss knows nothing of them.
    assert kept[0] == pytest.approx(twice[0], rel=1e-4)


def test_activations_are_not_kept(smoke, manifest):
    def kept(*overrides, folder):
        pretrainer = Pretrainer(smoke(*PLAIN, *overrides, folder=folder), manifest)
        sizes = []

        def note(tensor):
            sizes.append(tensor.numel())
            return tensor

        images = torch.zeros(4, 3, 32, 32)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            pretrainer.engine.student.backbone(images)
        return sum(sizes)

    assert kept("compute.checkpoint_activations=true", folder="b") < 0.6 * kept(folder="a")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_compiled_encoders_give_the_same(manifest, smoke, monkeypatch):
    """Traced as for Inductor, whose C++ takes a minute to build; test_gpu.py has the kernels built too."""
    options = (*PLAIN, "views.local_count=0", "schedule.length=2")  # one size of views: fewer graphs
    plain = run(manifest, smoke(*options, folder="plain"))
    asked, compile_module = [], torch.nn.Module.compile

    def note(self, **options):
        asked.append(self)
        compile_module(self, **options, backend="aot_eager")

    monkeypatch.setattr(torch.nn.Module, "compile", note)
    compiled = Pretrainer(smoke(*options, "compute.compile=true", folder="compiled"), manifest)
    assert asked == [net.backbone.encoder for net in (compiled.engine.student, compiled.engine.teacher)]
    folder = compiled.run()
    lines = read_log(folder.parent / "log.jsonl")
    assert_alike(plain, ([line["loss"] for line in lines], load_file(folder / "model.safetensors")), 1e-3)


def test_fp16_scales_the_loss_and_goes_on_after_an_overflow(manifest, smoke):
    half = smoke(*PLAIN, "compute.precision=fp16", "optimiser.patience=20", folder="half")
    first = Pretrainer(half, manifest)
    first.engine.scaler.load_state_dict({**first.engine.scaler.state_dict(), "scale": 2.0**40})
    first.run()
    assert 0 < first.state.progress.skipped < 3 or first.engine.scaler.get_scale() < 2.0**40
    assert first.engine.scaler.get_scale() < 2.0**40
    again = Pretrainer(half, manifest)
    assert again.engine.scaler.state_dict() == first.engine.scaler.state_dict()
    usual = run(manifest, smoke(*PLAIN, folder="fp32"))
    scaled = run(manifest, smoke(*PLAIN, "compute.precision=fp16", folder="fp16"))
    assert all(math.isfinite(loss) for loss in scaled[0])
    assert scaled[0][0] == pytest.approx(usual[0][0], rel=0.02)


def test_a_batch_that_cannot_be_cut_is_refused(manifest, smoke):
    with pytest.raises(RecipeError, match=r"'data\.batch' is 7; it must be a multiple of 2"):
        Pretrainer(smoke("compute.accumulate=2"), manifest)
