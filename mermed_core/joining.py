"""Features of several stages joined: what the last stage has thrown away still counts in the embedding."""

import torch
from torch import nn
from torch.nn import functional

# Keeps the gradient of a standard deviation finite where a map is the same everywhere.
_LEAST_VARIANCE = 1e-8


class StageJoin(nn.Module):
    """Joins the pooled features with mean and standard deviation of each channel of some stages.

    Every number is then standardised by `center` and `scale`, which are found on training images without
    their labels (`fit`), so that no stage outweighs another.

    Args:
        dim: length of the joined features.
    """

    center: torch.Tensor
    scale: torch.Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def forward(self, pooled: torch.Tensor, maps: list[torch.Tensor]) -> torch.Tensor:
        """Returns (batch, dim) of pooled (batch, width) and maps (batch, channels, rows, columns)."""
        parts = [functional.normalize(pooled, dim=1)]
        for values in maps:
            parts.append(values.mean((2, 3)))
            parts.append((values.var((2, 3), correction=0) + _LEAST_VARIANCE).sqrt())
        return (torch.cat(parts, dim=1) - self.center) / self.scale

    @torch.no_grad()
    def fit(self, features: torch.Tensor) -> None:
        """Takes mean and standard deviation from features (images, dim) that were joined without either."""
        self.center.copy_(features.mean(dim=0))
        spread = features.std(dim=0, correction=0)
        # A channel that is always the same tells nothing and must not blow up.
        self.scale.copy_(torch.where(spread > 1e-6 * spread.max(), spread, torch.ones_like(spread)))
