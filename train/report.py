"""Writes a run as one HTML page: curves, nearest neighbours of a few images, recipe.

    python -m train.report runs/cpu

Works while the run goes on, too. The page loads nothing from elsewhere; it holds small copies of some images
of the data unless --images is 0.
"""

import argparse
import logging
from pathlib import Path

from mermed_core.errors import MermedError
from mermed_core.files import write_file
from train.arguments import DATA_HELP, count, run, step_parser

logger = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> None:
    """Runs the step."""
    parser = step_parser("report", __doc__)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--out", type=Path, help="default: report.html in the run's folder")
    parser.add_argument("--data", metavar="SPEC", help=f"default: the recipe's. {DATA_HELP}")
    parser.add_argument(
        "--images", type=count, default=350, help="images to search in (default: %(default)s)"
    )
    _report(parser.parse_args(arguments))


def _report(options: argparse.Namespace) -> None:
    # torch takes seconds to import; --help should not
    from mermed_core.config import read_recipe
    from mermed_core.pretraining.examples import find_examples
    from mermed_core.pretraining.recipe import Recipe
    from mermed_core.pretraining.report import read_run, report_page
    from train.arguments import open_all

    read_run(options.run)
    recipe = read_recipe(Recipe, options.run / "recipe.toml")
    examples, missing = None, ""
    if options.images:
        try:
            manifest = open_all([options.data or recipe.data.manifest])
            examples = find_examples(options.run, recipe, manifest, images=options.images)
        except MermedError as error:
            missing = f"Not shown: {error}"
            logger.warning("no nearest neighbours: %s", error)
    out = options.out or options.run / "report.html"
    with write_file(out) as staging:
        staging.write_text(report_page(options.run, recipe, examples, missing), encoding="utf-8")
    print(out)


if __name__ == "__main__":
    run(main)
