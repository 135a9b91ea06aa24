"""On a GPU the method is what it is on the CPU: views, step, precisions, kernels, a run that goes on."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mermed_core.pretraining.augmentation import augment, draw_params
from mermed_core.pretraining.distributed import Processes
from mermed_core.pretraining.engine import Engine
from mermed_core.pretraining.optimisation import build_schedules
from mermed_core.pretraining.pretrainer import Pretrainer
from mermed_core.pretraining.run_folder import read_log

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[3]
KEYS = ("ct", "oct")
# Nothing random in the network: the devices draw differently.
STILL = ("run.device=cuda", "encoder.architecture=test_vit", "encoder.drop_path=0")
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
SMOKE = str(ROOT / "train" / "recipes" / "smoke.toml")

ALONE = """
import torch
from torch import distributed
from mermed_core.pretraining.distributed import Processes, gather_with_gradient

processes = Processes()
assert distributed.get_backend() == "nccl", distributed.get_backend()
share = torch.ones(2, 3, device=processes.device, requires_grad=True)
gathered = gather_with_gradient(share)
gathered.square().sum().backward()
assert torch.equal(gathered, share) and torch.equal(share.grad, 2 * share)
distributed.destroy_process_group()
"""


@pytest.fixture(autouse=True)
def exact_convolutions(monkeypatch):
    """Without them cuDNN rounds to TF32, ten bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def test_views_are_altered_as_on_the_cpu(smoke):
    generator = torch.Generator().manual_seed(0)
    recipe = smoke().views
    params = torch.cat([draw_params(recipe, generator) for _ in range(6)])
    views = torch.randint(0, 256, (len(params), 3, 32, 24), generator=generator, dtype=torch.uint8)
    assert (params[:, -1] > 0).any()
    torch.testing.assert_close(augment(views.cuda(), params).cpu(), augment(views, params), rtol=0, atol=1e-4)


@pytest.mark.parametrize("architecture", ["test_vit", "test_efficientnet"])
def test_steps_are_those_of_the_cpu(smoke, batch, first_views, architecture):
    options = ("data.batch=6", "loss.koleo_weight_start=0.1", "loss.koleo_weight_end=0.1")
    recipe = smoke(*STILL, *options, f"encoder.architecture={architecture}")
    seen = {}
    for device in ("cpu", "cuda"):
        engine = Engine(recipe, KEYS, Processes(device))
        held = (*engine.student.parameters(), *engine.teacher.parameters(), *engine.bank.buffers())
        assert {tensor.device.type for tensor in held} == {device}
        engine.prefill(first_views)
        schedules = build_schedules(recipe, 5)
        outcomes = [engine.step(batch, number, schedules[number]) for number in range(3)]
        memory = torch.cat([engine.bank.memories(index).cpu() for index in range(len(KEYS))])
        seen[device] = (outcomes, memory, [p.detach().cpu() for p in engine.teacher.parameters()])
    for ours, expected in zip(seen["cuda"][0], seen["cpu"][0], strict=True):
        for name, value in vars(expected).items():
            wanted = value if value is None else pytest.approx(value, rel=5e-3)
            assert getattr(ours, name) == wanted, name
    torch.testing.assert_close(seen["cuda"][1], seen["cpu"][1], rtol=0, atol=5e-3)
    for ours, expected in zip(seen["cuda"][2], seen["cpu"][2], strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=5e-3)


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("compute.precision=bf16",),
        ("compute.precision=fp16",),
        ("compute.precision=bf16", "compute.accumulate=2", "compute.checkpoint_activations=true"),
        ("compute.precision=bf16", "compute.compile=true"),
        ("compute.precision=bf16", "encoder.architecture=test_convnext", "views.local_size=32"),
        ("compute.precision=bf16", "encoder.architecture=test_resnet", "compute.channels_last=true"),
    ],
    ids=["fp32", "bf16", "fp16", "in_parts", "compiled", "convnext", "channels_last"],
)
def test_a_run_ends_in_every_precision_and_form(smoke, manifest, overrides):
    options = (*STILL, "data.batch=12", "run.workers=2", "schedule.length=12", *overrides)
    pretrainer = Pretrainer(smoke(*options), manifest)
    assert pretrainer.processes.device.type == "cuda"
    before = [parameter.detach().clone() for parameter in pretrainer.engine.teacher.parameters()]
    folder = pretrainer.run()
    lines = read_log(folder.parent / "log.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert all(math.isfinite(line["loss"]) for line in lines)
    assert pretrainer.state.progress.skipped < 6  # fp16 finds its scale first
    after = list(pretrainer.engine.teacher.parameters())
    assert all(torch.isfinite(new).all() for new in after)
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_half_precision_says_what_single_says(smoke, batch, first_views):
    losses = {}
    for precision in ("fp32", "bf16", "fp16"):
        recipe = smoke(*STILL, "data.batch=6", f"compute.precision={precision}")
        engine = Engine(recipe, KEYS, Processes("cuda"))
        engine.prefill(first_views)
        losses[precision] = engine.step(batch, 0, build_schedules(recipe, 5)[0]).loss
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.03)
    assert losses["fp16"] == pytest.approx(losses["fp32"], rel=0.01)


def test_fp16_goes_on_after_an_overflow(smoke, manifest):
    recipe = smoke(
        *STILL, "data.batch=12", "compute.precision=fp16", "optimiser.patience=30", "schedule.length=40"
    )
    first = Pretrainer(recipe, manifest)
    first.engine.scaler.load_state_dict({**first.engine.scaler.state_dict(), "scale": 2.0**30})
    before = [parameter.detach().clone() for parameter in first.engine.student.parameters()]
    first.run()
    assert 0 < first.state.progress.skipped < 40
    assert first.engine.scaler.get_scale() < 2.0**30
    after = list(first.engine.student.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert all(torch.isfinite(parameter).all() for parameter in after)


def test_a_run_is_continued(smoke, manifest):
    options = (*STILL, "data.batch=12", "run.checkpoint_every=3", "schedule.length=6")
    whole = Pretrainer(smoke(*options, folder="whole"), manifest).run()
    Pretrainer(smoke(*options, folder="cut"), manifest).run()
    checkpoints = whole.parents[1] / "cut" / "checkpoints"
    newest = max(checkpoints.iterdir())
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    again = Pretrainer(smoke(*options, folder="cut"), manifest)
    assert again.state.progress.step == 3
    assert again.engine.bank.memories(0).device.type == "cuda"
    lines = [read_log(folder.parent / "log.jsonl") for folder in (whole, again.run())]
    for ours, expected in zip(lines[1], lines[0], strict=True):
        assert ours["loss"] == pytest.approx(expected["loss"], rel=1e-3)
        assert ours["memory"] == expected["memory"]


def test_under_torchrun_a_process_speaks_nccl(tmp_path):
    script, folder = tmp_path / "script.py", tmp_path / "run"
    script.write_text(ALONE)
    step = ("-m", "train.pretrain", SMOKE, f"run.folder={folder}", *STILL, "schedule.length=4")
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    for command in ((str(script),), step):
        done = subprocess.run(
            [*LAUNCH, *command],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert (folder / "model" / "model.safetensors").exists()
