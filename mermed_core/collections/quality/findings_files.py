"""Findings as files: one JSON with everything, and one CSV a check whose rows a spreadsheet sorts."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.findings import CheckResult
from mermed_core.files import check_replaceable, write_folder, write_json

FINDINGS = "findings.json"
_FIRST = ("rank", "flagged", "score", "reason")
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_findings(folder: Path, collection: Collection, results: Sequence[CheckResult]) -> None:
    """Writes `findings.json` and a CSV a check; what stood in the folder stays until all is done.

    Raises:
        OccupiedError: the folder holds something other than findings.
    """
    check_replaceable(folder, FINDINGS)
    with write_folder(folder) as staging:
        for result in results:
            _write_table(staging / f"{result.name}.csv", result)
        write_json(
            staging / FINDINGS,
            {
                "collection": collection.name,
                "fingerprint": collection.fingerprint,
                "cases": len(collection),
                "checks": [result.to_dict() for result in results],
            },
        )


def _write_table(path: Path, result: CheckResult) -> None:
    most = max((len(suspect.cases) for suspect in result.suspects), default=0)
    cases = [f"case_{number + 1}" for number in range(most)]
    details = list(dict.fromkeys(name for suspect in result.suspects for name in suspect.details))
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*_FIRST, *cases, *details])
        for rank, suspect in enumerate(result.suspects, 1):
            ids = [*suspect.cases, *[""] * (most - len(suspect.cases))]
            further = [suspect.details.get(name, "") for name in details]
            row = [rank, suspect.flagged, f"{suspect.score:.4f}", suspect.reason, *ids, *further]
            table.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    """Returns a value that a spreadsheet shows and does not run."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
