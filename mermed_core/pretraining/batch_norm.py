"""Batch norm over several processes: the statistics are those of the whole batch, as of one process.

Each process alone would normalise by its own share, so that the result of a run would depend on their number.
"""

from typing import Any, cast

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mermed_core.pretraining.distributed import Ranks, gather_with_gradient


def unite_batch_norm(network: nn.Module, ranks: Ranks) -> nn.Module:
    """Returns the network with batch norms that see the shares of all ranks; names of tensors stay the same.

    On GPUs these are torch's; torch has none for CPUs, where every rank normalises the joined batch and keeps
    its own share of the result.
    """
    if ranks.world == 1:
        return network
    if ranks.device.type == "cuda":
        return cast(nn.Module, convert_sync_batchnorm(network))
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_pre_hook(_join)
            module.register_forward_hook(_own_share)
    return network


def _join(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor | None:
    return gather_with_gradient(inputs[0]) if module.training else None


def _own_share(module: nn.Module, _: Any, output: torch.Tensor) -> torch.Tensor | None:
    if not module.training:
        return None
    return output.chunk(distributed.get_world_size())[distributed.get_rank()]
