"""Pretrains an encoder by self-supervision with the MerMED method, and writes a model folder.

    python -m train.pretrain train/recipes/cpu.toml run.folder=runs/second schedule.length=500
    torchrun --nproc-per-node 8 -m train.pretrain train/recipes/paper.toml

The same command continues a run that was stopped. Its folder holds the resolved recipe, log.jsonl, curves,
checkpoints and at the end the model folder, whose path is printed. On several nodes the folder must be one
that all of them see.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from mermed_core.errors import MermedError
from train.arguments import step_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the step and returns its exit code: 0, 2 for wrong input, 130 or 143 when it was stopped."""
    options = _parser().parse_args(arguments)
    # torch takes seconds to import; --help should not
    from mermed_core.config import read_recipe
    from mermed_core.data.sources.opener import open_manifest
    from mermed_core.pretraining.interruption import Interrupted
    from mermed_core.pretraining.pretrainer import Pretrainer
    from mermed_core.pretraining.recipe import Recipe

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        recipe = read_recipe(Recipe, options.recipe, options.overrides)
        pretrainer = Pretrainer(recipe, open_manifest(recipe.data.manifest))
        folder = pretrainer.run()
        if pretrainer.ranks.is_main:
            print(folder)
    except (MermedError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before the run began; in it a checkpoint is written first
        print("stopped", file=sys.stderr)
        return 130
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        return interrupted.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = step_parser("pretrain", __doc__)
    parser.add_argument("recipe", type=Path, help="a TOML file, such as train/recipes/cpu.toml")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="replaces one value of the recipe; may be repeated"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
