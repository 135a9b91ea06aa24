"""Whole runs in a second: they end in a model, go on bit for bit, and survive bad steps and bad folders."""

import math
import os
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mermed_core.data.manifest import Manifest
from mermed_core.errors import RecipeError, TrainingError
from mermed_core.models.model_folder import load_model
from mermed_core.pretraining.checkpoints import Interrupted
from mermed_core.pretraining.distributed import Processes
from mermed_core.pretraining.engine import Engine
from mermed_core.pretraining.pretrainer import Pretrainer
from mermed_core.pretraining.run_folder import read_log
from mermed_core.pretraining.student_teacher import build_student


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


class Killed(BaseException):
    """Ends a run as SIGKILL does: nothing behind it runs."""


def stop_at(pretrainer, step, action):
    """Lets `action` happen in the middle of a step of the run."""
    take_step = pretrainer.engine.step

    def watched(batch, number, values):
        if number == step:
            action()
        return take_step(batch, number, values)

    pretrainer.engine.step = watched


def killed():
    raise Killed


@pytest.mark.parametrize("architecture", ["test_efficientnet", "test_vit"])
def test_a_run_ends_in_a_model_that_loads_and_has_learned(manifest, smoke, architecture):
    recipe = smoke(f"encoder.architecture={architecture}")
    folder = Pretrainer(recipe, manifest).run()
    backbone, config = load_model(folder)
    assert config.training["steps"] == 4
    assert config.training["images_seen"] == 28
    assert config.training["data"]["modalities"] == {"ct": 5, "dermatology": 9, "oct": 2}
    assert config.preprocessing.image_size == 32
    assert str(recipe.run.folder) not in (folder / "config.json").read_text(encoding="utf-8")
    start = build_student(recipe).backbone.state_dict()
    moved = [name for name, tensor in backbone.state_dict().items() if not torch.equal(tensor, start[name])]
    assert len(moved) > len(start) / 2
    assert all(torch.isfinite(tensor).all() for tensor in backbone.state_dict().values())
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Research use only" in card
    assert "| dermatology | 9 |" in card


def test_a_model_tells_what_it_was_trained_from(manifest, smoke):
    first = Pretrainer(smoke("memory.by_modality=false", folder="first"), manifest).run()
    assert "a memory of all modalities together" in load_model(first)[1].training["method"]
    second = Pretrainer(smoke(f"encoder.start={first}", folder="second"), manifest).run()
    training = load_model(second)[1].training
    assert training["start"] == f"{smoke().model.name}, 4 steps from random"
    assert "a memory by modality" in training["method"]


