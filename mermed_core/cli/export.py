"""`mermed export`: a collection as a folder that opens without a server or a network."""

import argparse
import importlib
from pathlib import Path

from mermed_core.cli.arguments import add_pictures
from mermed_core.cli.serve import page_package

SUMMARY = "Write a collection as a page that opens without a server."
DETAILS = """\
    mermed export collections/mine --static mine-explorer
    mermed export collections/mine --static mine-explorer --pictures path/to/images

Open index.html of the folder in a browser: the map, its views, the records and the small pictures are there,
and nothing is asked of a network. Whoever has the folder has the records, the small pictures and, without
--no-notes, the tags and notes; the vectors and the model stay behind."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("collection", type=Path, metavar="COLLECTION", help="folder of the collection")
    parser.add_argument(
        "--static", type=Path, required=True, metavar="FOLDER", help="the page; replaced as a whole"
    )
    parser.add_argument(
        "--no-notes", dest="notes", action="store_false", help="leave tags and notes out of the page"
    )
    add_pictures(parser)


def run(options: argparse.Namespace) -> None:
    """Writes the page and prints where it is.

    Raises:
        CollectionError: the collection is missing or damaged.
        ManifestError: a place of pictures cannot be read.
        OccupiedError: the folder to write to holds something else.
    """
    from mermed_core.collections.annotations import read_annotations
    from mermed_core.collections.pictures import Pictures
    from mermed_core.collections.quality.watch import TerminalWatch
    from mermed_core.collections.store import load_collection

    pictures = Pictures(options.pictures) if options.pictures else None
    collection = load_collection(options.collection, pictures=pictures)
    page = importlib.import_module(f"{page_package()}.static_export")
    written = read_annotations(options.collection) if options.notes else None
    page.write_static(options.static, collection, written, watch=TerminalWatch())
    print(f"{len(collection)} cases in {options.static / 'index.html'}")
