"""AdamW with layer decay, and what is applied to it at each step."""

from typing import Any

import torch
from timm.optim._param_groups import param_groups_layer_decay, param_groups_weight_decay
from torch import nn

from mermed_core.pretraining.network import SelfSupervisedNetwork
from mermed_core.pretraining.sections import Optimiser


def build_optimiser(student: SelfSupervisedNetwork, recipe: Optimiser) -> torch.optim.AdamW:
    """Makes AdamW over the student: no weight decay on biases, norms and position embeddings.

    The learning rate of the encoder's layers falls by `layer_decay` from its end to its start; timm says
    which parameters make up a layer. Head and aligner have the full rate.
    """
    encoder = student.backbone.encoder
    spared = set(getattr(encoder, "no_weight_decay", set)())
    # A weight decay of 1 only marks who has one; `apply_schedule` puts in the value.
    groups: list[dict[str, Any]] = [
        *param_groups_layer_decay(
            encoder, weight_decay=1.0, no_weight_decay_list=spared, layer_decay=recipe.layer_decay
        ),
        *param_groups_weight_decay(nn.ModuleList([student.head, student.aligner]), weight_decay=1.0),
    ]
    for group in groups:
        group.setdefault("lr_scale", 1.0)
        group["decays"] = bool(group["weight_decay"])
    on_gpu = next(student.parameters()).device.type == "cuda"
    return torch.optim.AdamW(groups, lr=0.0, betas=recipe.betas, fused=on_gpu)


def apply_schedule(optimiser: torch.optim.Optimizer, *, learning_rate: float, weight_decay: float) -> None:
    """Sets the values of a step: the rate times each layer's scale, the decay where there is one."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group["lr_scale"]
        group["weight_decay"] = weight_decay if group["decays"] else 0.0


def clip_gradients(network: nn.Module, limit: float) -> float:
    """Scales the gradients so that their global norm is at most `limit`; returns the norm before."""
    return float(nn.utils.clip_grad_norm_(network.parameters(), limit))
