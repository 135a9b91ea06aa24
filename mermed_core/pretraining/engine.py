"""One step of the method: student, teacher, loss, optimiser, moving average, memory."""

import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mermed_core.backbone import Backbone
from mermed_core.pretraining.bank import MemoryBank
from mermed_core.pretraining.ema import BufferGuard, follow
from mermed_core.pretraining.export import preprocessing_of
from mermed_core.pretraining.head import ProjectionHead
from mermed_core.pretraining.loader import Batch
from mermed_core.pretraining.losses import memory_consistency
from mermed_core.pretraining.network import SelfSupervisedNetwork
from mermed_core.pretraining.optimiser import apply_schedule, build_optimiser, clip_gradients
from mermed_core.pretraining.recipe import Encoder, Recipe
from mermed_core.pretraining.schedules import Applied
from mermed_core.pretraining.seeds import Stream, derive_seed, generator
from mermed_core.pretraining.views import ModalityNormaliser
from mermed_core.weights import start_backbone

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What a step came to.

    Attributes:
        loss: None while there is no memory to compare with.
        gradient_norm: global norm before clipping; None like the loss.
        embedding_std: spread of the teacher's embeddings over the batch: 1 for directions at random, 0 for a
            collapse to one point.
    """

    loss: float | None
    gradient_norm: float | None
    embedding_std: float

    @property
    def skipped(self) -> bool:
        """Whether something was not finite, so that nothing was changed."""
        values = (self.loss, self.gradient_norm, self.embedding_std)
        return not all(value is None or math.isfinite(value) for value in values)


class Engine:
    """Holds what learns, and lets it learn from one batch.

    Args:
        recipe: of the run.
        modalities: keys of the modalities in the data; the order gives their index.
        device: where to compute.

    Raises:
        ModelError: the starting weights are not found or do not fit.
    """

    def __init__(self, recipe: Recipe, modalities: Sequence[str], device: torch.device) -> None:
        self._recipe = recipe
        self._device = device
        torch.manual_seed(derive_seed(recipe.compute.seed, Stream.START))
        layout = torch.channels_last if _may_be_channels_last(recipe, device) else torch.contiguous_format
        student = build_network(recipe)
        teacher = _teacher_of(student, recipe.encoder)
        self.student = student.to(device).to(memory_format=layout).train()
        self.teacher = teacher.to(device).to(memory_format=layout).train()
        slots = math.ceil(recipe.memory.size / len(modalities))
        self.bank = MemoryBank(modalities, slots=slots, dim=recipe.head.dim).to(device)
        self.optimiser = build_optimiser(self.student, recipe.optimiser)
        self._normaliser = ModalityNormaliser(preprocessing_of(recipe.encoder), modalities).to(device)

    def step(self, batch: Batch, number: int, applied: Applied) -> Outcome:
        """Learns from one batch; the step's number (from 0) and the recipe's seed decide all chance in it."""
        torch.manual_seed(derive_seed(self._recipe.compute.seed, Stream.NETWORK, number))
        guard = BufferGuard(self.student, self.teacher)
        global_views, local_views = self._prepare(batch)
        taught = self._teach(global_views)
        loss = self._loss(self._learn(global_views, local_views), taught, batch.modality, number, applied)
        outcome = Outcome(_number(loss), self._backward(loss), _spread(taught[0]))
        if outcome.skipped:
            guard.restore()
            return outcome
        if loss is not None:
            apply_schedule(
                self.optimiser, learning_rate=applied.learning_rate, weight_decay=applied.weight_decay
            )
            self.optimiser.step()
            follow(self.teacher, self.student, applied.momentum)
        self.bank.add(taught[0], batch.modality)
        return outcome

    def prefill(self, batch: Batch) -> None:
        """Lets the teacher's embeddings of the first global view enter the memory; nothing learns."""
        guard = BufferGuard(self.teacher)
        taught = self._teach(self._prepare(batch)[0][:1])
        guard.restore()
        if torch.isfinite(taught).all():
            self.bank.add(taught[0], batch.modality)

    def _prepare(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        modality = batch.modality.to(self._device)
        return tuple(  # pyright: ignore[reportReturnType]
            self._normaliser(views.to(self._device, non_blocking=True), modality)
            for views in (batch.global_views, batch.local_views)
        )

    @torch.no_grad()
    def _teach(self, global_views: torch.Tensor) -> torch.Tensor:
        with self._precision():
            return self.teacher(global_views)

    def _learn(self, global_views: torch.Tensor, local_views: torch.Tensor) -> torch.Tensor:
        with self._precision():
            return self.student(global_views, local_views)

    def _precision(self) -> torch.autocast:
        return torch.autocast(
            self._device.type, torch.bfloat16, enabled=self._recipe.compute.precision == "bf16"
        )

    def _loss(
        self,
        learned: torch.Tensor,
        taught: torch.Tensor,
        modality: torch.Tensor,
        number: int,
        applied: Applied,
    ) -> torch.Tensor | None:
        return memory_consistency(
            learned,
            taught,
            modality,
            self.bank,
            blocks=self._recipe.blocks,
            student_temperature=self._recipe.loss.student_temperature,
            teacher_temperature=applied.teacher_temperature,
            generator=generator(self._recipe.compute.seed, Stream.BLOCKS, number),
        )

    def _backward(self, loss: torch.Tensor | None) -> float | None:
        """Puts the clipped gradients in place and returns their norm before clipping."""
        if loss is None:
            return None
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        return clip_gradients(self.student, self._recipe.optimiser.clip_norm)


def _may_be_channels_last(recipe: Recipe, device: torch.device) -> bool:
    """Tells whether the recipe's layout can be used.

    On the CPU in bf16 the gradient of a depthwise convolution on a map of one pixel holds whatever was in the
    memory before, if the layout is channels last (PyTorch 2.15, oneDNN).
    """
    broken = device.type == "cpu" and recipe.compute.precision == "bf16"
    if recipe.compute.channels_last and broken:
        logger.warning("compute.channels_last is left out: in bf16 on the CPU its gradients can be wrong")
    return recipe.compute.channels_last and not broken


def build_network(recipe: Recipe) -> SelfSupervisedNetwork:
    """Makes the student: the encoder with its starting weights, and a new head."""
    encoder = recipe.encoder
    backbone = start_backbone(
        encoder.architecture, encoder.start, image_size=encoder.image_size, drop_path_rate=encoder.drop_path
    )
    head = ProjectionHead(
        backbone.dim, layers=recipe.head.layers, hidden=recipe.head.hidden, dim=recipe.head.dim
    )
    return SelfSupervisedNetwork(backbone, head, freeze_batch_norm=encoder.freeze_batch_norm)


def _teacher_of(student: SelfSupervisedNetwork, encoder: Encoder) -> SelfSupervisedNetwork:
    """Makes a copy of the student without stochastic depth and without gradients."""
    backbone = Backbone(encoder.architecture, image_size=encoder.image_size)
    head = copy.deepcopy(student.head)
    teacher = SelfSupervisedNetwork(backbone, head, freeze_batch_norm=encoder.freeze_batch_norm)
    teacher.load_state_dict(student.state_dict())
    return teacher.requires_grad_(False)


def _number(value: torch.Tensor | None) -> float | None:
    return None if value is None else value.item()


def _spread(embeddings: torch.Tensor) -> float:
    """Returns the standard deviation over the batch (batch, dim), averaged and times √dim."""
    return float(embeddings.std(dim=0, correction=0).mean() * embeddings.shape[1] ** 0.5)
