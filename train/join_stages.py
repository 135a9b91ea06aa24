"""Joins the last stages of a model's encoder in its embedding, and sets the size that it sees images at.

    python -m train.join_stages --model runs/cpu/model --data $MERMED_DATA --out runs/cpu/joined --size 160

The features are standardised on the training images, whose labels are not used. Heads, gate and collections
are of the embedding that they were made for: fit and build them anew.
"""

import argparse
from pathlib import Path

from mermed_core.files import check_replaceable, write_folder
from train.arguments import add_common, count, open_all, run, share, step_parser


def main(arguments: list[str] | None = None) -> None:
    """Runs the step."""
    parser = step_parser("join_stages", __doc__)
    add_common(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the new model")
    parser.add_argument("--stages", type=count, default=3, help="how many of the last (default: %(default)s)")
    parser.add_argument("--size", type=count, help="side of the input in pixels; default: as it is")
    focus = "look at the middle too, through a Gaussian of this deviation, a share of the side; default: not"
    parser.add_argument("--focus", type=share, default=0.0, metavar="SHARE", help=focus)
    _join(parser.parse_args(arguments))


def _join(options: argparse.Namespace) -> None:
    # torch takes seconds to import; --help should not
    from mermed_core.fitting.pooled_stages import joined
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.model_folder import CONFIG, save_model

    check_replaceable(options.out, CONFIG)
    embedder = Embedder.load(options.model)
    manifest = open_all(options.data)
    result = joined(
        embedder, manifest, options.stages, size=options.size, focus=options.focus, workers=options.workers
    )
    with write_folder(options.out) as staging:
        save_model(staging, result.backbone, result.config)
    print(options.out)


if __name__ == "__main__":
    run(main)
