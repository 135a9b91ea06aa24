"""Half precision on the CPU, where the gradient of a padded convolution cannot be trusted."""

import types

import torch
from torch import nn


def keep_single(network: nn.Module) -> None:
    """Lets the padded convolutions of a network compute in single precision under autocast on the CPU.

    On a map so small that a tap of the kernel only ever meets padding, the half-precision gradient of that
    tap holds whatever was in the memory before (PyTorch 2.15, oneDNN on CPUs with AVX-512 BF16; 26 of 30
    times for a stride of 2 on a 1 × 1 map when freed memory is filled with NaN).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.padding not in ((0, 0), "valid"):
            module.forward = types.MethodType(_forward, module)


def _forward(convolution: nn.Conv2d, values: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        return type(convolution).forward(convolution, values.float())
