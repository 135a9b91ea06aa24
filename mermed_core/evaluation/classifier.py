"""What is fine-tuned: a copy of an encoder under a new linear layer, and the optimiser of both."""

import copy
import math

import numpy as np
import torch
from timm.optim._param_groups import param_groups_layer_decay, param_groups_weight_decay
from torch import nn

from mermed_core.errors import EvaluationError
from mermed_core.models.backbone import Backbone
from mermed_core.models.embedder import Embedder
from mermed_core.models.preprocessing import normalise

_WARMUP = 0.1  # share of all steps
_BATCH = 64


class Classifier(nn.Module):
    """A copy of an encoder with a new linear layer on its embeddings.

    Args:
        embedder: the encoder, which stays as it is.
        modality: key; says how images are normalised.
        dim: length of an embedding.
        classes: how many logits an image gets.

    Raises:
        EvaluationError: the encoder has no weights that could be tuned.
    """

    def __init__(self, embedder: Embedder, modality: str, *, dim: int, classes: int) -> None:
        super().__init__()
        self.backbone: nn.Module = copy.deepcopy(embedder.backbone)
        if next(self.backbone.parameters(), None) is None:
            raise EvaluationError(
                f"'{embedder.config.name}' has no weights, so there is nothing to fine-tune."
            )
        self.head = nn.Linear(dim, classes)
        self._statistics = embedder.config.preprocessing.statistics(modality)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns logits (batch, classes) of pixels (batch, 3, side, side) in 0..255."""
        return self.head(self.backbone(normalise(pixels.float() / 255, self._statistics)))

    @torch.no_grad()
    def logits(self, pixels: torch.Tensor) -> np.ndarray:
        """Returns logits (images, classes) in double precision, in evaluation mode, batch by batch."""
        self.eval()
        return torch.cat([self(part.to(self.device)).double().cpu() for part in pixels.split(_BATCH)]).numpy()


def build_optimiser(
    model: Classifier, *, learning_rate: float, layer_decay: float, weight_decay: float
) -> torch.optim.AdamW:
    """Makes AdamW: no weight decay on biases, norms and position embeddings.

    The learning rate falls by `layer_decay` from layer to layer towards the encoder's start (BEiT, Bao et
    al. 2022); timm says what a layer is, and an encoder that is not timm's counts as one. The linear layer
    has the full rate.
    """
    backbone = model.backbone
    encoder = backbone.encoder if isinstance(backbone, Backbone) else backbone
    spared = set(getattr(encoder, "no_weight_decay", set)())
    groups = [
        *param_groups_layer_decay(
            encoder, weight_decay=weight_decay, no_weight_decay_list=spared, layer_decay=layer_decay
        ),
        *param_groups_weight_decay(model.head, weight_decay=weight_decay),
    ]
    for group in groups:
        group["lr"] = learning_rate * group.pop("lr_scale", 1.0)
    return torch.optim.AdamW(groups)


def build_schedule(optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Scales every learning rate: in a straight line to its full value, then down half a cosine."""
    warmup = max(1, round(_WARMUP * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
