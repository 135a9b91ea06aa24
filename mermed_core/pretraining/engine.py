"""One step of the method: student, teacher, loss, optimiser, moving average, memory."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mermed_core.pretraining.augmentation import augment
from mermed_core.pretraining.distillation import build_frozen_encoder, cosine_distance
from mermed_core.pretraining.distributed import Processes, gather_with_gradient, interleave
from mermed_core.pretraining.export import preprocessing_of
from mermed_core.pretraining.loader import Batch
from mermed_core.pretraining.losses import koleo, memory_consistency
from mermed_core.pretraining.memory_bank import MemoryBank
from mermed_core.pretraining.multicrop import ModalityNormaliser
from mermed_core.pretraining.optimisation import (
    StepValues,
    apply_schedule,
    build_optimiser,
    clip_gradients,
)
from mermed_core.pretraining.random_streams import Stream, derive_seed, generator
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.speedups import keep_freed_memory
from mermed_core.pretraining.student_teacher import (
    BufferSnapshot,
    NetworkOutput,
    build_student_teacher,
    update_teacher,
)

_SHARED = "all"  # the ring where modalities are not kept apart
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class StepResult:
    """The results of a step, over all processes.

    Attributes:
        loss: memory consistency; None while there is no memory to compare with.
        koleo: None where it has no weight.
        distillation: None where there is none.
        gradient_norm: global norm before clipping; None like the loss.
        embedding_std: spread of the teacher's embeddings over the batch: 1 for random directions, 0 for a
            collapse to one point.
    """

    loss: float | None
    koleo: float | None
    distillation: float | None
    gradient_norm: float | None
    embedding_std: float

    @property
    def skipped(self) -> bool:
        """Whether something was not finite, so that nothing was changed."""
        values = (self.loss, self.koleo, self.distillation, self.gradient_norm, self.embedding_std)
        return not all(value is None or math.isfinite(value) for value in values)


class Engine:
    """Student, teacher, memory and optimiser, and the step in which they learn from one batch.

    Args:
        recipe: of the run.
        modalities: keys of the modalities in the data; the order gives their index.
        processes: which work together.

    Raises:
        ModelError: the starting weights are not found or do not fit.
    """

    def __init__(self, recipe: Recipe, modalities: Sequence[str], processes: Processes) -> None:
        self._recipe = recipe
        self._processes = processes
        device = processes.device
        if device.type == "cpu":
            keep_freed_memory()
        torch.manual_seed(derive_seed(recipe.compute.seed, Stream.START))
        self.student, self.teacher = build_student_teacher(recipe, processes)
        self._learner = processes.wrap(self.student)
        frozen = build_frozen_encoder(recipe, modalities)
        self._frozen_encoder = frozen.to(device) if frozen is not None else None
        rings = tuple(modalities) if recipe.memory.by_modality else (_SHARED,)
        self._ring_of = torch.arange(len(modalities)) % len(rings)
        slots = math.ceil(recipe.memory.size / len(rings))
        self.bank = MemoryBank(rings, slots=slots, dim=recipe.head.dim).to(device)
        self.optimiser = build_optimiser(self.student, recipe.optimiser)
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.compute.precision == "fp16")
        self._normaliser = ModalityNormaliser(preprocessing_of(recipe.encoder), modalities).to(device)

    def step(self, batch: Batch, number: int, values: StepValues) -> StepResult:
        """Learns from this process's share of a batch.

        The step's number (from 0) and the recipe's seed decide everything random in it. Where something is
        not finite in any process, every process leaves everything as it was.
        """
        seed = derive_seed(self._recipe.compute.seed, Stream.NETWORK, number, self._processes.rank)
        torch.manual_seed(seed)
        buffers = BufferSnapshot(self.student, self.teacher)
        rings = self._rings(batch)
        embeddings, losses = self._compute_gradients(batch, rings, number, values)
        norm = self._clip() if losses is not None else None
        result = StepResult(*self._totals(losses, values), norm, _spread(embeddings))
        if result.skipped:
            buffers.restore()
        else:
            if losses is not None:
                self._update(values)
            self.bank.add(embeddings, rings)
        if losses is not None:
            self.scaler.update()
        return result

    def prefill(self, batch: Batch) -> None:
        """Writes the teacher's embeddings of the first global view into the memory; nothing learns."""
        buffers = BufferSnapshot(self.teacher)
        own = self._project_by_teacher(self._prepare(batch)[0][:1])[0]
        embeddings = self._processes.gather_batch(own)
        buffers.restore()
        if torch.isfinite(embeddings).all():
            self.bank.add(embeddings, self._rings(batch))

    def _rings(self, batch: Batch) -> torch.Tensor:
        """Returns the index of the ring of every image in the whole batch, on the CPU."""
        modality = batch.modality.to(self._processes.device)
        return self._ring_of[self._processes.gather_batch(modality).cpu()]

    def _compute_gradients(
        self, batch: Batch, rings: torch.Tensor, number: int, values: StepValues
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Computes the gradients of the student, part by part.

        Returns:
            The teacher's embeddings (batch, dim) of the first global view of the whole batch; and this
            process's losses (3,), memory consistency, KoLeo and distillation, or None where all rings are
            still empty.
        """
        parts = self._recipe.compute.accumulate
        count = int(self.bank.has_memories(rings).sum())
        device = self._processes.device
        self.optimiser.zero_grad(set_to_none=True)
        weights = torch.tensor([1.0, values.koleo_weight, values.distillation_weight], device=device)
        embeddings, losses = [], torch.zeros(3, device=device)
        for index in range(parts):
            part = batch.part(index, parts)
            global_views, local_views = self._prepare(part)
            target = self._project_by_teacher(global_views)
            embeddings.append(target[0])
            if not count:
                continue
            last = index == parts - 1
            with contextlib.nullcontext() if last else self._processes.without_averaging(self._learner):
                with self._autocast():
                    output = self._learner(global_views, local_views)
                consistency = self._consistency(output, target, part, count, number, values)
                each = torch.stack([consistency, *self._regularisers(output, global_views, part, values)])
                total = (each * weights).sum()
                # The average over the processes divides by their number, but each loss here is already a
                # fraction of that of the whole batch.
                self.scaler.scale(total * self._processes.world_size).backward()
            losses += each.detach()
        return self._processes.gather_batch(interleave(embeddings)), losses if count else None

    def _consistency(
        self,
        output: NetworkOutput,
        target: torch.Tensor,
        part: Batch,
        count: int,
        number: int,
        values: StepValues,
    ) -> torch.Tensor:
        """Returns what these images contribute to the memory consistency of the whole batch.

        Args:
            output: of the student.
            target: the teacher's embeddings (views, images, dim).
            part: these images.
            count: number of images in the whole batch that have memories to be compared with.
            number: of the step.
            values: of the step.
        """
        rings = self._ring_of[part.modality]
        consistency = memory_consistency(
            output.projected,
            target,
            rings,
            self.bank,
            blocks=self._recipe.blocks,
            student_temperature=self._recipe.loss.student_temperature,
            teacher_temperature=values.teacher_temperature,
            generator=generator(self._recipe.compute.seed, Stream.BLOCKS, number),
        )
        if consistency is None:  # none of these images has a memory, but others in the batch do
            return 0.0 * output.projected.sum()
        return consistency * (int(self.bank.has_memories(rings).sum()) / count)

    def _regularisers(
        self, output: NetworkOutput, global_views: torch.Tensor, part: Batch, values: StepValues
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns what these images contribute to KoLeo and distillation of the whole batch."""
        spreading = distilled = output.projected.new_zeros(())
        if values.koleo_weight:
            gather = gather_with_gradient if self._processes.world_size > 1 else None
            spreading = koleo(output.embeddings, gather, self._processes.rank)
        if self._frozen_encoder is not None:
            with self._autocast():
                target = self._frozen_encoder(global_views, part.modality.to(global_views.device))
            distilled = cosine_distance(output.aligned, target)
        parts = self._recipe.compute.accumulate * self._processes.world_size
        return spreading / parts, distilled / parts

    def _prepare(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns global and local views, augmented and normalised."""
        device = self._processes.device
        modality = batch.modality.to(device, non_blocking=True)
        groups = (batch.global_views, batch.local_views)
        params = batch.params.split([len(group) for group in groups])
        augmented = [
            augment(views.to(device, non_blocking=True).flatten(0, 1), own.flatten(0, 1)).view(views.shape)
            for views, own in zip(groups, params, strict=True)
        ]
        return self._normaliser(augmented[0], modality), self._normaliser(augmented[1], modality)

    @torch.no_grad()
    def _project_by_teacher(self, global_views: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            return self.teacher(global_views).projected

    def _autocast(self) -> torch.autocast:
        half = _HALF.get(self._recipe.compute.precision)
        return torch.autocast(self._processes.device.type, half or torch.bfloat16, enabled=half is not None)

    def _clip(self) -> float:
        """Clips the gradients, which are the same in every process; returns their norm before."""
        self.scaler.unscale_(self.optimiser)
        return clip_gradients(self.student, self._recipe.optimiser.clip_norm)

    def _update(self, values: StepValues) -> None:
        apply_schedule(self.optimiser, learning_rate=values.learning_rate, weight_decay=values.weight_decay)
        self.scaler.step(self.optimiser)
        update_teacher(self.teacher, self.student, values.momentum)

    def _totals(
        self, losses: torch.Tensor | None, values: StepValues
    ) -> tuple[float | None, float | None, float | None]:
        """Returns memory consistency, KoLeo and distillation over all processes, None where there is none."""
        if losses is None:
            return None, None, None
        consistency, spreading, distilled = self._processes.sum(losses).tolist()
        return (
            consistency,
            spreading if values.koleo_weight else None,
            distilled if self._frozen_encoder is not None else None,
        )


def _spread(embeddings: torch.Tensor) -> float:
    """Returns the mean standard deviation over the batch of embeddings (batch, dim), times √dim."""
    return float(embeddings.std(dim=0, correction=0).mean() * embeddings.shape[1] ** 0.5)
