"""What a run tells while it goes on: progress line, log, curves, look at the embeddings, bad steps."""

import logging
import math
import time
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from mermed_core.pretraining.checkpoints import Progress
from mermed_core.pretraining.distributed import Ranks
from mermed_core.pretraining.engine import Engine, Outcome
from mermed_core.pretraining.monitor import Sight
from mermed_core.pretraining.run_folder import RunFolder
from mermed_core.pretraining.runlog import RunLog
from mermed_core.pretraining.schedules import Schedules

logger = logging.getLogger(__name__)


class Reporter:
    """Tells of a run; on every rank but the main one it is silent.

    Args:
        folder: of the run.
        ranks: the processes that work on it.
        schedules: of the run.
        step: steps done before; what the log holds of later ones is dropped.
        settings: plain values that the tracker keeps with its curves.
    """

    def __init__(
        self, folder: RunFolder, ranks: Ranks, schedules: Schedules, step: int, settings: dict[str, Any]
    ) -> None:
        self._ranks = ranks
        self._schedules = schedules
        self._log = RunLog(folder.log, step=step) if ranks.is_main else None
        self._monitor_log = RunLog(folder.monitor_log, step=step) if ranks.is_main else None
        self.bar = tqdm(
            total=schedules.steps,
            initial=step,
            desc="pretraining",
            unit="step",
            disable=None if ranks.is_main else True,
        )
        ranks.start_tracker(settings)
        self._since: tuple[float, int] | None = None
        self._memory_is_full = False

    def start(self, progress: Progress) -> None:
        """Starts the clock of the rate."""
        self._since = (time.monotonic(), progress.images)

    def tell_step(self, outcome: Outcome, progress: Progress, engine: Engine) -> None:
        """Writes the values of the step just done, as they were applied, and shows the main ones."""
        since, images = self._since or (time.monotonic(), progress.images)
        speed = (progress.images - images) / max(time.monotonic() - since, 1e-9)
        self.start(progress)
        values = {
            "loss": _finite(outcome.loss),
            "koleo": _finite(outcome.koleo),
            "distillation": _finite(outcome.distillation),
            **asdict(self._schedules[progress.step - 1]),
            "gradient_norm": _finite(outcome.gradient_norm),
            "embedding_std": _finite(outcome.embedding_std),
            "memory": engine.bank.fill(),
            "skipped": progress.skipped,
            "unreadable": len(progress.unreadable),
            "images": progress.images,
            "images_per_second": round(speed, 2),
        }
        if self._log:
            self._log.write(step=progress.step, **values)
        self._ranks.track(_flat(values), progress.step)
        if engine.bank.is_full and not self._memory_is_full:
            logger.info("step %d: the memory is full", progress.step)
        self._memory_is_full = engine.bank.is_full
        loss = "none yet" if outcome.loss is None else f"{outcome.loss:.4f}"
        self.bar.set_postfix_str(f"{speed:.1f} images/s, loss {loss}")
        if self.bar.disable:
            per_step = images_per_step(progress)
            left = (self._schedules.steps - progress.step) * per_step / speed if speed else math.inf
            logger.info(
                "step %d of %d, %.1f images/s, loss %s, %s left",
                *(progress.step, self._schedules.steps, speed, loss, tqdm.format_interval(min(left, 1e9))),
            )

    def tell_sight(self, sight: Sight, progress: Progress) -> None:
        """Writes what the embeddings are like, and names the modalities that have collapsed."""
        if self._monitor_log:
            self._monitor_log.write(step=progress.step, **sight.values())
        self._ranks.track(_flat(sight.values()), progress.step)
        score = "no labels" if sight.score is None else f"mean kNN AUROC {sight.score:.4f}"
        logger.info("step %d, embeddings of the val split: %s", progress.step, score)
        for key in sight.collapsed:
            logger.warning(
                "step %d: the embeddings of %s have collapsed (rank %.1f, standard deviation %.3f); "
                "try a lower 'optimiser.learning_rate' or a 'loss.koleo_weight_start' above 0",
                *(progress.step, key, sight.embedding_rank[key], sight.embedding_std[key]),
            )

    def close(self) -> None:
        """Ends the progress line and the curves."""
        self.bar.close()
        self._ranks.end_tracker()


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
