"""The projection head between the encoder and the memory."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


class ProjectionHead(nn.Module):
    """Linear layers with batch norm and GELU between them; the output has unit norm.

    Args:
        inputs: length of the encoder's embedding.
        layers: number of linear layers.
        hidden: width between them.
        dim: length of the projection.
    """

    def __init__(self, inputs: int, *, layers: int, hidden: int, dim: int) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * (layers - 1)]
        between = [
            # The norm's shift takes the place of a bias.
            nn.Sequential(nn.Linear(width, after, bias=False), nn.BatchNorm1d(after), nn.GELU())
            for width, after in pairwise(widths)
        ]
        self.layers = nn.Sequential(*between, nn.Linear(widths[-1], dim))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Projects embeddings (batch, inputs) to (batch, dim) float32 or wider, of norm 1."""
        projected = self.layers(embeddings)
        return functional.normalize(
            projected if projected.dtype == torch.float64 else projected.float(), dim=-1
        )
