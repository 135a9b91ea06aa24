"""The log of a run: one line of JSON every few steps, with the values that were applied."""

import json
from pathlib import Path
from typing import Any

from mermed_core.files import write_file


class RunLog:
    """Appends lines to `log.jsonl`; on continuing, lines after the checkpoint's step are dropped first."""

    def __init__(self, path: Path, *, step: int) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        with write_file(path) as staging:
            staging.write_text("".join(f"{line}\n" for line in lines if _is_before(line, step)), "utf-8")

    def write(self, **values: Any) -> None:
        """Appends one line; it must hold `step`, the number of steps done."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """Returns the lines of a log."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _is_before(line: str, step: int) -> bool:
    try:
        return json.loads(line)["step"] <= step
    except (ValueError, KeyError, TypeError):
        return False  # the last line of a process that was killed while it wrote
