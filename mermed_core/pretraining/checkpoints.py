"""Checkpoints of a run: tensors as safetensors and counts as JSON, verified when they are read; no pickle."""

import json
import logging
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from mermed_core.errors import TrainingError
from mermed_core.files import checksum, write_folder, write_json

logger = logging.getLogger(__name__)

_TENSORS = "state.safetensors"
_COUNTS = "state.json"


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        step: steps done.
        images: images seen.
        skipped: steps that were skipped because the loss was not finite.
        skipped_in_a_row: those since the last good step.
        unreadable: case ids of images that could not be read, with the reason.
        best_score: the highest of the monitor so far, None before there is one.
        best_step: the step of it.
        scaler: state of the gradient scaler; empty unless in fp16.
    """

    step: int = 0
    images: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    best_score: float | None = None
    best_step: int | None = None
    scaler: dict[str, float] = field(default_factory=dict)


@dataclass
class TrainingState:
    """Everything that a run needs to go on: student, teacher, optimiser, memory, progress.

    Random numbers need not be kept: each is a function of the run's seed and the step.
    """

    modules: dict[str, nn.Module]
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    progress: Progress = field(default_factory=Progress)

    def save(self, folder: Path, *, keep: int) -> None:
        """Writes the checkpoint of the present step, then removes all but the newest `keep` and the best."""
        target = checkpoint_of(folder, self.progress.step)
        self.progress.scaler = self.scaler.state_dict()
        with write_folder(target) as staging:
            save_file(self._tensors(), staging / _TENSORS)
            counts = {**asdict(self.progress), "sha256": checksum(staging / _TENSORS)}
            write_json(staging / _COUNTS, counts)
        best = self.progress.best_step
        for old in checkpoints(folder)[keep:]:
            if best is None or old != checkpoint_of(folder, best):
                shutil.rmtree(old, ignore_errors=True)

    def load_newest(self, folder: Path) -> bool:
        """Takes over the newest checkpoint that is whole; returns whether there is one.

        Raises:
            TrainingError: a whole checkpoint does not fit this run.
        """
        for path in checkpoints(folder):
            try:
                tensors, counts = read_checkpoint(path)
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                logger.warning("checkpoint %s is damaged (%s); an older one is tried", path.name, error)
                continue
            self._take(tensors, path)
            self.progress = Progress(**counts)
            if self.progress.scaler:
                self.scaler.load_state_dict(self.progress.scaler)
            return True
        return False

    def _tensors(self) -> dict[str, torch.Tensor]:
        tensors = {
            f"{name}.{key}": tensor
            for name, module in self.modules.items()
            for key, tensor in module.state_dict().items()
        }
        for index, values in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{key}": value for key, value in values.items()}
        return {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}

    def _take(self, tensors: dict[str, torch.Tensor], path: Path) -> None:
        try:
            for name, module in self.modules.items():
                module.load_state_dict(below(tensors, name), strict=True)
        except RuntimeError as error:
            raise TrainingError(f"The checkpoint '{path}' is of another run: {error}") from error
        parameters = [each for group in self.optimiser.param_groups for each in group["params"]]
        values: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in below(tensors, "optimiser").items():
            index, _, key = name.partition(".")
            values.setdefault(int(index), {})[key] = _like(tensor, parameters[int(index)])
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": values, "param_groups": groups})


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Returns the tensors and the counts of a checkpoint.

    Raises:
        OSError: a file is missing.
        ValueError: it is damaged; also KeyError and SafetensorError.
    """
    counts = json.loads((path / _COUNTS).read_text(encoding="utf-8"))
    if counts.pop("sha256") != checksum(path / _TENSORS):
        raise ValueError("its checksum does not agree")
    return load_file(path / _TENSORS), counts


def below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Returns the tensors whose names start with `prefix` and a dot, without these."""
    start = prefix + "."
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def checkpoint_of(folder: Path, step: int) -> Path:
    """Returns where the checkpoint of a step lies."""
    return folder / f"step-{step:09d}"


def checkpoints(folder: Path) -> list[Path]:
    """Returns the checkpoints in a folder, the newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def _like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Gives a moment the memory layout of its parameter, so that arithmetic goes on bit for bit."""
    if tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
