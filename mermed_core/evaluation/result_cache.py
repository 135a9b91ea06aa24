"""What has been measured already, kept on disk: an evaluation that was stopped continues where it was."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mermed_core.evaluation.results import Result, load_results, save_results, to_frame
from mermed_core.evaluation.task import Task
from mermed_core.files import write_file
from mermed_core.models.embedder import Embedder

# To be raised when a protocol computes something else than before: older outcomes are then measured again.
_VERSION = 3


@dataclass(frozen=True)
class Outcome:
    """What one protocol finds for one encoder on one task.

    Attributes:
        results: the protocol's own; those that follow from predictions are computed anew each time.
        predictions: the long table, None where the protocol makes none.
    """

    results: list[Result]
    predictions: pd.DataFrame | None = None


@dataclass(frozen=True)
class ResultCache:
    """A folder of outcomes, named by what identifies encoder, images, labels and settings."""

    folder: Path

    def load(self, name: str) -> Outcome | None:
        """Returns an outcome, None where it was not completed."""
        if not self._results(name).is_file():
            return None
        rows = load_results(self._results(name)).itertuples(index=False, name=None)
        results = [Result(*row) for row in rows]
        path = self._predictions(name)
        return Outcome(results, pd.read_parquet(path) if path.is_file() else None)

    def save(self, name: str, outcome: Outcome) -> None:
        """Writes an outcome; it counts as complete when its results are there."""
        if outcome.predictions is not None:
            with write_file(self._predictions(name)) as staging:
                outcome.predictions.to_parquet(staging, index=False)
        save_results(self._results(name), to_frame(outcome.results))

    def _results(self, name: str) -> Path:
        return self.folder / f"{name}.results.parquet"

    def _predictions(self, name: str) -> Path:
        return self.folder / f"{name}.predictions.parquet"


def outcome_name(embedder: Embedder, task: Task, protocol: str, settings: dict[str, Any]) -> str:
    """Returns a name that changes with the encoder, the task's images and labels, and the settings."""
    identity = [_VERSION, embedder.fingerprint, embedder.config.name, protocol, settings]
    identity += [task.name, task.modality, task.kind, task.classes]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
    for array in (task.vectors, task.targets):
        digest.update(array.tobytes())
    for names in (task.case_ids, task.groups, task.splits):
        digest.update("\0".join(map(str, names)).encode())
    return digest.hexdigest()[:32]