def test_the_log_holds_what_was_applied(manifest, smoke, tmp_path):
    pretrainer = Pretrainer(smoke(), manifest)
    pretrainer.run()
    lines = read_log(tmp_path / "run" / "log.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        applied = pretrainer.schedules[line["step"] - 1]
        assert line["learning_rate"] == applied.learning_rate
        assert line["momentum"] == applied.momentum
        assert line["teacher_temperature"] == applied.teacher_temperature
        assert math.isfinite(line["loss"])
        assert line["gradient_norm"] > 0
        assert line["embedding_std"] > 0.1
        assert all(fill >= 0.5 for fill in line["memory"].values())
    groups = pretrainer.engine.optimiser.param_groups
    assert {group["weight_decay"] for group in groups} == {0.0, lines[-1]["weight_decay"]}
    assert max(group["lr"] for group in groups) == lines[-1]["learning_rate"]


@pytest.mark.parametrize("architecture", ["test_efficientnet", "test_vit"])
def test_killed_and_continued_gives_the_weights_of_an_uninterrupted_run(
    manifest, smoke, architecture, tmp_path
):
    options = [f"encoder.architecture={architecture}"]
    whole = Pretrainer(smoke(*options, folder="whole"), manifest).run()
    run = Pretrainer(smoke(*options, folder="killed"), manifest)
    stop_at(run, 3, killed)  # the newest checkpoint is of step 2
    with pytest.raises(Killed):
        run.run()
    again = Pretrainer(smoke(*options, folder="killed"), manifest)
    assert again.state.progress.step == 2
    torch.rand(17)  # what other code drew must not matter
    assert same(weights(again.run()), weights(whole))
    expected, lines = (read_log(tmp_path / name / "log.jsonl") for name in ("whole", "killed"))
    assert [line["loss"] for line in lines] == [line["loss"] for line in expected]
    assert not same(weights(whole), weights(Pretrainer(smoke(*options, "compute.seed=1"), manifest).run()))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_with_a_checkpoint_of_the_step_it_was_in(manifest, smoke, number, code):
    whole = Pretrainer(smoke(folder="whole"), manifest).run()
    run = Pretrainer(smoke(), manifest)
    before = signal.getsignal(number)
    stop_at(run, 2, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Interrupted) as stopped:
        run.run()
    assert stopped.value.exit_code == code
    assert signal.getsignal(number) == before
    again = Pretrainer(smoke(), manifest)
    assert again.state.progress.step == 3
    assert same(weights(again.run()), weights(whole))


def test_a_finished_run_exports_again_without_training(manifest, smoke):
    trained = weights(Pretrainer(smoke(), manifest).run())
    half = weights(Pretrainer(smoke("model.interpolate=0.5"), manifest).run())
    start = build_student(smoke()).backbone.encoder.state_dict()
    assert not same(trained, half)
    again = Pretrainer(smoke("model.weights=student"), manifest)
    assert again.state.progress.step == 4
    assert not same(weights(again.run()), trained)
    assert half.keys() == start.keys()


def poison(pretrainer, steps):
    """Turns the embeddings of the student into NaN at some steps."""
    learner = pretrainer.engine._learner
    count = iter(range(1000))

    def learn(*views):
        output = learner(*views)
        return output._replace(projected=output.projected * (math.nan if next(count) in steps else 1.0))

    pretrainer.engine._learner = learn


def everything(pretrainer):
    engine = pretrainer.engine
    modules = (engine.student, engine.teacher, engine.bank)
    return {f"{i}.{name}": t.clone() for i, m in enumerate(modules) for name, t in m.state_dict().items()}


def test_a_step_whose_loss_is_not_finite_changes_nothing(manifest, smoke):
    run = Pretrainer(smoke(), manifest)
    poison(run, {1})
    seen = []
    take_step = run.engine.step

    def watched(batch, number, values):
        before = everything(run)
        outcome = take_step(batch, number, values)
        seen.append((outcome.skipped, same(before, everything(run))))
        return outcome

    run.engine.step = watched
    run.run()
    assert seen == [(False, False), (True, True), (False, False), (False, False)]
    assert (run.state.progress.skipped, run.state.progress.skipped_in_a_row) == (1, 0)


def test_too_many_bad_steps_in_a_row_stop_the_run(manifest, smoke):
    run = Pretrainer(smoke("schedule.length=9", "run.checkpoint_every=100"), manifest)
    poison(run, {1, 3, 4, 5})
    with pytest.raises(TrainingError, match="3 steps in a row, the last one being step 6"):
        run.run()


def test_without_a_prefilled_memory_the_first_step_only_fills_it(manifest, smoke, tmp_path):
    run = Pretrainer(smoke("memory.prefill=0"), manifest)
    run.run()
    lines = read_log(tmp_path / "run" / "log.jsonl")
    assert lines[0]["loss"] is None
    assert all(line["loss"] is not None for line in lines[1:])


def test_broken_images_are_counted_and_named(make_manifest, smoke, caplog):
    run = Pretrainer(smoke(), make_manifest({"ct": 3, "oct": 3}, broken=(1, 4)))
    run.run()
    assert set(run.state.progress.unreadable) == {"made_up/000001", "made_up/000004"}
    warnings = [record.getMessage() for record in caplog.records if "is skipped" in record.getMessage()]
    assert len(warnings) == 2


def test_a_damaged_checkpoint_gives_way_to_the_one_before(manifest, smoke, tmp_path):
    whole = weights(Pretrainer(smoke(), manifest).run())
    checkpoints = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert [path.name for path in checkpoints] == ["step-000000002", "step-000000004"]
    with (checkpoints[-1] / "state.safetensors").open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff\x00\xff")
    again = Pretrainer(smoke(), manifest)
    assert again.state.progress.step == 2
    assert same(weights(again.run()), whole)


def test_only_the_last_checkpoints_are_kept(manifest, smoke, tmp_path):
    Pretrainer(smoke("run.checkpoint_every=1", "run.keep=1"), manifest).run()
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000000004"]


def test_half_precision_and_workers_run(manifest, smoke):
    folder = Pretrainer(smoke("compute.precision=bf16", "run.workers=1"), manifest).run()
    assert all(torch.isfinite(tensor).all() for tensor in weights(folder).values())


@pytest.mark.parametrize(("precision", "kept"), [("fp32", True), ("bf16", False)])
def test_on_the_cpu_half_precision_and_channels_last_never_meet(smoke, caplog, precision, kept):
    """Together they give gradients from memory that nobody wrote (PyTorch 2.15)."""
    recipe = smoke(f"compute.precision={precision}")
    assert recipe.compute.channels_last
    engine = Engine(recipe, ["ct", "oct"], Processes("cpu"))
    stem = next(item for item in engine.student.modules() if isinstance(item, torch.nn.Conv2d)).weight
    assert stem.is_contiguous(memory_format=torch.channels_last) == kept
    assert ("channels_last is ignored" in caplog.text) != kept


def test_in_half_precision_no_gradient_comes_from_memory_that_nobody_wrote(manifest, smoke):
    """Freed memory is filled with NaN before every run, so that reading it would show."""
    for folder in ("first", "second", "third"):
        sizes = [count for count in (100, 1000, 10_000, 100_000) for _ in range(16)]
        spoiled = [torch.full((count,), float("nan"), dtype=torch.bfloat16) for count in sizes]
        del spoiled
        pretrainer = Pretrainer(smoke("compute.precision=bf16", folder=folder), manifest)
        pretrainer.run()
        assert pretrainer.state.progress.skipped == 0


def test_a_source_power_gives_small_sources_more_of_the_batches(make_manifest, smoke):
    frame = make_manifest({"ct": 20}).frame
    frame["source"] = ["large"] * 18 + ["small"] * 2
    manifest = Manifest.from_frame(frame)
    counts = {}
    for power in (1.0, 0.0):
        pretrainer = Pretrainer(smoke(f"data.source_power={power}", folder=f"power-{power}"), manifest)
        rows = np.concatenate([pretrainer._sampler.batch(step) for step in range(20)])  # 140 images, 7 cycles
        counts[power] = int((rows >= 18).sum())
    assert counts == {1.0: 14, 0.0: 70}
    frame["offset"] = range(20)
    with pytest.raises(RecipeError, match=r"'data\.source_power' must be 1 for shards"):
        Pretrainer(smoke("data.source_power=0.5", folder="shards"), Manifest.from_frame(frame))
