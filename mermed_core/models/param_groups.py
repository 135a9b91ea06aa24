"""Parameter groups for an optimiser: learning rates that fall with depth, weight decay where it belongs."""

from typing import Any

from timm.optim import (  # public, though timm does not declare what it exports
    param_groups_layer_decay,  # pyright: ignore[reportPrivateImportUsage]
    param_groups_weight_decay,  # pyright: ignore[reportPrivateImportUsage]
)
from torch import nn


def layer_decay_groups(
    encoder: nn.Module, new_layers: nn.Module, *, layer_decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Returns the parameter groups of an encoder and of the new layers that are trained with it.

    The learning rate of the encoder's layers falls by `layer_decay` from its end to its start (BEiT, Bao et
    al. 2022); timm says what a layer is, and an encoder that is not timm's counts as one. The new layers have
    the full rate. Biases, norms and position embeddings have no weight decay.

    Args:
        encoder: a timm model, or any other module.
        new_layers: whatever is trained beside it.
        layer_decay: above 0, at most 1.
        weight_decay: of the parameters that have one.

    Returns:
        Groups with the keys `params`, `weight_decay` and `lr_scale` (share of the full rate), the encoder's
        first.
    """
    spared = set(getattr(encoder, "no_weight_decay", set)())
    groups = [
        *param_groups_layer_decay(
            encoder, weight_decay=weight_decay, no_weight_decay_list=spared, layer_decay=layer_decay
        ),
        *param_groups_weight_decay(new_layers, weight_decay=weight_decay),
    ]
    for group in groups:
        group.setdefault("lr_scale", 1.0)
    return groups
