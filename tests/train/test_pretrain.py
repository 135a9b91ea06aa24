"""The step: what it says, what it refuses, and that the shipped recipes are whole."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mermed_core.config import read_recipe
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.models.model_folder import load_config
from mermed_core.pretraining.distributed import Ranks
from mermed_core.pretraining.engine import Engine
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.runlog import read_log
from train.pretrain import main

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "train" / "recipes"
SMOKE = str(RECIPES / "smoke.toml")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_whole(path):
    assert read_recipe(Recipe, path).run.folder == f"runs/{path.stem}"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_can_be_built(path):
    engine = Engine(read_recipe(Recipe, path, ["encoder.start=random"]), MODALITY_KEYS, Ranks("cpu"))
    assert sum(engine.bank.slots for _ in MODALITY_KEYS) >= engine.bank.slots * 7


def test_the_papers_numbers_stand_in_its_recipe():
    recipe = read_recipe(Recipe, RECIPES / "paper.toml")
    assert (recipe.views.global_count, recipe.views.global_size, recipe.views.global_scale) == (
        2,
        224,
        (0.2, 1),
    )
    assert (recipe.views.local_count, recipe.views.local_size, recipe.views.local_scale) == (
        10,
        96,
        (0.05, 0.2),
    )
    assert (recipe.memory.size, recipe.memory.block_size, recipe.blocks) == (131072, 16384, 8)
    assert (recipe.data.batch, recipe.schedule.length, recipe.schedule.unit) == (1024, 100, "epoch")
    assert (recipe.head.layers, recipe.head.hidden, recipe.head.dim) == (3, 2048, 256)


def test_a_run_prints_its_model_folder(tmp_path, capsys):
    assert main([SMOKE, f"run.folder={tmp_path / 'run'}", "schedule.length=2"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert load_config(folder).training["steps"] == 2


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optimiser.lr=1", "optimiser.lr"),
        ("data.manifest=$SURELY_NOT_SET", "SURELY_NOT_SET"),
        ("data.manifest=/no/such/place", "/no/such/place"),
        ("encoder.architecture=no_such_network", "no_such_network"),
        ("encoder.start=/no/such/file.pth", "/no/such/file.pth"),
        ("views.local_scale=[0.5, 0.2]", "views.local_scale"),
        ("memory.block_size=100000", "memory.block_size"),
        ("encoder.architecture=test_convnext", "views.local_size"),
        ("encoder.architecture=test_vit;views.local_size=20", "views.local_size"),
        ("compute.accumulate=3", "data.batch"),
        ("run.device=no_such_device", "run.device"),
        ("run.tracker=no_such_tracker", "run.tracker"),
        ("run.folder=/dev/null/run", "/dev/null/run"),
        (f"model.folder={RECIPES}", "something else"),
    ],
)
def test_wrong_input_is_told_in_a_sentence(tmp_path, capsys, override, told):
    assert main([SMOKE, f"run.folder={tmp_path / 'run'}", *override.split(";")]) == 2
    assert told in capsys.readouterr().err


def start(folder, *overrides):
    command = [sys.executable, "-m", "train.pretrain", SMOKE, f"run.folder={folder}", *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_kernels_that_cannot_be_compiled_are_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))  # nothing is compiled already
    small = ("encoder.architecture=test_vit", "views.local_count=0", "schedule.length=1")
    with start(tmp_path / "run", "compute.compile=true", *small) as process:
        error = process.communicate(timeout=100)[1]
    assert process.returncode == 2
    told = error.splitlines()[-1]
    assert told.startswith("'compute.compile' is true, but nothing can be compiled here: InvalidCxxCompiler")
    assert told.endswith("or set it to false in a 'run.folder' of its own.")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_any_moment_the_same_command_ends_in_the_same_weights(tmp_path):
    options = ("schedule.length=60", "run.checkpoint_every=1", "run.workers=1", "run.monitor_every=7")
    whole = start(tmp_path / "whole", *options)
    chance = random.Random(0)
    for _ in range(4):
        process = start(tmp_path / "killed", *options)
        steps = chance.randint(1, 12)
        log = tmp_path / "killed" / "log.jsonl"
        before = len(log.read_text().splitlines()) if log.exists() else 0
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if log.exists() and len(log.read_text().splitlines()) >= before + steps:
                break
        time.sleep(chance.random() * 0.05)  # not always at the same place of a step
        process.kill()
        process.communicate()
    last = start(tmp_path / "killed", *options)
    for process in (whole, last):
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    first, second = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "killed")
    )
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    values = [
        [(line["step"], line["loss"], line["unreadable"]) for line in read_log(tmp_path / name / "log.jsonl")]
        for name in ("whole", "killed")
    ]
    assert values[0] == values[1]
    assert [step for step, *_ in values[0]] == list(range(1, 61))
    checkpoints = [path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()]
    assert not [name for name in checkpoints if name.startswith(".")]  # no half of one is left


@pytest.mark.timeout(150)
def test_terminated_and_started_again_it_goes_on(tmp_path):
    log = tmp_path / "run" / "log.jsonl"
    with start(tmp_path / "run", "schedule.length=100000") as process:
        deadline = time.monotonic() + 60
        while not (log.exists() and log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGTERM)
        try:
            error = process.communicate(timeout=60)[1]
        finally:
            process.kill()  # never leave a run of 100000 steps behind
    assert process.returncode == 143
    assert "the same command continues the run" in error
    assert list((tmp_path / "run" / "checkpoints").iterdir())
