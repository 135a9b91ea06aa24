"""Features of several stages joined: what the last stage has thrown away still counts in the embedding."""

import torch
from torch import nn
from torch.nn import functional

# Keeps the gradient of a standard deviation finite where a map is the same everywhere.
_LEAST_VARIANCE = 1e-8


class StageJoin(nn.Module):
    """Joins the pooled features with mean and standard deviation of each channel of some stages.

    With a focus both are also taken of the middle, where a lesion or an organ mostly lies: over the whole a
    small one is lost among skin and frame. Every number is then standardised by `center` and `scale`, which
    are found on training images without their labels (`fit`), so that no stage outweighs another.

    Args:
        dim: length of the joined features.
        focus: how wide the middle is, see `focus_weights`; 0 for the whole alone.
    """

    center: torch.Tensor
    scale: torch.Tensor

    def __init__(self, dim: int, focus: float = 0.0) -> None:
        super().__init__()
        self.focus = focus
        self.register_buffer("center", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def forward(self, pooled: torch.Tensor, maps: list[torch.Tensor]) -> torch.Tensor:
        """Returns (batch, dim) of pooled (batch, width) and maps (batch, channels, rows, columns)."""
        parts = [functional.normalize(pooled, dim=1)]
        for values in maps:
            parts += _mean_and_deviation(values)
            if self.focus:
                weights = focus_weights(values.shape[2], values.shape[3], self.focus).to(values)
                parts += _mean_and_deviation(values, weights)
        return (torch.cat(parts, dim=1) - self.center) / self.scale

    @torch.no_grad()
    def fit(self, features: torch.Tensor) -> None:
        """Takes mean and standard deviation from features (images, dim) that were joined without either."""
        self.center.copy_(features.mean(dim=0))
        spread = features.std(dim=0, correction=0)
        # A channel that is always the same tells nothing and must not blow up.
        self.scale.copy_(torch.where(spread > 1e-6 * spread.max(), spread, torch.ones_like(spread)))


def focus_weights(rows: int, columns: int, focus: float) -> torch.Tensor:
    """Returns how much each cell of a map counts in its middle, (rows, columns) with sum 1.

    Args:
        rows: cells of the map from top to bottom.
        columns: cells of the map from left to right.
        focus: standard deviation of a Gaussian around the centre, as a share of the side.
    """
    down, right = (torch.softmax(-(_offsets(cells) ** 2) / (2 * focus**2), 0) for cells in (rows, columns))
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
