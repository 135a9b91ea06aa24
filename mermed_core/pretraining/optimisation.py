"""AdamW with layer decay, and the schedules of everything that changes during a run."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from mermed_core.models.param_groups import layer_decay_groups
from mermed_core.pretraining.recipe import Optimiser, Recipe
from mermed_core.pretraining.student_teacher import SelfSupervisedNetwork


@dataclass(frozen=True)
class Schedule:
    """Linear from `start` to `peak` during the warm-up, then along a cosine to `end`; constant afterwards.

    Attributes:
        peak: value at the end of the warm-up.
        end: value at the last step.
        steps: number of steps in all.
        start: value at the first step of the warm-up.
        warmup: number of steps until `peak`; 0 begins there.
    """

    peak: float
    end: float
    steps: int
    start: float = 0.0
    warmup: int = 0

    def __getitem__(self, step: int) -> float:
        """Returns the value at a step; steps before the first or after the last have that one's value."""
        step = min(max(step, 0), self.steps - 1)
        if step < self.warmup:
            return self.start + (self.peak - self.start) * step / self.warmup
        rest = self.steps - 1 - self.warmup
        progress = (step - self.warmup) / rest if rest > 0 else 1.0
        return self.end + (self.peak - self.end) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class StepValues:
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
        steps: number of steps of the run.
    """

    steps: int
    learning_rate: Schedule
    weight_decay: Schedule
    momentum: Schedule
    teacher_temperature: Schedule
    koleo_weight: Schedule
    distillation_weight: Schedule

    def __getitem__(self, step: int) -> StepValues:
        """Returns the values of a step, counted from 0."""
        return StepValues(
            self.learning_rate[step],
            self.weight_decay[step],
            self.momentum[step],
            self.teacher_temperature[step],
            self.koleo_weight[step],
            self.distillation_weight[step],
        )


def build_schedules(recipe: Recipe, steps_per_epoch: int) -> Schedules:
    """Builds the schedules of a run; the learning rate is multiplied by the global batch / 256."""
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


def build_optimiser(student: SelfSupervisedNetwork, recipe: Optimiser) -> torch.optim.AdamW:
    """Builds AdamW over the student; head and aligner have the full rate, see `layer_decay_groups`."""
    # The weight decay of 1 only marks the groups that have one; `apply_schedule` sets the value.
    groups = layer_decay_groups(
        student.backbone.encoder,
        nn.ModuleList([student.head, student.aligner]),
        layer_decay=recipe.layer_decay,
        weight_decay=1.0,
    )
    for group in groups:
        group["decays"] = bool(group["weight_decay"])
    on_gpu = next(student.parameters()).device.type == "cuda"
    return torch.optim.AdamW(groups, lr=0.0, betas=recipe.betas, fused=on_gpu)


def apply_schedule(optimiser: torch.optim.Optimizer, *, learning_rate: float, weight_decay: float) -> None:
    """Sets the values of a step: the rate times the scale of each layer, the decay where there is one."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group["lr_scale"]
        group["weight_decay"] = weight_decay if group["decays"] else 0.0


def clip_gradients(network: nn.Module, limit: float) -> float:
    """Scales the gradients so that their global norm is at most `limit`; returns the norm before."""
    return float(nn.utils.clip_grad_norm_(network.parameters(), limit))
