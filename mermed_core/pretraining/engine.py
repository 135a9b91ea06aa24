"""One step of the method: student, teacher, loss, optimiser, moving average, memory."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mermed_core.pretraining.augmentation import alter
from mermed_core.pretraining.distillation import build_reference, distance
from mermed_core.pretraining.distributed import Ranks, gather_with_gradient, interleave
from mermed_core.pretraining.ema import BufferGuard, follow
from mermed_core.pretraining.export import preprocessing_of
from mermed_core.pretraining.heap import keep_freed_memory
from mermed_core.pretraining.koleo import koleo
from mermed_core.pretraining.loader import Batch
from mermed_core.pretraining.losses import memory_consistency
from mermed_core.pretraining.memory_bank import MemoryBank
from mermed_core.pretraining.multicrop import ModalityNormaliser
from mermed_core.pretraining.network import Output
from mermed_core.pretraining.optimiser import apply_schedule, build_optimiser, clip_gradients
from mermed_core.pretraining.pair import build_pair
from mermed_core.pretraining.random_streams import Stream, derive_seed, generator
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.schedules import Applied

_SHARED = "all"  # the ring where modalities are not kept apart
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Outcome:
    """What a step came to, over all ranks.

    Attributes:
        loss: memory consistency; None while there is no memory to compare with.
        koleo: None where it has no weight.
        distillation: None where nothing is distilled.
        gradient_norm: global norm before clipping; None like the loss.
        embedding_std: spread of the teacher's embeddings over the batch: 1 for directions at random, 0 for a
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
    """Holds what learns, and lets it learn from one batch.

    Args:
        recipe: of the run.
        modalities: keys of the modalities in the data; the order gives their index.
        ranks: the processes that work together.

    Raises:
        ModelError: the starting weights are not found or do not fit.
    """

    def __init__(self, recipe: Recipe, modalities: Sequence[str], ranks: Ranks) -> None:
        self._recipe = recipe
        self._ranks = ranks
        if ranks.device.type == "cpu":
            keep_freed_memory()
        torch.manual_seed(derive_seed(recipe.compute.seed, Stream.START))
        self.student, self.teacher = build_pair(recipe, ranks)
        self._learner = ranks.wrap(self.student)
        reference = build_reference(recipe, modalities)
        self._reference = reference.to(ranks.device) if reference is not None else None
        rings = tuple(modalities) if recipe.memory.by_modality else (_SHARED,)
        self._ring_of = torch.arange(len(modalities)) % len(rings)
        slots = math.ceil(recipe.memory.size / len(rings))
        self.bank = MemoryBank(rings, slots=slots, dim=recipe.head.dim).to(ranks.device)
        self.optimiser = build_optimiser(self.student, recipe.optimiser)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=recipe.compute.precision == "fp16")
        self._normaliser = ModalityNormaliser(preprocessing_of(recipe.encoder), modalities).to(ranks.device)

    def step(self, batch: Batch, number: int, applied: Applied) -> Outcome:
        """Learns from this rank's share of a batch.

        The step's number (from 0) and the recipe's seed decide all chance in it. Where something is not
        finite on any rank, every rank leaves everything as it was.
        """
        torch.manual_seed(derive_seed(self._recipe.compute.seed, Stream.NETWORK, number, self._ranks.rank))
        guard = BufferGuard(self.student, self.teacher)
        rings = self._rings(batch)
        taught, losses = self._learn(batch, rings, number, applied)
        norm = self._clip() if losses is not None else None
        outcome = Outcome(*self._totals(losses, applied), norm, _spread(taught))
        if outcome.skipped:
            guard.restore()
        else:
            if losses is not None:
                self._move(applied)
            self.bank.add(taught, rings)
        if losses is not None:
            self.scaler.update()
        return outcome

    def prefill(self, batch: Batch) -> None:
        """Lets the teacher's embeddings of the first global view enter the memory; nothing learns."""
        guard = BufferGuard(self.teacher)
        taught = self._ranks.gather_places(self._teach(self._prepare(batch)[0][:1])[0])
        guard.restore()
        if torch.isfinite(taught).all():
            self.bank.add(taught, self._rings(batch))

    def _rings(self, batch: Batch) -> torch.Tensor:
        """Returns the index of the ring of every image of the whole batch, on the CPU."""
        return self._ring_of[self._ranks.gather_places(batch.modality.to(self._ranks.device)).cpu()]

    def _learn(
        self, batch: Batch, rings: torch.Tensor, number: int, applied: Applied
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Puts the gradients in place, part by part.

        Returns:
            The teacher's embeddings of the first global view of the whole batch (batch, dim), and this rank's
            losses (3,), memory consistency, KoLeo and distillation; None where no ring holds anything yet.
        """
        parts = self._recipe.compute.accumulate
        known = int(self.bank.knows(rings).sum())
        self.optimiser.zero_grad(set_to_none=True)
        weights = torch.tensor(
            [1.0, applied.koleo_weight, applied.distillation_weight], device=self._ranks.device
        )
        taught, losses = [], torch.zeros(3, device=self._ranks.device)
        for index in range(parts):
            part = batch.part(index, parts)
            global_views, local_views = self._prepare(part)
            target = self._teach(global_views)
            taught.append(target[0])
            if not known:
                continue
            last = index == parts - 1
            with contextlib.nullcontext() if last else self._ranks.without_averaging(self._learner):
                with self._precision():
                    output = self._learner(global_views, local_views)
                consistency = self._consistency(output, target, part, known, number, applied)
                each = torch.stack([consistency, *self._beside(output, global_views, part, applied)])
                total = (each * weights).sum()
                # Averaging over the ranks divides by their number what was already divided by all images.
                self.scaler.scale(total * self._ranks.world).backward()
            losses += each.detach()
        return self._ranks.gather_places(interleave(taught)), losses if known else None

    def _consistency(
        self,
        output: Output,
        target: torch.Tensor,
        part: Batch,
        known: int,
        number: int,
        applied: Applied,
    ) -> torch.Tensor:
        """Returns the share of these images in the memory consistency of the whole batch."""
        rings = self._ring_of[part.modality]
        consistency = memory_consistency(
            output.projected,
            target,
            rings,
            self.bank,
            blocks=self._recipe.blocks,
            student_temperature=self._recipe.loss.student_temperature,
            teacher_temperature=applied.teacher_temperature,
            generator=generator(self._recipe.compute.seed, Stream.BLOCKS, number),
        )
        if consistency is None:  # none of these images has a memory, but others of the batch do
            return 0.0 * output.projected.sum()
        return consistency * (int(self.bank.knows(rings).sum()) / known)

    def _beside(
        self, output: Output, global_views: torch.Tensor, part: Batch, applied: Applied
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the shares of these images in KoLeo and distillation of the whole batch."""
        spreading = distilled = output.projected.new_zeros(())
        if applied.koleo_weight:
            gather = gather_with_gradient if self._ranks.world > 1 else None
            spreading = koleo(output.embeddings, gather, self._ranks.rank)
        if self._reference is not None:
            with self._precision():
                target = self._reference(global_views, part.modality.to(global_views.device))
            distilled = distance(output.aligned, target)
        parts = self._recipe.compute.accumulate * self._ranks.world
        return spreading / parts, distilled / parts

    def _prepare(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns global and local views, altered and normalised."""
        device = self._ranks.device
        modality = batch.modality.to(device, non_blocking=True)
        groups = (batch.global_views, batch.local_views)
        amounts = batch.amounts.split([len(group) for group in groups])
        altered = [
            alter(views.to(device, non_blocking=True).flatten(0, 1), amount.flatten(0, 1)).view(views.shape)
            for views, amount in zip(groups, amounts, strict=True)
        ]
        return self._normaliser(altered[0], modality), self._normaliser(altered[1], modality)

    @torch.no_grad()
    def _teach(self, global_views: torch.Tensor) -> torch.Tensor:
        with self._precision():
            return self.teacher(global_views).projected

    def _precision(self) -> torch.autocast:
        half = _HALF.get(self._recipe.compute.precision)
        return torch.autocast(self._ranks.device.type, half or torch.bfloat16, enabled=half is not None)

    def _clip(self) -> float:
        """Clips the gradients, the same on every rank, and returns their norm before."""
        self.scaler.unscale_(self.optimiser)
        return clip_gradients(self.student, self._recipe.optimiser.clip_norm)

    def _move(self, applied: Applied) -> None:
        apply_schedule(self.optimiser, learning_rate=applied.learning_rate, weight_decay=applied.weight_decay)
        self.scaler.step(self.optimiser)
        follow(self.teacher, self.student, applied.momentum)

    def _totals(
        self, losses: torch.Tensor | None, applied: Applied
    ) -> tuple[float | None, float | None, float | None]:
        if losses is None:
            return None, None, None
        consistency, spreading, distilled = self._ranks.total(losses).tolist()
        return (
            consistency,
            spreading if applied.koleo_weight else None,
            distilled if self._reference is not None else None,
        )


def _spread(embeddings: torch.Tensor) -> float:
    """Returns the standard deviation over the batch (batch, dim), averaged and times √dim."""
    return float(embeddings.std(dim=0, correction=0).mean() * embeddings.shape[1] ** 0.5)
