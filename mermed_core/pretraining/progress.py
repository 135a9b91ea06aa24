"""What a run reports while it trains: progress bar, log, curves, quality of the embeddings."""

import logging
import math
import time
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from mermed_core.pretraining.checkpoints import Progress
from mermed_core.pretraining.distributed import Processes
from mermed_core.pretraining.engine import Engine, StepResult
from mermed_core.pretraining.monitor import EmbeddingQuality
from mermed_core.pretraining.optimisation import Schedules
from mermed_core.pretraining.run_folder import RunFolder, RunLog

logger = logging.getLogger(__name__)


class Reporter:
    """Reports on a run; silent in every process but the main one.

    Args:
        folder: of the run.
        processes: which work on it.
        schedules: of the run.
        step: number of steps done before; later ones are dropped from the log.
        settings: plain values that the tracker keeps with its curves.
    """

    def __init__(
        self,
        folder: RunFolder,
        processes: Processes,
        schedules: Schedules,
        step: int,
        settings: dict[str, Any],
    ) -> None:
        self._processes = processes
        self._schedules = schedules
        self._log = RunLog(folder.log, step=step) if processes.is_main else None
        self._monitor_log = RunLog(folder.monitor_log, step=step) if processes.is_main else None
        self.bar = tqdm(
            total=schedules.steps,
            initial=step,
            desc="pretraining",
            unit="step",
            disable=None if processes.is_main else True,
        )
        processes.start_tracker(settings)
        self._since: tuple[float, int] | None = None
        self._memory_is_full = False

    def start(self, progress: Progress) -> None:
        """Starts the clock that the speed is measured with."""
        self._since = (time.monotonic(), progress.images)

    def log_step(self, result: StepResult, progress: Progress, engine: Engine) -> None:
        """Logs the values of the last step, as they were applied, and shows the main ones."""
        since, images = self._since or (time.monotonic(), progress.images)
        speed = (progress.images - images) / max(time.monotonic() - since, 1e-9)
        self.start(progress)
        values = {
            "loss": _finite(result.loss),
            "koleo": _finite(result.koleo),
            "distillation": _finite(result.distillation),
            **asdict(self._schedules[progress.step - 1]),
            "gradient_norm": _finite(result.gradient_norm),
            "embedding_std": _finite(result.embedding_std),
            "memory": engine.bank.fill(),
            "skipped": progress.skipped,
            "unreadable": len(progress.unreadable),
            "images": progress.images,
            "images_per_second": round(speed, 2),
        }
        if self._log:
            self._log.write(step=progress.step, **values)
        self._processes.track(_flat(values), progress.step)
        if engine.bank.is_full and not self._memory_is_full:
            logger.info("step %d: the memory is full", progress.step)
        self._memory_is_full = engine.bank.is_full
        loss = "none yet" if result.loss is None else f"{result.loss:.4f}"
        self.bar.set_postfix_str(f"{speed:.1f} images/s, loss {loss}")
        if self.bar.disable:
            per_step = images_per_step(progress)
            left = (self._schedules.steps - progress.step) * per_step / speed if speed else math.inf
            logger.info(
                "step %d of %d, %.1f images/s, loss %s, %s left",
                *(progress.step, self._schedules.steps, speed, loss, tqdm.format_interval(min(left, 1e9))),
            )

    def log_quality(self, quality: EmbeddingQuality, progress: Progress) -> None:
        """Logs the quality of the embeddings and warns of modalities that have collapsed."""
        if self._monitor_log:
            self._monitor_log.write(step=progress.step, **quality.values())
        self._processes.track(_flat(quality.values()), progress.step)
        score = "no labels" if quality.score is None else f"mean kNN AUROC {quality.score:.4f}"
        logger.info("step %d, embeddings of the val split: %s", progress.step, score)
        for key in quality.collapsed:
            logger.warning(
                "step %d: the embeddings of %s have collapsed (rank %.1f, standard deviation %.3f); "
                "try a lower 'optimiser.learning_rate' or a 'loss.koleo_weight_start' above 0",
                *(progress.step, key, quality.embedding_rank[key], quality.embedding_std[key]),
            )

    def close(self) -> None:
        """Ends the progress bar and the curves."""
        self.bar.close()
        self._processes.end_tracker()


def images_per_step(progress: Progress) -> float:
    """Returns the mean number of images in a step so far."""
    return progress.images / max(1, progress.step)


def _finite(value: float | None) -> float | None:
    """Returns None for what JSON cannot hold."""
    return value if value is not None and math.isfinite(value) else None


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Returns the numbers of nested tables under names such as memory/ct."""
    flat: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}/")
        elif isinstance(value, int | float):
            flat[prefix + key] = float(value)
    return flat
