"""`mermed check`: what may be wrong in a collection, found without labels of what is wrong."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mermed_core.cli.arguments import add_pictures, positive

if TYPE_CHECKING:
    from mermed_core.collections.quality.findings import CheckResult

SUMMARY = "Find copies, leaks, doubtful labels, outliers, bad pictures and drift in a collection."
DETAILS = """\
    mermed check collections/mine --out findings
    mermed check collections/mine --check duplicates --check labels
    mermed check collections/mine --check drift --drift-by scanner

Prints a summary. With --out it also writes findings.json and a CSV a check, ranked, each with its measure.
Thresholds come from the collection's own numbers; a finding is a case to look at, not a verdict."""

# What the checks are called, the same names as `quality.check.CHECKS`, which is slow to import.
NAMES = ("duplicates", "labels", "outliers", "modalities", "pictures", "regions", "drift", "confounding")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("collection", type=Path, metavar="COLLECTION", help="folder of the collection")
    parser.add_argument(
        "--check",
        action="append",
        dest="checks",
        choices=NAMES,
        metavar="NAME",
        help=f"run this check alone; may be repeated: {', '.join(NAMES)} (default: all)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write the findings there; replaced as a whole"
    )
    parser.add_argument(
        "--most",
        type=positive,
        default=1000,
        metavar="N",
        help="findings of a check that are kept, the most suspicious (default: %(default)s)",
    )
    parser.add_argument(
        "--show",
        type=positive,
        default=5,
        metavar="N",
        help="findings of a check that are printed (default: %(default)s)",
    )
    parser.add_argument(
        "--drift-by",
        default="source",
        metavar="COLUMN",
        help="column whose values are compared for drift, such as a date (default: %(default)s)",
    )
    add_pictures(parser)


def run(options: argparse.Namespace) -> None:
    """Checks the collection and prints what was found.

    Raises:
        CollectionError: the collection is missing or damaged, or has no such column.
        ManifestError: a place of pictures cannot be read.
        OccupiedError: the folder to write to holds something else.
    """
    from mermed_core.collections.pictures import Pictures
    from mermed_core.collections.quality.check import check_collection
    from mermed_core.collections.quality.findings_files import FINDINGS, write_findings
    from mermed_core.collections.quality.watch import TerminalWatch
    from mermed_core.collections.store import load_collection
    from mermed_core.files import check_replaceable

    if options.out is not None:
        check_replaceable(options.out, FINDINGS)
    pictures = Pictures(options.pictures) if options.pictures else None
    collection = load_collection(options.collection, pictures=pictures)
    print(f"{len(collection)} cases in {options.collection}")
    results = []
    checks = tuple(name for name in NAMES if not options.checks or name in options.checks)
    for result in check_collection(
        collection, checks, most=options.most, drift_by=options.drift_by, watch=TerminalWatch()
    ):
        results.append(result)
        _print(result, options.show)
    if options.out is not None:
        write_findings(options.out, collection, results)
        print(f"\nfindings in {options.out}")


def _print(result: "CheckResult", show: int) -> None:
    limit = "" if result.threshold is None else f", threshold {result.threshold:.3f}"
    print(f"\n{result.title}: {result.flagged} flagged of {len(result.suspects)} listed{limit}")
    print(f"  measure: {result.measure}")
    print(f"  accuracy: {result.accuracy}")
    for note in result.notes:
        print(f"  note: {note}")
    for suspect in result.suspects[:show]:
        mark = "*" if suspect.flagged else " "
        print(f"  {mark} {suspect.score:8.3f}  {suspect.reason}")
        print(f"              {', '.join(suspect.cases[:3])}")
