"""Features of several stages joined: what the last stage has thrown away still counts in the embedding."""

import torch
from torch import nn
from torch.nn import functional

# Keeps the gradient of a standard deviation finite where a map is the same everywhere.
_LEAST_VARIANCE = 1e-8


def focus_weights(rows: int, columns: int, focus: float) -> torch.Tensor:
    """Returns how much each cell of a map counts when it is pooled, (rows, columns) with mean 1.

    What matters is mostly in the middle of a medical image, and its border is skin, frame or nothing.

    Args:
        rows: cells of the map from top to bottom.
        columns: cells of the map from left to right.
        focus: standard deviation of a Gaussian around the middle, as a share of the side.
    """
    falls = []
    for cells in (rows, columns):
        offsets = (torch.arange(cells) + 0.5) / cells - 0.5
        falls.append(torch.exp(-(offsets**2) / (2 * focus**2)))
    weights = falls[0].unsqueeze(1) * falls[1]
    return weights / weights.mean()


class StageJoin(nn.Module):
    """Joins the pooled features with mean and standard deviation of each channel of some stages.

    Every number is then standardised by `center` and `scale`, which are found on training images without
    their labels (`fit`), so that no stage outweighs another.

    Args:
        dim: length of the joined features.
        focus: see `focus_weights`; 0 counts every cell alike.
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
            mean = self._pool(values)
            parts.append(mean)
            parts.append((self._pool((values - mean[..., None, None]) ** 2) + _LEAST_VARIANCE).sqrt())
        return (torch.cat(parts, dim=1) - self.center) / self.scale

    def focused(self, values: torch.Tensor, *, channels_last: bool = False) -> torch.Tensor:
        """Returns a map whose plain mean is the focused one.

        Args:
            values: (batch, channels, rows, columns).
            channels_last: they are (batch, rows, columns, channels).
        """
        if not self.focus:
            return values
        rows, columns = values.shape[1:3] if channels_last else values.shape[2:]
        weights = focus_weights(rows, columns, self.focus).to(values)
        return values * (weights.unsqueeze(-1) if channels_last else weights)

    def _pool(self, values: torch.Tensor) -> torch.Tensor:
        return self.focused(values).mean((2, 3))

    @torch.no_grad()
    def fit(self, features: torch.Tensor) -> None:
        """Takes mean and standard deviation from features (images, dim) that were joined without either."""
        self.center.copy_(features.mean(dim=0))
        spread = features.std(dim=0, correction=0)
        # A channel that is always the same tells nothing and must not blow up.
        self.scale.copy_(torch.where(spread > 1e-6 * spread.max(), spread, torch.ones_like(spread)))
