"""Pretraining from the command line: the shipped recipes, a run, and what is refused."""

from pathlib import Path

import pytest

from mermed_core.cli import main
from mermed_core.cli.pretrain import RECIPES, locate_recipe, shipped_recipes
from mermed_core.config import read_recipe
from mermed_core.errors import RecipeError
from mermed_core.models.model_folder import load_config
from mermed_core.pretraining.recipe import Recipe

SMOKE = "smoke"
FEW = "data.manifest=phantoms:4"


def test_the_shipped_recipes_are_named_and_found():
    assert shipped_recipes() == ["cpu", "gpu", "many_sources", "paper", "smoke"]
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
