"""`mermed report`: one pretraining run as a page."""

import argparse
import logging
from pathlib import Path

from mermed_core.cli.arguments import DATA_HELP, count
from mermed_core.errors import MermedError

SUMMARY = "Write a pretraining run as one HTML page: curves, neighbours, recipe."
DETAILS = """\
    mermed report runs/cpu

Works while the run goes on, too. The page loads nothing from elsewhere. It holds small copies of some images
of the data unless --images is 0."""

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("run_folder", type=Path, metavar="run", help="folder of the run")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in the run's folder")
    parser.add_argument("--data", metavar="SPEC", help=f"default: the recipe's. {DATA_HELP}")
    parser.add_argument(
        "--images", type=count, default=350, metavar="N", help="images to search in (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    """Writes the page and prints where it is.

    Raises:
        TrainingError: the folder holds no run.
    """
    from mermed_core.config import read_recipe
    from mermed_core.data.sources.opener import open_manifest
    from mermed_core.files import write_file
    from mermed_core.pretraining.recipe import Recipe
    from mermed_core.pretraining.report import find_examples, read_run, run_report
    from mermed_core.reports.render import render_html

    folder = options.run_folder
    read_run(folder)
    recipe = read_recipe(Recipe, folder / "recipe.toml")
    examples, missing = None, ""
    if options.images:
        try:
            manifest = open_manifest(options.data or recipe.data.manifest)
            examples = find_examples(folder, recipe, manifest, images=options.images)
        except MermedError as error:
            missing = f"Not shown: {error}"
            logger.warning("no nearest neighbours: %s", error)
    out = options.out or folder / "report.html"
    page = render_html(run_report(folder, recipe, examples, missing))
    with write_file(out) as staging:
        staging.write_text(page, encoding="utf-8")
    print(out)
