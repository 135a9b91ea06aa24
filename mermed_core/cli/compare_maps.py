"""`mermed compare-maps`: how alike two collections of the same cases are, such as those of two encoders."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from mermed_core.cli.arguments import positive

if TYPE_CHECKING:
    from mermed_core.collections.overlap import Overlap, SharedNeighbours

SUMMARY = "Compare who is near whom in two collections, such as those of two encoders."
DETAILS = """\
    mermed compare-maps collections/ours collections/theirs
    mermed compare-maps collections/ours collections/theirs --neighbours 50 --json
    mermed serve --collection collections/ours --beside collections/theirs

Prints which share of its nearest cases a case has in both collections, on average and for each modality, with
a 95 % interval (bootstrap over patients). Cases are matched by their ids, and where these differ by the
checksums of their images. Neighbours are looked for among the cases that both collections have, by their
vectors and not by their places on the map. The page shows the two maps side by side."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("first", type=Path, metavar="COLLECTION", help="folder of a collection")
    parser.add_argument("second", type=Path, metavar="BESIDE", help="folder of another one")
    parser.add_argument(
        "--neighbours",
        type=positive,
        default=10,
        metavar="N",
        help="nearest cases of each case (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Compares the collections and prints the figures.

    Raises:
        CollectionError: one of them is missing or damaged, or they share fewer than two cases.
    """
    from mermed_core.collections.overlap import neighbourhood_overlap
    from mermed_core.collections.quality.watch import TerminalWatch
    from mermed_core.collections.store import load_collection

    first, second = load_collection(options.first), load_collection(options.second)
    found = neighbourhood_overlap(first, second, neighbours=options.neighbours, watch=TerminalWatch())
    if options.json:
        print(json.dumps(dataclasses.asdict(found)))
    else:
        _print(found)


def _print(found: "Overlap") -> None:
    from mermed_core.modalities import MODALITIES

    print(f"{found.matched} cases are in both, of {found.cases[0]} and {found.cases[1]}")
    nearest = f"{found.neighbours} nearest cases"
    print(f"mean share of the {nearest} that both collections name, by chance {found.chance:.3f}:")
    print(_line("all", found.all))
    for key, shared in found.modalities.items():
        print(_line(MODALITIES[key].name if key in MODALITIES else key, shared))
    if found.told:
        print(f"the modality of {found.told} of these cases is the model's own answer and stated by nobody")


def _line(name: str, shared: "SharedNeighbours") -> str:
    ends = "too few patients for an interval"
    if shared.low is not None and shared.high is not None:
        ends = f"{shared.low:.3f} to {shared.high:.3f}"
    return f"  {name:<16}{shared.mean:.3f}  ({ends})  {shared.cases} cases"
