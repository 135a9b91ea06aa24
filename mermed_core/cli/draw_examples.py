"""`mermed draw-examples`: the page's synthetic example images."""

import argparse
from pathlib import Path

SUMMARY = "Draw one synthetic image of each modality: the page's examples."
DETAILS = "    mermed draw-examples --out assets/examples"

# Not a seed of the bundled collection, so that an example does not find itself.
_SEED = 4712
_SIDE = 320


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="PNG files; replaced as a whole"
    )


def run(options: argparse.Namespace) -> None:
    """Draws the images.

    Raises:
        OccupiedError: the folder holds something else.
    """
    from PIL import Image

    from mermed_core.data.phantoms import FINDINGS, draw_phantom
    from mermed_core.files import check_replaceable, write_folder
    from mermed_core.modalities import MODALITY_KEYS

    check_replaceable(options.out, f"{MODALITY_KEYS[0]}.png")
    with write_folder(options.out) as staging:
        for key in MODALITY_KEYS:
            phantom = draw_phantom(key, FINDINGS[key][0], seed=_SEED, size=_SIDE)
            Image.fromarray(phantom.pixels).save(staging / f"{key}.png", optimize=True)
    print(f"{len(MODALITY_KEYS)} examples in {options.out}")
