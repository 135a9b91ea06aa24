"""Values that change during a run, read by step: learning rate, weight decay, momentum, temperature."""

import math
from dataclasses import dataclass

from mermed_core.pretraining.recipe import Recipe


@dataclass(frozen=True)
class Schedule:
    """Linear from `start` to `peak` during the warm-up, then cosine to `end`; constant after the last step.

    Attributes:
        peak: value at the end of the warm-up.
        end: value at the last step.
        steps: steps in all.
        start: value at the first step of the warm-up.
        warmup: steps until `peak`; 0 starts there.
    """

    peak: float
    end: float
    steps: int
    start: float = 0.0
    warmup: int = 0

    def __getitem__(self, step: int) -> float:
        """Returns the value of a step; a step before the first or after the last is taken as that one."""
        step = min(max(step, 0), self.steps - 1)
        if step < self.warmup:
            return self.start + (self.peak - self.start) * step / self.warmup
        rest = self.steps - 1 - self.warmup
        progress = (step - self.warmup) / rest if rest > 0 else 1.0
        return self.end + (self.peak - self.end) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class Applied:
    """The scheduled values of one step, as they are applied and logged."""

    learning_rate: float
    weight_decay: float
    momentum: float
    teacher_temperature: float
    koleo_weight: float
    distillation_weight: float


@dataclass(frozen=True)
class Schedules:
    """All schedules of a run.

    Attributes:
        steps: steps of the run.
    """

    steps: int
    learning_rate: Schedule
    weight_decay: Schedule
    momentum: Schedule
    teacher_temperature: Schedule
    koleo_weight: Schedule
    distillation_weight: Schedule

    def __getitem__(self, step: int) -> Applied:
        """Returns the values of a step, counted from 0."""
        return Applied(
            self.learning_rate[step],
            self.weight_decay[step],
            self.momentum[step],
            self.teacher_temperature[step],
            self.koleo_weight[step],
            self.distillation_weight[step],
        )


def build_schedules(recipe: Recipe, steps_per_epoch: int) -> Schedules:
    """Makes the schedules of a run; the learning rate is scaled by the global batch / 256."""
    unit = steps_per_epoch if recipe.schedule.unit == "epoch" else 1
    steps = max(1, round(recipe.schedule.length * unit))
    optimiser, teacher, loss = recipe.optimiser, recipe.teacher, recipe.loss
    return Schedules(
        steps,
        Schedule(
            optimiser.learning_rate * recipe.data.batch / 256,
            optimiser.final_learning_rate,
            steps,
            warmup=round(recipe.schedule.learning_rate_warmup * unit),
        ),
        Schedule(optimiser.weight_decay_start, optimiser.weight_decay_end, steps),
        Schedule(teacher.momentum_start, teacher.momentum_end, steps),
        Schedule(
            loss.teacher_temperature_end,
            loss.teacher_temperature_end,
            steps,
            start=loss.teacher_temperature_start,
            warmup=round(recipe.schedule.temperature_warmup * unit),
        ),
        Schedule(loss.koleo_weight_start, loss.koleo_weight_end, steps),
        Schedule(recipe.distillation.weight_start, recipe.distillation.weight_end, steps),
    )
