"""The step: what it says, what it refuses, and that the shipped recipes are whole."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mermed_core.checkpoint import load_config
from mermed_core.pretraining.recipe import Recipe
from mermed_core.recipes import read_recipe
from train.pretrain import main

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "train" / "recipes"
SMOKE = str(RECIPES / "smoke.toml")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_whole(path):
    assert read_recipe(Recipe, path).run.folder == f"runs/{path.stem}"


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


def test_every_field_of_a_recipe_is_read_by_the_code():
    package = ROOT / "mermed_core" / "pretraining"
    files = [path for path in package.glob("*.py") if path.name != "recipe.py"] + [
        ROOT / "train" / "pretrain.py"
    ]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    names = [
        field.name
        for section in dataclasses.fields(Recipe)
        for field in dataclasses.fields(section.type)  # pyright: ignore[reportArgumentType]
        if field.name != "block_size"  # read by Recipe.blocks
    ]
    assert len(names) > 50
    assert [name for name in names if not re.search(rf"\.{name}\b", code)] == []


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
        ("run.folder=/dev/null/run", "/dev/null/run"),
        (f"model.folder={RECIPES}", "something else"),
    ],
)
def test_wrong_input_is_told_in_a_sentence(tmp_path, capsys, override, told):
    assert main([SMOKE, f"run.folder={tmp_path / 'run'}", override]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.timeout(150)
def test_terminated_and_started_again_it_goes_on(tmp_path):
    command = [
        sys.executable,
        "-m",
        "train.pretrain",
        SMOKE,
        f"run.folder={tmp_path / 'run'}",
        "schedule.length=100000",
    ]
    log = tmp_path / "run" / "log.jsonl"
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
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
