"""`mermed pretrain`: the MerMED method on your images."""

import argparse
import sys
from pathlib import Path

import mermed_core
from mermed_core.errors import RecipeError

SUMMARY = "Pretrain an encoder by self-supervision with a memory."
DETAILS = """\
    mermed pretrain cpu data.manifest=my/images.csv run.folder=runs/mine
    mermed pretrain my/recipe.toml schedule.length=500
    torchrun --nproc-per-node 8 -m mermed_core pretrain paper data.manifest=shards:s3://bucket/shards

The same command continues a run that was stopped. The run's folder holds the resolved recipe, log.jsonl,
curves and checkpoints, and at the end the model folder, whose path is printed. On several nodes it must be a
folder that all of them see."""

_PACKAGE = Path(mermed_core.__file__).resolve().parent
# In the package where it is installed, beside the training steps in a checkout.
RECIPES = next(
    (folder for folder in (_PACKAGE / "recipes", _PACKAGE.parent / "train" / "recipes") if folder.is_dir()),
    _PACKAGE / "recipes",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "recipe", help=f"a TOML file, or the name of a shipped recipe: {', '.join(shipped_recipes())}"
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="replaces one value of the recipe, such as optimiser.learning_rate=1e-4",
    )


def run(options: argparse.Namespace) -> int:
    """Runs or continues the pretraining; prints the model folder.

    Raises:
        RecipeError: the recipe or an override is not valid.
        TrainingError: the run cannot start, continue or go on.
    """
    path = locate_recipe(options.recipe)
    from mermed_core.config import read_recipe
    from mermed_core.data.sources.opener import open_manifest
    from mermed_core.pretraining.checkpoints import Interrupted
    from mermed_core.pretraining.pretrainer import Pretrainer
    from mermed_core.pretraining.recipe import Recipe

    recipe = read_recipe(Recipe, path, options.overrides)
    pretrainer = Pretrainer(recipe, open_manifest(recipe.data.manifest))
    try:
        folder = pretrainer.run()
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        return interrupted.exit_code
    if pretrainer.processes.is_main:
        print(folder)
    return 0


def shipped_recipes() -> list[str]:
    """Returns the names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def locate_recipe(place: str) -> Path:
    """Returns the file that a path or the bare name of a shipped recipe stands for.

    Raises:
        RecipeError: there is no such file and no such recipe.
    """
    if (path := Path(place)).is_file():
        return path
    if place in shipped_recipes():
        return RECIPES / f"{place}.toml"
    raise RecipeError(
        f"'{place}' is neither a file nor a shipped recipe; those are {', '.join(shipped_recipes())}."
    )
