"""Student and teacher as a run starts with them."""

import copy
import logging
from typing import cast

import torch
from timm.models import VisionTransformer

from mermed_core.errors import ModelError, RecipeError
from mermed_core.models.backbone import Backbone
from mermed_core.models.pretrained import start_backbone
from mermed_core.pretraining.batch_norm import unite_batch_norm
from mermed_core.pretraining.distillation import build_aligner
from mermed_core.pretraining.distributed import Ranks
from mermed_core.pretraining.head import ProjectionHead
from mermed_core.pretraining.kernels import compile_encoder
from mermed_core.pretraining.network import SelfSupervisedNetwork
from mermed_core.pretraining.padded_convolutions import keep_single
from mermed_core.pretraining.recipe import Recipe

logger = logging.getLogger(__name__)


def build_pair(recipe: Recipe, ranks: Ranks) -> tuple[SelfSupervisedNetwork, SelfSupervisedNetwork]:
    """Returns the student and its teacher: equal in weights, on the rank's device, in training mode.

    Raises:
        ModelError: the starting weights are not found or do not fit.
        RecipeError: the encoder cannot take views of a size, or cannot checkpoint its activations.
    """
    student = build_network(recipe)
    _check_sizes(student.backbone, recipe)
    teacher = _teacher_of(student, recipe)
    if recipe.compute.checkpoint_activations:
        _checkpoint_activations(student.backbone)
    layout = torch.channels_last if _may_be_channels_last(recipe, ranks.device) else torch.contiguous_format
    pair = [
        cast(SelfSupervisedNetwork, unite_batch_norm(network, ranks))
        .to(ranks.device)
        .to(memory_format=layout)
        .train()
        for network in (student, teacher)
    ]
    if _is_half_on_cpu(recipe, ranks.device):
        for network in pair:
            keep_single(network)
    if recipe.compute.compile:
        for network in pair:
            compile_encoder(network)
    return pair[0], pair[1]


def build_network(recipe: Recipe) -> SelfSupervisedNetwork:
    """Makes the student: the encoder with its starting weights, and a new head."""
    encoder = recipe.encoder
    backbone = start_backbone(
        encoder.architecture, encoder.start, image_size=encoder.image_size, drop_path_rate=encoder.drop_path
    )
    head = ProjectionHead(
        backbone.dim, layers=recipe.head.layers, hidden=recipe.head.hidden, dim=recipe.head.dim
    )
    aligner = build_aligner(recipe, backbone.dim)
    return SelfSupervisedNetwork(backbone, head, freeze_batch_norm=encoder.freeze_batch_norm, aligner=aligner)


def _teacher_of(student: SelfSupervisedNetwork, recipe: Recipe) -> SelfSupervisedNetwork:
    """Makes a copy of the student without stochastic depth and without gradients."""
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
    sizes = {"global_size": views.global_size, "local_size": views.local_size}
    for name, size in sizes.items() if views.local_count else [*sizes.items()][:1]:
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


def _may_be_channels_last(recipe: Recipe, device: torch.device) -> bool:
    """Tells whether the recipe's layout can be used.

    On the CPU in bf16 the gradient of a depthwise convolution on a map of one pixel holds whatever was in the
    memory before, if the layout is channels last (PyTorch 2.15, oneDNN).
    """
    broken = _is_half_on_cpu(recipe, device)
    if recipe.compute.channels_last and broken:
        logger.warning(
            "compute.channels_last is left out: in half precision on the CPU its gradients can be wrong"
        )
    return recipe.compute.channels_last and not broken


def _is_half_on_cpu(recipe: Recipe, device: torch.device) -> bool:
    return device.type == "cpu" and recipe.compute.precision != "fp32"
