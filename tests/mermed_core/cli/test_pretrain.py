"""Pretraining from the command line: the shipped recipes, refusals, and runs that are stopped or killed."""

import multiprocessing
import os
import random
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mermed_core.cli import main
from mermed_core.cli.pretrain import RECIPES, locate_recipe, shipped_recipes
from mermed_core.config import read_recipe
from mermed_core.errors import RecipeError
from mermed_core.models.model_folder import load_config
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.run_folder import read_log

SMOKE = "smoke"
FEW = "data.manifest=phantoms:4"


def test_the_shipped_recipes_are_named_and_found():
    assert shipped_recipes() == ["cpu", "gpu", "paper", "smoke"]
    assert locate_recipe("cpu") == RECIPES / "cpu.toml"
    assert locate_recipe(str(RECIPES / "gpu.toml")) == RECIPES / "gpu.toml"
    for place in ("none", "none.toml", "../cpu", ""):
        with pytest.raises(RecipeError, match="neither a file nor a shipped recipe; those are cpu, gpu"):
            locate_recipe(place)


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_whole(name):
    assert read_recipe(Recipe, locate_recipe(name)).run.folder == f"runs/{name}"


def test_the_papers_numbers_are_in_its_recipe():
    recipe = read_recipe(Recipe, locate_recipe("paper"))
    views, memory = recipe.views, recipe.memory
    assert (views.global_count, views.global_size, views.global_scale) == (2, 224, (0.2, 1))
    assert (views.local_count, views.local_size, views.local_scale) == (10, 96, (0.05, 0.2))
    assert (memory.size, memory.block_size, recipe.blocks) == (131072, 16384, 8)
    assert (recipe.data.batch, recipe.schedule.length, recipe.schedule.unit) == (1024, 100, "epoch")
    assert (recipe.head.layers, recipe.head.hidden, recipe.head.dim) == (3, 2048, 256)


def test_a_run_prints_its_model_folder(tmp_path, capsys):
    assert main(["pretrain", SMOKE, FEW, f"run.folder={tmp_path / 'run'}", "schedule.length=2"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert load_config(folder).training["steps"] == 2


@pytest.mark.parametrize(
    ("override", "code", "problem"),
    [
        ("optimiser.lr=1", 2, "optimiser.lr"),
        ("data.manifest=$SURELY_NOT_SET", 2, "SURELY_NOT_SET"),
        ("data.manifest=/no/such/place", 2, "/no/such/place"),
        ("encoder.architecture=no_such_network", 1, "no_such_network"),
        ("encoder.start=/no/such/file.pth", 1, "/no/such/file.pth"),
        ("views.local_scale=[0.5, 0.2]", 2, "views.local_scale"),
        ("memory.block_size=100000", 2, "memory.block_size"),
        ("encoder.architecture=test_convnext", 2, "views.local_size"),
        ("encoder.architecture=test_vit;views.local_size=20", 2, "views.local_size"),
        ("compute.accumulate=3", 2, "data.batch"),
        ("run.device=no_such_device", 2, "run.device"),
        ("run.tracker=no_such_tracker", 2, "run.tracker"),
        ("run.folder=/dev/null/run", 1, "/dev/null/run"),
        (f"model.folder={RECIPES}", 1, "something else"),
    ],
)
def test_what_cannot_be_run_is_a_sentence(tmp_path, error_of, override, code, problem):
    result = error_of("pretrain", SMOKE, f"run.folder={tmp_path / 'run'}", *override.split(";"))
    assert (result[0], problem in result[1]) == (code, True)


@pytest.fixture(scope="module")
def start():
    """Starts runs as processes of their own: forks of one that has imported what takes seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mermed_core.pretraining.pretrainer"])

    def run(folder: Path, *overrides: str) -> BaseProcess:
        folder.parent.mkdir(exist_ok=True)
        process = context.Process(target=_run, args=(folder, overrides))
        process.start()
        return process

    return run


def _run(folder: Path, overrides: tuple[str, ...]) -> None:
    with folder.with_suffix(".stderr").open("a") as errors:
        os.dup2(errors.fileno(), sys.stderr.fileno())
    multiprocessing.set_start_method("fork", force=True)  # readers start as they do in a shell
    torch.set_num_threads(1)
    sys.exit(main(["pretrain", SMOKE, FEW, f"run.folder={folder}", *overrides]))


def steps_in(folder: Path) -> int:
    log = folder / "log.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def wait_for_steps(process: BaseProcess, folder: Path, steps: int) -> None:
    deadline = time.monotonic() + 60
    while process.is_alive() and steps_in(folder) < steps and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_killed_at_any_moment_the_same_command_ends_in_the_same_weights(tmp_path, start):
    options = ("schedule.length=20", "run.checkpoint_every=1", "run.workers=1", "run.monitor_every=7")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    chance = random.Random(0)
    for _ in range(2):
        before = steps_in(killed)
        process = start(killed, *options)
        wait_for_steps(process, killed, before + chance.randint(1, 5))
        time.sleep(chance.random() * 0.05)  # not always at the same place of a step
        process.kill()
        process.join()
    for folder in (killed, whole):
        process = start(folder, *options)
        process.join(120)
        assert process.exitcode == 0, folder.with_suffix(".stderr").read_text()
    first, second = (load_file(folder / "model" / "model.safetensors") for folder in (whole, killed))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    values = [
        [(line["step"], line["loss"], line["unreadable"]) for line in read_log(folder / "log.jsonl")]
        for folder in (whole, killed)
    ]
    assert values[0] == values[1]
    assert [step for step, *_ in values[0]] == list(range(1, 21))
    assert not list((killed / "checkpoints").glob(".*"))  # no half of one is left


@pytest.mark.timeout(150)
def test_terminated_it_writes_a_checkpoint_and_ends_with_143(tmp_path, start):
    folder = tmp_path / "run"
    process = start(folder, "schedule.length=100000")
    try:
        wait_for_steps(process, folder, 1)
        os.kill(process.pid, signal.SIGTERM)
        process.join(60)
    finally:
        process.kill()  # never leave a run of 100000 steps behind
    assert process.exitcode == 143
    assert "the same command continues the run" in folder.with_suffix(".stderr").read_text()
    assert list((folder / "checkpoints").iterdir())
