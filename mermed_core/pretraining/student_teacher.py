"""Student and teacher: two encoders with projection heads, one a moving average of the other."""

import copy
import logging
from itertools import pairwise
from typing import NamedTuple, Self, cast

import torch
from timm.models import VisionTransformer
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mermed_core.errors import ModelError, RecipeError
from mermed_core.models.backbone import Backbone
from mermed_core.models.pretrained import start_backbone
from mermed_core.pretraining.distillation import build_aligner
from mermed_core.pretraining.distributed import BATCH_NORMS, Processes, synchronise_batch_norm
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.speedups import (
    compile_encoder,
    shorten_last_block,
    skip_dropped_branches,
    use_single_precision_convolutions,
)

logger = logging.getLogger(__name__)


class ProjectionHead(nn.Module):
    """Linear layers with batch norm and GELU between them; the output has unit norm.

    Args:
        inputs: length of the encoder's embedding.
        layers: number of linear layers.
        hidden: width between them.
        dim: length of the projection.
    """

    def __init__(self, inputs: int, *, layers: int, hidden: int, dim: int) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * (layers - 1)]
        between = [
            # The norm's shift takes the place of a bias.
            nn.Sequential(nn.Linear(width, after, bias=False), nn.BatchNorm1d(after), nn.GELU())
            for width, after in pairwise(widths)
        ]
        self.layers = nn.Sequential(*between, nn.Linear(widths[-1], dim))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Projects embeddings (batch, inputs) to (batch, dim), float32 or wider, of norm 1."""
        projected = self.layers(embeddings)
        return functional.normalize(
            projected if projected.dtype == torch.float64 else projected.float(), dim=-1
        )


class NetworkOutput(NamedTuple):
    """What a network computes from views.

    Attributes:
        projected: (views, batch, dim) of unit norm, which the loss compares.
        embeddings: (views, batch, width) of the encoder, for the first group of views only.
        aligned: the same in the space of the encoder that is distilled from.
    """

    projected: torch.Tensor
    embeddings: torch.Tensor
    aligned: torch.Tensor


class SelfSupervisedNetwork(nn.Module):
    """An encoder with a projection head that takes views of several sizes.

    Args:
        backbone: the encoder; a ViT's blocks are changed so that they leave out what has no effect, see
            `speedups`.
        head: the projection head.
        freeze_batch_norm: the encoder's batch norms use and keep their running statistics in training.
        aligner: see `distillation.build_aligner`; without it embeddings stay as they are.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: ProjectionHead,
        *,
        freeze_batch_norm: bool,
        aligner: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        shorten_last_block(backbone.encoder)
        skip_dropped_branches(backbone.encoder)
        self.head = head
        self.aligner = aligner or nn.Identity()
        self.freeze_batch_norm = freeze_batch_norm

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of everything but frozen batch norms."""
        super().train(mode)
        if self.freeze_batch_norm:
            for module in self.backbone.modules():
                if isinstance(module, BATCH_NORMS):
                    module.eval()
        return self

    def forward(self, *groups: torch.Tensor) -> NetworkOutput:
        """Embeds and projects views.

        Args:
            groups: (views, batch, 3, height, width), one size in each group; a group may have no views.
        """
        batch = groups[0].shape[1]
        embeddings = [self.backbone(group.flatten(0, 1)) for group in groups if len(group)]
        projected = self.head(torch.cat(embeddings)).unflatten(0, (-1, batch))
        first = embeddings[0].unflatten(0, (-1, batch))
        return NetworkOutput(projected, first, self.aligner(first))


def build_student_teacher(
    recipe: Recipe, processes: Processes
) -> tuple[SelfSupervisedNetwork, SelfSupervisedNetwork]:
    """Returns the student and its teacher with equal weights, on this process's device, in training mode.

    Raises:
        ModelError: the starting weights are not found or do not fit.
        RecipeError: the encoder cannot take views of a size, or cannot checkpoint its activations.
    """
    student = build_student(recipe)
    _check_sizes(student.backbone, recipe)
    teacher = _build_teacher(student, recipe)
    if recipe.compute.checkpoint_activations:
        _checkpoint_activations(student.backbone)
    half_on_cpu = processes.device.type == "cpu" and recipe.compute.precision != "fp32"
    layout = _memory_layout(recipe, half_on_cpu)
    networks = [
        cast(SelfSupervisedNetwork, synchronise_batch_norm(network, processes))
        .to(processes.device)
        .to(memory_format=layout)
        .train()
        for network in (student, teacher)
    ]
    for network in networks:
        if half_on_cpu:
            use_single_precision_convolutions(network)
        if recipe.compute.compile:
            compile_encoder(network.backbone.encoder)
    return networks[0], networks[1]


def build_student(recipe: Recipe) -> SelfSupervisedNetwork:
    """Builds the student: the encoder with its starting weights and a new head."""
    encoder = recipe.encoder
    backbone = start_backbone(
        encoder.architecture, encoder.start, image_size=encoder.image_size, drop_path_rate=encoder.drop_path
    )
    head = ProjectionHead(
        backbone.dim, layers=recipe.head.layers, hidden=recipe.head.hidden, dim=recipe.head.dim
    )
    aligner = build_aligner(recipe, backbone.dim)
    freeze_stages(backbone, encoder.frozen_stages)
    return SelfSupervisedNetwork(backbone, head, freeze_batch_norm=encoder.freeze_batch_norm, aligner=aligner)


def freeze_stages(backbone: Backbone, count: int) -> None:
    """Keeps the parameters of an encoder's first stages, and of all that comes before them, as they are.

    Raises:
        RecipeError: the encoder has fewer stages.
    """
    if not count:
        return
    stages = list(getattr(backbone.encoder, "feature_info", None) or [])
    if count > len(stages):
        raise RecipeError(f"'encoder.frozen_stages' is {count}; '{backbone.architecture}' has {len(stages)}.")
    *_, last = backbone.encoder.get_submodule(stages[count - 1]["module"]).modules()
    for module in backbone.encoder.modules():  # in the order in which an image passes them
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
        if module is last:
            break


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Moves each parameter of the teacher to momentum · teacher + (1 − momentum) · student.

    Buffers are not averaged. A batch norm of the teacher that is not frozen normalises with the statistics of
    its own batch, as the student's does, and gathers its own running statistics from the large crops that it
    sees; these belong to the teacher's weights and go into the finished model. Frozen batch norms keep the
    statistics of the start in both networks.
    """
    # All at once: on a GPU one call for each parameter costs more than the arithmetic.
    average = get_ema_multi_avg_fn(momentum)
    average(list(teacher.parameters()), list(student.parameters()), 0)


