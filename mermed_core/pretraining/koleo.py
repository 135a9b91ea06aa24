"""The KoLeo regulariser spreads the embeddings of a batch (arXiv 1806.03198, 2304.07193)."""

from collections.abc import Callable

import torch
from torch.nn import functional

# Two equal embeddings have no direction in which to part; this keeps their logarithm finite.
_LEAST = 1e-8


def koleo(
    embeddings: torch.Tensor, gather: Callable[[torch.Tensor], torch.Tensor] | None = None, rank: int = 0
) -> torch.Tensor:
    """Returns the mean of −log of each embedding's distance to its nearest neighbour in the same view.

    Always in single precision at least: the distance of neighbours is lost in half precision.

    Args:
        embeddings: (views, batch, dim) of this rank, of any length above 0; two images at least in all.
        gather: joins the ranks' (batch, dim) along the batch, with gradients; None where there is one rank.
        rank: which of the joined parts is this rank's.

    Returns:
        A scalar over this rank's embeddings; the mean over the ranks is that of the whole batch.
    """
    wide = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
    return torch.stack([_one_view(view, gather, rank) for view in functional.normalize(wide, dim=-1)]).mean()


def _one_view(
    own: torch.Tensor, gather: Callable[[torch.Tensor], torch.Tensor] | None, rank: int
) -> torch.Tensor:
    everyone = gather(own) if gather else own
    rows = torch.arange(len(own), device=own.device)
    with torch.no_grad():
        similarity = own @ everyone.T
        similarity[rows, rows + rank * len(own)] = -2
        nearest = similarity.argmax(dim=1)
    distance = functional.pairwise_distance(own, everyone[nearest], eps=_LEAST)
    return -torch.log(distance + _LEAST).mean()
