"""Pools several stages of an encoder into its embedding: what the last one discards still counts."""

import torch
from torch import nn
from torch.nn import functional

# Keeps the gradient of a standard deviation finite where a map is constant.
_LEAST_VARIANCE = 1e-8


class StagePooling(nn.Module):
    """Appends mean and standard deviation of each channel of some stages to the pooled features.

    With a `centre_sigma` both are also taken around the centre of the image, where a lesion or an organ
    mostly lies: averaged over the whole image a small one is lost among skin and frame. Every number is then
    standardised by `center` and `scale`, which are estimated on training images without their labels
    (`fit`), so that no stage outweighs another.

    Args:
        dim: length of the result.
        centre_sigma: width of the centre, see `centre_weights`; 0 pools over the whole image alone.
    """

    center: torch.Tensor
    scale: torch.Tensor

    def __init__(self, dim: int, centre_sigma: float = 0.0) -> None:
        super().__init__()
        self.centre_sigma = centre_sigma
        self.register_buffer("center", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def forward(self, pooled: torch.Tensor, maps: list[torch.Tensor]) -> torch.Tensor:
        """Returns (batch, dim) of pooled (batch, width) and maps (batch, channels, rows, columns)."""
        parts = [functional.normalize(pooled, dim=1)]
        for values in maps:
            parts += _mean_and_deviation(values)
            if self.centre_sigma:
                weights = centre_weights(values.shape[2], values.shape[3], self.centre_sigma).to(values)
                parts += _mean_and_deviation(values, weights)
        return (torch.cat(parts, dim=1) - self.center) / self.scale

    @torch.no_grad()
    def fit(self, features: torch.Tensor) -> None:
        """Takes mean and standard deviation from features (images, dim) that were not yet standardised."""
        self.center.copy_(features.mean(dim=0))
        spread = features.std(dim=0, correction=0)
        # A channel that is always the same carries no information and must not be blown up.
        self.scale.copy_(torch.where(spread > 1e-6 * spread.max(), spread, torch.ones_like(spread)))


def centre_weights(rows: int, columns: int, sigma: float) -> torch.Tensor:
    """Returns how much each cell of a map counts around the centre, (rows, columns) with sum 1.

    Args:
        rows: cells of the map from top to bottom.
        columns: cells of the map from left to right.
        sigma: standard deviation of a Gaussian around the centre, as a share of the side.
    """
    down, right = (torch.softmax(-(_offsets(cells) ** 2) / (2 * sigma**2), 0) for cells in (rows, columns))
    return down.unsqueeze(1) * right


def _offsets(cells: int) -> torch.Tensor:
    """Returns how far each cell's middle lies from the map's, as a share of the side."""
    return (torch.arange(cells) + 0.5) / cells - 0.5


def _mean_and_deviation(values: torch.Tensor, weights: torch.Tensor | None = None) -> list[torch.Tensor]:
    """Returns both (batch, channels) of a map (batch, channels, rows, columns)."""
    if weights is None:
        mean, variance = values.mean((2, 3)), values.var((2, 3), correction=0)
    else:
        mean = (values * weights).sum((2, 3))
        variance = ((values - mean[..., None, None]) ** 2 * weights).sum((2, 3))
    return [mean, (variance + _LEAST_VARIANCE).sqrt()]
