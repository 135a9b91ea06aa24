"""Checkpoints of a run, and stopping it between two steps so that it leaves one.

Tensors are safetensors and counts are JSON, verified when they are read; nothing is pickled.
"""

import json
import logging
import shutil
import signal
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from mermed_core.errors import TrainingError
from mermed_core.files import checksum, write_folder, write_json

logger = logging.getLogger(__name__)

_TENSORS = "state.safetensors"
_COUNTS = "state.json"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        step: number of steps done.
        images: number of images seen.
        skipped: number of steps that were skipped because something was not finite.
        skipped_in_a_row: how many of them came after the last good step.
        unreadable: case ids of images that could not be read, with the reason.
        best_score: the monitor's highest score so far, None before there is one.
        best_step: the step with that score.
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
    """Everything that a run needs to continue: student, teacher, optimiser, memory, progress.

    The state of random generators is not needed: every seed is a function of the run's seed and the step.
    """

    modules: dict[str, nn.Module]
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    progress: Progress = field(default_factory=Progress)

    def save(self, folder: Path, *, keep: int) -> None:
        """Writes the checkpoint of the current step, then removes all but the newest `keep` and the best."""
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
        """Loads the newest intact checkpoint; returns whether there is one.

        Raises:
            TrainingError: an intact checkpoint does not fit this run.
        """
        for path in checkpoints(folder):
            try:
                tensors, counts = read_checkpoint(path)
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                logger.warning("checkpoint %s is damaged (%s); trying an older one", path.name, error)
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
                module.load_state_dict(tensors_below(tensors, name), strict=True)
        except RuntimeError as error:
            raise TrainingError(f"The checkpoint '{path}' belongs to another run: {error}") from error
        parameters = [each for group in self.optimiser.param_groups for each in group["params"]]
        values: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors_below(tensors, "optimiser").items():
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
        raise ValueError("its checksum does not match")
    return load_file(path / _TENSORS), counts


def tensors_below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Returns the tensors whose names start with `prefix` and a dot, under the rest of their names."""
    start = prefix + "."
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def checkpoint_of(folder: Path, step: int) -> Path:
    """Returns the folder of the checkpoint of a step."""
    return folder / f"step-{step:09d}"


def checkpoints(folder: Path) -> list[Path]:
    """Returns the checkpoints in a folder, the newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


class Interrupted(Exception):
    """The run was asked to stop and has written a checkpoint.

    Attributes:
        exit_code: 128 + the signal's number, as shells report it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; the same command continues the run")
        self.exit_code = 128 + number


class Interruption:
    """A context in which SIGINT and SIGTERM are noted instead of ending the process at once.

    Attributes:
        number: the signal that arrived, None before one has.
    """

    number: int | None = None

    def __enter__(self) -> Self:
        """Takes over the signals."""
        self._before = {each: signal.signal(each, self._note) for each in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restores the signal handlers."""
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.number = number
        signal.signal(number, self._before[signal.Signals(number)])  # a second signal acts at once


def _like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Gives a moment the memory layout of its parameter, so that arithmetic stays the same bit for bit."""
    if tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
