"""Distillation: the student's embeddings are kept near those of a frozen encoder.

With the encoder that the run started from it holds on to what the start knows; with another one it teaches a
network that has no good start of its own, such as a small ViT from a ConvNet.
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


class Reference(nn.Module):
    """The frozen encoder.

    Args:
        backbone: the encoder.
        normaliser: brings the student's views to the mean and std that the encoder was trained with.
    """

    def __init__(self, backbone: Backbone, normaliser: ModalityNormaliser) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False).for_inference()
        self._normaliser = normaliser

    @torch.no_grad()
    def forward(self, views: torch.Tensor, modality: torch.Tensor) -> torch.Tensor:
        """Embeds the student's views (views, batch, 3, height, width) as (views, batch, width)."""
        own = self._normaliser(views, modality)
        return self.backbone(own.flatten(0, 1)).unflatten(0, views.shape[:2])


def build_reference(recipe: Recipe, modalities: Sequence[str]) -> Reference | None:
    """Makes the frozen encoder of a recipe, or None where distillation has no weight.

    Raises:
        ModelError: its weights are not found or do not fit, or it cannot take the large views.
    """
    told = recipe.distillation
    if not is_distilled(recipe):
        return None
    backbone = start_backbone(told.architecture, told.start, image_size=recipe.encoder.image_size)
    backbone.check_size(recipe.views.global_size)
    if Path(told.start).is_dir():
        own = load_config(Path(told.start)).preprocessing
    else:
        own = Preprocessing(neutral=timm_normalisation(told.architecture))
    between = _from_to(preprocessing_of(recipe.encoder), own, modalities)
    return Reference(backbone, ModalityNormaliser(between, modalities))


def is_distilled(recipe: Recipe) -> bool:
    """Tells whether distillation has a weight at any step."""
    return bool(recipe.distillation.weight_start or recipe.distillation.weight_end)


def build_aligner(recipe: Recipe, width: int) -> nn.Module:
    """Makes what brings the student's embeddings (…, width) into the space of the frozen encoder's.

    Within one architecture that is one space already; else a linear layer is learned with the student.
    """
    told = recipe.distillation
    if not is_distilled(recipe) or told.architecture == recipe.encoder.architecture:
        return nn.Identity()
    return nn.Linear(width, Backbone(told.architecture, image_size=recipe.encoder.image_size).dim)


def distance(aligned: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Returns the mean of 1 − cosine, 0 to 2, between embeddings (views, batch, width) and their targets."""
    return (1 - functional.cosine_similarity(aligned.float(), target.float(), dim=-1)).mean()


def _from_to(given: Preprocessing, wanted: Preprocessing, modalities: Sequence[str]) -> Preprocessing:
    """Returns the normalisation that turns views normalised as `given` into views normalised as `wanted`."""

    def of(key: str) -> Statistics:
        old_mean, old_std = np.array(given.statistics(key))
        mean, std = np.array(wanted.statistics(key))
        return tuple(((mean - old_mean) / old_std).tolist()), tuple((std / old_std).tolist())

    return Preprocessing(modalities={key: of(key) for key in modalities})
