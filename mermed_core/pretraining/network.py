"""Encoder and projection head together: what student and teacher are."""

from typing import NamedTuple, Self

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mermed_core.models.backbone import Backbone
from mermed_core.pretraining.class_token import end_in_class_token
from mermed_core.pretraining.head import ProjectionHead
from mermed_core.pretraining.stochastic_depth import skip_dropped


class Output(NamedTuple):
    """What a network makes of views.

    Attributes:
        projected: (views, batch, dim) of unit norm, what the loss compares.
        embeddings: (views, batch, width) of the encoder, of the first group of views only.
        aligned: the same in the space of the encoder that is distilled from.
    """

    projected: torch.Tensor
    embeddings: torch.Tensor
    aligned: torch.Tensor


class SelfSupervisedNetwork(nn.Module):
    """A backbone with a projection head that takes views of several sizes.

    Args:
        backbone: the encoder; a ViT's blocks are made to leave out what has no effect, see `class_token` and
            `stochastic_depth`.
        head: the projection head.
        freeze_batch_norm: the encoder's batch norms use and keep their running statistics while training.
        aligner: see `distillation.build_aligner`; embeddings stay as they are without it.
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
        end_in_class_token(backbone.encoder)
        skip_dropped(backbone.encoder)
        self.head = head
        self.aligner = aligner or nn.Identity()
        self.freeze_batch_norm = freeze_batch_norm

    def train(self, mode: bool = True) -> Self:
        """Sets the mode, except for frozen batch norms."""
        super().train(mode)
        if self.freeze_batch_norm:
            for module in self.backbone.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, *groups: torch.Tensor) -> Output:
        """Embeds and projects views.

        Args:
            groups: (views, batch, 3, height, width), one size a group; a group may have no views.
        """
        batch = groups[0].shape[1]
        embeddings = [self.backbone(group.flatten(0, 1)) for group in groups if len(group)]
        projected = self.head(torch.cat(embeddings)).unflatten(0, (-1, batch))
        first = embeddings[0].unflatten(0, (-1, batch))
        return Output(projected, first, self.aligner(first))
