"""`mermed head`: a classifier of one's own from a few images."""

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from mermed_core.cli.arguments import add_served
from mermed_core.errors import FewShotError, ImageError
from mermed_core.files import write_bytes
from mermed_core.records import RESEARCH_ONLY

if TYPE_CHECKING:
    from mermed_core.inference.own_heads import Example, FewShotHead
    from mermed_core.inference.predictor import Predictor

SUMMARY = "Make a classifier of your own from a few images of each label."
DETAILS = """\
    mermed head my/images --out my_head.zip
    mermed analyse scan.png --head my_head.zip

The folder holds a folder of images for each label, from two of them and five images each upward. With
--patients, a folder inside a label's folder holds the images of one patient, which are left out together
when it is asked what the classifier gets right; otherwise every image counts as a patient of its own.
The file holds no pixels. The page loads it too."""

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("folder", type=Path, help="a folder with a folder of images for each label")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the ZIP file to write")
    parser.add_argument("--modality", metavar="NAME", help="of the images, such as ct; default: detected")
    parser.add_argument("--patients", action="store_true", help="folders inside a label's are patients")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_served(parser)


def run(options: argparse.Namespace) -> None:
    """Fits the classifier, writes it and says how good it is.

    Raises:
        FewShotError: there are too few images or labels.
        ModelError: there is no usable model.
    """
    from mermed_core.inference.own_heads import fit
    from mermed_core.inference.predictor import Predictor
    from mermed_core.models.few_shot_head import to_zip
    from mermed_core.settings import Settings

    if not options.folder.is_dir():
        raise FewShotError(f"'{options.folder}' is not a folder with a folder of images for each label.")
    predictor = Predictor.load(options.model or Settings.from_environment().model)
    head = fit(predictor, examples_in(predictor, options.folder, options.modality, options.patients))
    write_bytes(options.out, to_zip(head))
    if options.json:
        counts = dict(zip(head.labels, head.counts, strict=True))
        print(json.dumps({"images": counts, "left_out": vars(head.left_out)}, ensure_ascii=False))
    else:
        print("\n".join(lines(head, options.out)))


def examples_in(
    predictor: "Predictor", folder: Path, modality: str | None, patients: bool
) -> "list[Example]":
    """Embeds the images of a folder with a folder for each label; says which files are left out."""
    from mermed_core.data.file_tree import walk_files
    from mermed_core.inference.own_heads import example_of

    found = []
    for name in walk_files(folder):
        label, *between = name.split("/")
        if not between:
            continue
        try:
            embedding = predictor.embed(predictor.read(folder / name), modality=modality)
        except ImageError as error:
            logger.warning("left out: %s: %s", name, error)
            continue
        group = f"{label}/{between[0]}" if patients and len(between) > 1 else ""
        found.append(example_of(predictor, embedding, label, group))
    return found


def lines(head: "FewShotHead", out: Path) -> list[str]:
    """Returns what a person should know of a classifier, line by line."""
    left_out = head.left_out
    said = [
        f"label       {label}: {count} images" for label, count in zip(head.labels, head.counts, strict=True)
    ]
    said.append(
        f"left out    {left_out.right} of {left_out.images} right ({left_out.share:.0%}; 95% CI "
        f"{left_out.low:.0%} to {left_out.high:.0%}), each of {left_out.groups} patients left out once; "
        f"guessing gets {left_out.guessing:.0%}"
    )
    if not left_out.beats_guessing:
        said.append("CHECK       not shown to be better than guessing; give more images")
    return [*said, f"written     {out}", RESEARCH_ONLY]
