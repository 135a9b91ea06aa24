"""Distillation: the student's embeddings are pulled towards those of a frozen encoder.

With the encoder that the run started from, the student keeps what the starting weights know; with another
encoder it learns from that one, as a small ViT without good starting weights may learn from a ConvNet.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mermed_core.models.backbone import Backbone
from mermed_core.models.model_folder import load_config
from mermed_core.models.preprocessing import Preprocessing, Statistics, timm_normalisation
from mermed_core.models.pretrained import start_backbone
from mermed_core.pretraining.export import preprocessing_of
from mermed_core.pretraining.multicrop import ModalityNormaliser
from mermed_core.pretraining.recipe import Recipe


class FrozenEncoder(nn.Module):
    """The encoder that is distilled from.

    Args:
        backbone: the encoder.
        normaliser: converts the student's views to the mean and std that the encoder was trained with.
    """

    def __init__(self, backbone: Backbone, normaliser: ModalityNormaliser) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False).for_inference()
        self._normaliser = normaliser

    @torch.no_grad()
    def forward(self, views: torch.Tensor, modality: torch.Tensor) -> torch.Tensor:
        """Embeds as (views, batch, width) the student's views (views, batch, 3, height, width)."""
        converted = self._normaliser(views, modality)
        return self.backbone(converted.flatten(0, 1)).unflatten(0, views.shape[:2])


def build_frozen_encoder(recipe: Recipe, modalities: Sequence[str]) -> FrozenEncoder | None:
    """Builds the frozen encoder of a recipe, or returns None where distillation has no weight.

    Raises:
        ModelError: its weights are not found or do not fit, or it cannot take the large crops.
    """
    section = recipe.distillation
    if not has_distillation(recipe):
        return None
    backbone = start_backbone(section.architecture, section.start, image_size=recipe.encoder.image_size)
    backbone.check_size(recipe.views.global_size)
    if Path(section.start).is_dir():
        wanted = load_config(Path(section.start)).preprocessing
    else:
        wanted = Preprocessing(neutral=timm_normalisation(section.architecture))
    conversion = _conversion(preprocessing_of(recipe.encoder), wanted, modalities)
    return FrozenEncoder(backbone, ModalityNormaliser(conversion, modalities))


def has_distillation(recipe: Recipe) -> bool:
    """Returns whether distillation has a weight at any step."""
    return bool(recipe.distillation.weight_start or recipe.distillation.weight_end)


def build_aligner(recipe: Recipe, width: int) -> nn.Module:
    """Builds the layer from the student's embeddings (…, width) to the space of the frozen encoder's.

    Two encoders of one architecture share that space already; otherwise a linear layer is learned with the
    student.
    """
    architecture = recipe.distillation.architecture
    if not has_distillation(recipe) or architecture == recipe.encoder.architecture:
        return nn.Identity()
    return nn.Linear(width, Backbone(architecture, image_size=recipe.encoder.image_size).dim)


def cosine_distance(aligned: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Returns the mean of 1 − cosine, 0 to 2, between embeddings (views, batch, width) and their targets."""
    return (1 - functional.cosine_similarity(aligned.float(), target.float(), dim=-1)).mean()


def _conversion(given: Preprocessing, wanted: Preprocessing, modalities: Sequence[str]) -> Preprocessing:
    """Returns the normalisation that converts views normalised as `given` to views normalised as `wanted`."""

    def of(key: str) -> Statistics:
        old_mean, old_std = np.array(given.statistics(key))
        mean, std = np.array(wanted.statistics(key))
        return tuple(((mean - old_mean) / old_std).tolist()), tuple((std / old_std).tolist())

    return Preprocessing(modalities={key: of(key) for key in modalities})
