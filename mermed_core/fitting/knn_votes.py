"""Votes of nearest neighbours: a classifier that needs no fitting (DINO, arXiv 2104.14294, appendix F)."""

from collections.abc import Sequence

import numpy as np

TEMPERATURE = 0.07


def vote_shares(
    similarities: np.ndarray, positions: np.ndarray, targets: np.ndarray, counts: Sequence[int]
) -> np.ndarray:
    """Returns each class's share of the votes, (counts, queries, classes) in 0..1; 0 where nobody votes.

    A vote weighs exp(cosine similarity / 0.07). A voter of a multi-label set gives its vote to every class
    that it shows, so that shares need not sum to 1.

    Args:
        similarities: (queries, hits) cosines, highest first, as `search.neighbours.nearest` returns them;
            −inf where there is no hit.
        positions: (queries, hits) of the hits among the voters.
        targets: (voters, classes) of 0 and 1.
        counts: how many of the nearest vote; all hits where there are fewer.
    """
    # Relative to the cosine of identical vectors, so that no weight overflows.
    weights = np.exp((similarities.astype(np.float64) - 1) / TEMPERATURE)
    votes = weights[:, :, None] * targets[positions]
    return np.stack([_shares(votes[:, :count], weights[:, :count]) for count in counts])


def _shares(votes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return votes.sum(axis=1) / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
