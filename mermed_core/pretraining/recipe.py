"""What a pretraining run is told.

Every number of a run stands in its recipe file. The sections `run` and `model` may change when a run is
continued; all others decide the weights and must stay the same.
"""

from dataclasses import dataclass

from mermed_core.errors import RecipeError
from mermed_core.pretraining.sections import (
    Compute,
    Data,
    Distillation,
    Encoder,
    Head,
    Loss,
    Memory,
    Model,
    Optimiser,
    Run,
    Schedule,
    Teacher,
    Views,
)


@dataclass(frozen=True)
class Recipe:
    """A whole pretraining run."""

    data: Data
    encoder: Encoder
    views: Views
    head: Head
    memory: Memory
    loss: Loss
    distillation: Distillation
    teacher: Teacher
    optimiser: Optimiser
    schedule: Schedule
    compute: Compute
    run: Run
    model: Model

    def __post_init__(self) -> None:
        views = self.views
        for key in ("global_scale", "local_scale", "aspect", "blur_sigma"):
            low, high = getattr(views, key)
            if not 0 < low <= high:
                raise RecipeError(f"'views.{key}' must be two numbers above 0, the smaller one first.")
        if max(views.global_scale[1], views.local_scale[1]) > 1:
            raise RecipeError("'views.global_scale' and 'views.local_scale' end at 1, the whole image.")
        if views.global_count + views.local_count < 2:
            raise RecipeError("'views.local_count' must leave two views at least: the loss compares views.")
        if self.memory.block_size > self.memory.size:
            raise RecipeError("'memory.block_size' must not be larger than 'memory.size'.")
        if self.model.checkpoint == "best" and not self.run.monitor_every:
            raise RecipeError("'model.checkpoint' is best; 'run.monitor_every' must then be above 0.")
        if not self.data.splits:
            raise RecipeError("'data.splits' is empty; name one split at least.")
        if min(self.schedule.length, self.optimiser.clip_norm) <= 0:
            raise RecipeError("'schedule.length' and 'optimiser.clip_norm' must be above 0.")
        if max(self.optimiser.betas) >= 1:
            raise RecipeError("'optimiser.betas' must be below 1.")

    @property
    def blocks(self) -> int:
        """Number of blocks that every ring of the memory is cut into at each step."""
        return max(1, round(self.memory.size / self.memory.block_size))
