"""Embeds images once and writes a collection: records, unit vectors, search index, map and thumbnails.

    python -m train.build_collection --model assets/model --data path/to/images --out collections/mine

A folder of images without folders for the modality needs --modality.
"""

import argparse
from pathlib import Path

from train.arguments import add_common, open_all, run, step_parser


def main(arguments: list[str] | None = None) -> None:
    """Runs the step."""
    parser = step_parser("build_collection", __doc__)
    add_common(parser)
    parser.add_argument("--out", type=Path, required=True, help="collection folder; replaced as a whole")
    parser.add_argument("--name", help="name for people; default: the folder's")
    parser.add_argument("--text", default="", help="one or two sentences: what is in it, under which licence")
    parser.add_argument("--modality", help="modality of images that do not lie in folders of one")
    _build(parser.parse_args(arguments))


def _build(options: argparse.Namespace) -> None:
    # torch takes seconds to import; --help should not
    from mermed_core.collections.collection import build_collection
    from mermed_core.fitting.model_card import SYNTHETIC_PREFIX
    from mermed_core.models.embedder import Embedder

    embedder = Embedder.load(options.model)
    manifest = open_all(options.data, options.modality)
    collection = build_collection(
        options.out,
        embedder,
        manifest,
        name=options.name or options.out.name,
        text=options.text,
        synthetic=bool(manifest.frame["source"].str.startswith(SYNTHETIC_PREFIX).all()),
        workers=options.workers,
    )
    print(f"{len(collection)} cases in {options.out}")


if __name__ == "__main__":
    run(main)
