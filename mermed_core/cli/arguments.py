"""Options that several commands share, and the types of their values.

Nothing here or at the top of a command's file may import a heavy library: `mermed --help` must be instant.
"""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from mermed_core.errors import ManifestError

if TYPE_CHECKING:
    import numpy as np

    from mermed_core.data.manifest import Manifest

DATA_HELP = (
    "images: a folder or file of parquet tables, a CSV, a folder modality/class/*.png, dicom:DIR, "
    "shards:DIR, medmnist:NAME or phantoms:COUNT; may be repeated. Tables named after a split (train.csv) "
    "are parts of their folder's set"
)
DATASETS_HELP = "TOML with title, licence, home and caveat of each source; default: those of the shipped sets"

UNKNOWN_HELP = (
    "images of none of the seven modalities, to learn what to turn away: parquet files with a label that "
    "names the kind, or a folder with a folder for each kind; default: MERMED_UNKNOWN, where set. Pictures "
    "that come with installed packages, and drawn ones, are always used"
)
LABEL_SETS_HELP = (
    "TOML that says which labels of several sources mean the same, and which part of the body a source "
    "shows; default: that of the bundled model"
)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds --model, which must be given."""
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="model folder")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Adds --data, which may be repeated and must be given."""
    parser.add_argument("--data", action="append", required=True, metavar="SPEC", help=DATA_HELP)


def add_splits(parser: argparse.ArgumentParser) -> None:
    """Adds --split, which may be repeated."""
    parser.add_argument(
        "--split",
        action="append",
        choices=["train", "val", "test"],
        help="take the images of this split alone; may be repeated",
    )


def of_splits(manifest: "Manifest", splits: list[str] | None) -> "Manifest":
    """Returns the images of some splits; of all where none is named.

    Raises:
        ManifestError: no image is in one of them.
    """
    if splits is None:
        return manifest
    wanted = manifest.frame["split"].isin(splits)
    if not wanted.any():
        raise ManifestError(f"no image is in the split {' or '.join(splits)}.", column="split")
    return manifest.select(wanted)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Adds --workers."""
    parser.add_argument(
        "--workers", type=count, default=0, metavar="N", help="processes that read images ahead (default: 0)"
    )


def add_kept(parser: argparse.ArgumentParser) -> None:
    """Adds --keep."""
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="COLUMN",
        help="further column of the table that is kept, such as sex or a date; `file` keeps what the images' "
        "own files are called. May be repeated; no other is kept",
    )


def add_vectors(parser: argparse.ArgumentParser) -> None:
    """Adds --vectors."""
    parser.add_argument(
        "--vectors",
        type=Path,
        metavar="FILE",
        help="vectors of the images that another encoder made, instead of embedding them: .npy in the order "
        "of the table, or .npz, .parquet or .safetensors with case ids",
    )


def add_log_level(parser: argparse.ArgumentParser) -> None:
    """Adds --quiet and --verbose."""
    for flags, level, meaning in (
        (("-q", "--quiet"), logging.WARNING, "show warnings only"),
        (("-v", "--verbose"), logging.INFO, "show progress as well"),
    ):
        parser.add_argument(
            *flags,
            dest="log_level",
            action="store_const",
            const=level,
            default=argparse.SUPPRESS,
            help=meaning,
        )


def add_pictures(parser: argparse.ArgumentParser) -> None:
    """Adds --pictures, which may be repeated."""
    parser.add_argument(
        "--pictures",
        type=Path,
        action="append",
        default=[],
        metavar="PLACE",
        help="folder or parquet file with the pictures of a collection that keeps none; may be repeated",
    )


def add_served(parser: argparse.ArgumentParser) -> None:
    """Adds --model and --collection, which default to what the environment or else the package offers."""
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="default: MERMED_MODEL, else the bundled model"
    )
    parser.add_argument(
        "--collection",
        type=Path,
        metavar="FOLDER",
        help="default: MERMED_COLLECTION, else the bundled collection",
    )


def count(text: str) -> int:
    """Reads a whole number from 0 up."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 up")
    return int(text)


def positive(text: str) -> int:
    """Reads a whole number from 1 up."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 up")
    return int(text)


def share(text: str) -> float:
    """Reads a number in 0..1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1")
    return value


def unknown_kinds(path: Path | None) -> "dict[str, list[np.ndarray]]":
    """Returns the pixels of images of unknown kinds by kind: of a path, else of MERMED_UNKNOWN, else none.

    Raises:
        ManifestError: none can be read.
        SettingsError: the environment says something impossible.
    """
    from mermed_core.data.unknown_images import read_unknown
    from mermed_core.settings import Settings

    path = path or Settings.from_environment().unknown
    return read_unknown(path) if path else {}
