"""What the steps' command lines share."""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from mermed_core.data.manifest import Manifest
from mermed_core.data.sources.opener import open_manifests
from mermed_core.errors import MermedError

DATA_HELP = (
    "images: a folder or file of parquet tables, a CSV, a folder modality/class/*.png, dicom:DIR, "
    "medmnist:NAME or phantoms:COUNT; may be repeated. A table named after a split (train.csv) is a part of "
    "its folder's set; other tables that are measured together need one name in a column task (or source)"
)


def step_parser(step: str, description: str | None) -> argparse.ArgumentParser:
    """Returns the parser of a step, which shows the step's description as it is written."""
    return argparse.ArgumentParser(
        prog=f"python -m train.{step}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_common(parser: argparse.ArgumentParser) -> None:
    """Adds the options that every step on images has."""
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--data", action="append", required=True, metavar="SPEC", help=DATA_HELP)
    parser.add_argument("--workers", type=count, default=0, help="processes that read images ahead")


def open_all(specs: list[str], modality: str | None = None) -> Manifest:
    """Opens every source of images and joins them."""
    return open_manifests(specs, modality=modality)


def count(text: str) -> int:
    """Reads a number from 0 up."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 up")
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


def run(step: Callable[[], None]) -> None:
    """Runs a step: logs to stderr; a user's mistake ends as one sentence and exit code 1, Ctrl-C as 130.

    What the system refuses (no right to write there, a full disk) is told in its own words.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it tells which of its libraries it tried
    try:
        step()
    except (MermedError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped; nothing was changed", file=sys.stderr)
        sys.exit(130)
