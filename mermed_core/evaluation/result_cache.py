"""Parts of an evaluation that are done: kept on disk, so that one that was stopped goes on where it was."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mermed_core.evaluation.results import Figure, load_figures, save_figures, to_frame
from mermed_core.evaluation.task import Task
from mermed_core.files import write_file
from mermed_core.models.embedder import Embedder

# To be raised when a protocol computes something else than before: older parts are then done again.
_VERSION = 2


@dataclass(frozen=True)
class Part:
    """What one protocol finds of one encoder on one task.

    Attributes:
        figures: its own figures; those that follow from predictions are made anew each time.
        predictions: the long table, None where the protocol makes none.
    """

    figures: list[Figure]
    predictions: pd.DataFrame | None = None


@dataclass(frozen=True)
class PartStore:
    """A folder of parts, each under what identifies encoder, images, labels and settings."""

    folder: Path

    def load(self, name: str) -> Part | None:
        """Returns a part, None where it was not done to its end."""
        if not self._figures(name).is_file():
            return None
        rows = load_figures(self._figures(name)).itertuples(index=False, name=None)
        figures = [Figure(*row) for row in rows]
        path = self._predictions(name)
        return Part(figures, pd.read_parquet(path) if path.is_file() else None)

    def save(self, name: str, part: Part) -> None:
        """Writes a part; it counts as done when its figures are there."""
        if part.predictions is not None:
            with write_file(self._predictions(name)) as staging:
                part.predictions.to_parquet(staging, index=False)
        save_figures(self._figures(name), to_frame(part.figures))

    def _figures(self, name: str) -> Path:
        return self.folder / f"{name}.figures.parquet"

    def _predictions(self, name: str) -> Path:
        return self.folder / f"{name}.predictions.parquet"


def part_name(embedder: Embedder, task: Task, protocol: str, settings: dict[str, Any]) -> str:
    """Returns a name that changes with the encoder, the task's images and labels, and the settings."""
    told = [_VERSION, embedder.fingerprint, embedder.config.name, protocol, settings]
    told += [task.name, task.modality, task.kind, task.classes]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for array in (task.vectors, task.targets):
        digest.update(array.tobytes())
    for names in (task.case_ids, task.groups, task.splits):
        digest.update("\0".join(map(str, names)).encode())
    return digest.hexdigest()[:32]
