"""Weights that let every source speak, and the principal axes of embeddings under such weights."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.extmath import randomized_svd

from mermed_core.models.retrieval_space import RetrievalSpace

# Numbers of a retrieval vector at most, and how strongly the long axes are shortened: each by its standard
# deviation to this power, where 1 would be full whitening.
RETRIEVAL_DIM = 256
_WHITENING = 0.5


@dataclass(frozen=True)
class PrincipalAxes:
    """The axes along which embeddings vary most.

    Attributes:
        mean: (width,) weighted mean.
        basis: (rank, width) orthonormal rows, the longest axis first.
        deviations: (rank,) weighted standard deviation along each.
    """

    mean: np.ndarray
    basis: np.ndarray
    deviations: np.ndarray


def balanced_weights(*levels: np.ndarray) -> np.ndarray:
    """Returns weights (images,) with mean 1 that let every group of the first level count alike.

    Args:
        levels: (images,) each, from the widest to the narrowest, such as modality and source. Within a group
            of one level, those of the next count by the square root of their number of images.
    """
    images = len(levels[0])
    weights = np.ones(images)
    within = np.zeros(images, np.int64)
    for depth, names in enumerate(levels):
        _, codes = np.unique(
            np.column_stack([within.astype(str), names.astype(str)]), axis=0, return_inverse=True
        )
        codes = codes.reshape(-1)
        counts = np.bincount(codes)
        wanted = np.ones(len(counts)) if depth == 0 else np.sqrt(counts)
        parent = np.zeros(len(counts), np.int64)
        parent[codes] = within
        shares = wanted / np.bincount(parent, wanted)[parent]
        weights *= shares[codes]
        within = codes
    weights /= np.bincount(within)[within]
    return weights * images / weights.sum()


def principal_axes(vectors: np.ndarray, weights: np.ndarray, rank: int) -> PrincipalAxes:
    """Returns the first principal axes of vectors (images, width) under weights (images,).

    There are at most one fewer than images and no more than numbers in a vector.
    """
    shares = weights / weights.sum()
    mean = shares @ vectors
    rank = max(1, min(rank, len(vectors) - 1, vectors.shape[1]))
    centred = (vectors - mean) * np.sqrt(shares)[:, None]
    _, deviations, basis = randomized_svd(centred, rank, n_iter=3, random_state=0)  # pyright: ignore[reportArgumentType]
    return PrincipalAxes(
        mean.astype(np.float32), basis.astype(np.float32), np.maximum(deviations, 1e-9).astype(np.float32)
    )


def fit_retrieval_space(
    vectors: np.ndarray, weights: np.ndarray | None = None, rank: int = RETRIEVAL_DIM
) -> RetrievalSpace:
    """Fits the space in which images are compared, without labels.

    Args:
        vectors: (images, width) unit vectors of many sources.
        weights: (images,) of the images; None for all alike.
        rank: numbers of a retrieval vector at most.
    """
    axes = principal_axes(vectors, np.ones(len(vectors)) if weights is None else weights, rank)
    basis = axes.basis / (axes.deviations[:, None] / axes.deviations[0]) ** _WHITENING
    # As it will be stored, so that it gives the same vectors before and after.
    return RetrievalSpace(axes.mean, basis.astype(np.float16).astype(np.float32))