class BufferSnapshot:
    """The buffers of networks at one moment, to be restored when a step turns out to be bad."""

    def __init__(self, *networks: nn.Module) -> None:
        self._saved = [
            (buffer, buffer.clone()) for network in networks for buffer in network.buffers() if buffer.numel()
        ]

    @torch.no_grad()
    def restore(self) -> None:
        """Gives the buffers back the values that they had."""
        for buffer, saved in self._saved:
            buffer.copy_(saved)


def _build_teacher(student: SelfSupervisedNetwork, recipe: Recipe) -> SelfSupervisedNetwork:
    """Builds a copy of the student without stochastic depth and without gradients."""
    encoder = recipe.encoder
    backbone = Backbone(encoder.architecture, image_size=encoder.image_size)
    head, aligner = copy.deepcopy(student.head), copy.deepcopy(student.aligner)
    teacher = SelfSupervisedNetwork(
        backbone, head, freeze_batch_norm=encoder.freeze_batch_norm, aligner=aligner
    )
    teacher.load_state_dict(student.state_dict())
    return teacher.requires_grad_(False)


def _check_sizes(backbone: Backbone, recipe: Recipe) -> None:
    views = recipe.views
    sizes = {"global_size": views.global_size}
    if views.local_count:
        sizes["local_size"] = views.local_size
    for name, size in sizes.items():
        try:
            backbone.check_size(size)
        except ModelError as error:
            raise RecipeError(f"'views.{name}' is {size}. {error}") from error


def _checkpoint_activations(backbone: Backbone) -> None:
    try:
        cast(VisionTransformer, backbone.encoder).set_grad_checkpointing(True)
    except (AssertionError, AttributeError) as error:
        raise RecipeError(
            f"'compute.checkpoint_activations' is not possible with '{backbone.architecture}'."
        ) from error


def _memory_layout(recipe: Recipe, half_on_cpu: bool) -> torch.memory_format:
    """Returns the recipe's memory layout, unless it gives wrong gradients.

    On the CPU in bf16 the gradient of a depthwise convolution on a map of one pixel holds whatever was in the
    memory before, if the layout is channels last (PyTorch 2.15, oneDNN).
    """
    if not recipe.compute.channels_last:
        return torch.contiguous_format
    if half_on_cpu:
        logger.warning(
            "compute.channels_last is ignored: in half precision on the CPU its gradients can be wrong"
        )
        return torch.contiguous_format
    return torch.channels_last
