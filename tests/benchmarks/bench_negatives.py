"""How often a part cut out of a picture, or a whole one, is taken for a negative.

    python tests/benchmarks/bench_negatives.py FOLDER       # parquet files of original images; ten minutes

Of each source the first grey images count, each whole and as a negative, and with parts of every side cut
out of it at random places. docs/experiments.md has the table.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from mermed_core.data.sources.opener import open_manifest
from mermed_core.files import BUNDLED_MODEL
from mermed_core.imaging.colours import is_grey
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.predictor import Predictor

_SIDES = (16, 24, 33, 48, 64, 96, 128, 160, 224, 320)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, default=BUNDLED_MODEL)
    parser.add_argument("--images", type=int, default=15, help="of each source")
    parser.add_argument("--crops", type=int, default=2, help="of each image and side")
    options = parser.parse_args()
    predictor, random = Predictor.load(options.model), np.random.default_rng(0)
    found: dict[str, list[bool]] = defaultdict(list)

    def judge(name: str, pixels: np.ndarray) -> None:
        image = MedicalImage(np.ascontiguousarray(pixels), 1, 0, "PNG", ())
        found[name].append(predictor.embed(image).negative)

    for file in sorted(options.folder.glob("*.parquet")):
        manifest = open_manifest(file)
        for row in range(min(options.images, len(manifest))):
            pixels = manifest.read_image(row).pixels
            if not is_grey(pixels):
                continue
            judge("whole", pixels)
            judge("whole, negative", 255 - pixels)
            for side in (each for each in _SIDES if each < min(pixels.shape[:2])):
                for _ in range(options.crops):
                    top, left = (random.integers(0, length - side + 1) for length in pixels.shape[:2])
                    judge(f"part of {side} px", pixels[top : top + side, left : left + side])
    for name, called in found.items():
        print(f"{name:18} {len(called):5} images  called a negative: {np.mean(called):.3f}")


if __name__ == "__main__":
    main()
