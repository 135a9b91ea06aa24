"""Draws one synthetic image with a finding for each modality: the page's examples.

    python -m train.draw_examples --out assets/examples

The folder is replaced as a whole.
"""

from pathlib import Path

from PIL import Image

from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.files import check_replaceable, write_folder
from mermed_core.modalities import MODALITY_KEYS
from train.arguments import run, step_parser

# Not among the seeds of the bundled collection, so that an example does not find itself.
_SEED = 4712
_SIDE = 320


def main(arguments: list[str] | None = None) -> None:
    """Runs the step."""
    parser = step_parser("draw_examples", __doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of PNG files; replaced as a whole")
    options = parser.parse_args(arguments)
    check_replaceable(options.out, f"{MODALITY_KEYS[0]}.png")
    with write_folder(options.out) as staging:
        for key in MODALITY_KEYS:
            phantom = draw_phantom(key, FINDINGS[key][0], seed=_SEED, size=_SIDE)
            Image.fromarray(phantom.pixels).save(staging / f"{key}.png", optimize=True)
    print(f"{len(MODALITY_KEYS)} examples in {options.out}")


if __name__ == "__main__":
    run(main)
