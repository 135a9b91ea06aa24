"""`mermed collect`: images become a collection that can be searched and explored."""

import argparse
from pathlib import Path

from mermed_core.cli.arguments import add_data, add_workers

SUMMARY = "Embed images once and write a collection to search and explore."
DETAILS = """\
    mermed collect --data path/to/images --modality cxr --out collections/mine
    mermed serve --collection collections/mine

A collection holds records, unit vectors, a search index, a map and thumbnails. A folder of images that has no
folders for the modalities needs --modality."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="default: MERMED_MODEL, else the bundled model"
    )
    add_data(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="the collection; replaced as a whole"
    )
    parser.add_argument("--name", help="name that people see; default: the folder's")
    parser.add_argument("--text", default="", help="one or two sentences: what is in it, under which licence")
    parser.add_argument(
        "--modality", metavar="NAME", help="modality of images that do not state theirs, such as ct or cxr"
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="COLUMN",
        help="further column of the table that is kept, such as sex; may be repeated. No other is kept",
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> None:
    """Builds the collection and prints where it is."""
    from mermed_core.collections.store import build_collection
    from mermed_core.data.phantoms import SYNTHETIC_PREFIX
    from mermed_core.data.sources.opener import open_manifests
    from mermed_core.models.embedder import Embedder
    from mermed_core.settings import Settings

    embedder = Embedder.load(options.model or Settings.from_environment().model)
    manifest = open_manifests(options.data, modality=options.modality)
    collection = build_collection(
        options.out,
        embedder,
        manifest,
        name=options.name or options.out.resolve().name,
        text=options.text,
        synthetic=bool(manifest.frame["source"].str.startswith(SYNTHETIC_PREFIX).all()),
        keep=options.keep,
        workers=options.workers,
    )
    print(f"{len(collection)} cases in {options.out}")
    for reason, count in manifest.left_out.items():
        print(f"left out: {count} ({reason})")
