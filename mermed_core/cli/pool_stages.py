"""`mermed pool-stages`: several stages of an encoder in its embedding."""

import argparse
from pathlib import Path

from mermed_core.cli.arguments import add_data, add_model, add_workers, positive, share

SUMMARY = "Pool several stages of an encoder into its embedding; set its input size."
DETAILS = """\
    mermed pool-stages --model runs/cpu/model --data path/to/images --out runs/cpu/pooled --size 160

The features are standardised on the training images, whose labels are not used. Heads, out-of-distribution
detector and collections belong to the embedding that they were made for: fit and build them anew."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_model(parser)
    add_data(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the new model")
    parser.add_argument(
        "--stages", type=positive, default=3, metavar="N", help="how many of the last (default: 3)"
    )
    parser.add_argument(
        "--size", type=positive, metavar="PIXELS", help="side of the input; default: as it is"
    )
    parser.add_argument(
        "--centre-sigma",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="pool the centre as well, weighted by a Gaussian of this standard deviation, a share of the "
        "side; default: 0, the whole image only",
    )
    parser.add_argument(
        "--trim", action="store_true", help="leave out border, padding and window around every picture"
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> None:
    """Writes the new model folder and prints where it is.

    Raises:
        ModelError: the folder holds no usable model, or its encoder has fewer stages.
        OccupiedError: the folder to write to holds something else.
    """
    from mermed_core.data.sources.opener import open_manifests
    from mermed_core.files import check_replaceable, write_folder
    from mermed_core.fitting.pooled_stages import pool_stages
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.model_folder import CONFIG, save_model

    check_replaceable(options.out, CONFIG)
    embedder = Embedder.load(options.model)
    manifest = open_manifests(options.data)
    pooled = pool_stages(
        embedder,
        manifest,
        options.stages,
        size=options.size,
        centre_sigma=options.centre_sigma,
        trim=options.trim,
        workers=options.workers,
    )
    with write_folder(options.out) as staging:
        save_model(staging, pooled.backbone, pooled.config)
    print(options.out)
