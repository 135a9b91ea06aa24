"""The two-dimensional map of a collection: UMAP on neighbours that the search engine found, kept as numbers.

A new image is placed among the coordinates of its neighbours, so that serving needs neither UMAP nor numba
and the place of one image does not depend on which others come with it.
"""

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from mermed_core.records import MapPoint
from mermed_core.search.engine import SearchEngine

SEED = 7
NEIGHBOURS = 15
MIN_DIST = 0.15


def compute_map(vectors: np.ndarray, engine: SearchEngine) -> np.ndarray:
    """Computes the map of unit vectors (cases, dim) as float32 coordinates (cases, 2).

    Deterministic on one machine; another may give another map, so it is the coordinates that are kept.
    """
    if len(vectors) <= 3:  # too few for a neighbour graph: a line
        return np.column_stack([np.arange(len(vectors)), np.zeros(len(vectors))]).astype(np.float32)
    from umap import UMAP  # importing it compiles for ten seconds; only a new map needs it

    neighbours = min(NEIGHBOURS, len(vectors) - 1)
    similarities, positions = engine.search(vectors, neighbours)
    distances = np.maximum(1 - similarities, 0)
    # UMAP expects every case to come first among its own neighbours, also where it has exact duplicates.
    _put_self_first(positions, distances)
    reducer = UMAP(
        n_neighbors=neighbours,
        min_dist=MIN_DIST,
        metric="cosine",
        init="spectral" if len(vectors) > neighbours + 1 else "random",
        random_state=SEED,
        n_jobs=1,
        precomputed_knn=(positions.astype(np.int32), distances.astype(np.float32), None),
    )
    # UMAP's compiled code changes the number of threads of everything else that uses OpenMP, such as torch.
    with threadpool_limits(), warnings.catch_warnings():
        # UMAP warns that it could not place new images; `place` does that.
        warnings.filterwarnings("ignore", message="precomputed_knn", category=UserWarning)
        return np.asarray(reducer.fit_transform(vectors), dtype=np.float32)


def place(similarities: np.ndarray, coordinates: np.ndarray) -> MapPoint:
    """Places an image at the weighted mean of its neighbours' coordinates, the nearest counting most.

    Args:
        similarities: (neighbours,) cosine similarities, highest first.
        coordinates: (neighbours, 2) of the same neighbours.
    """
    # Half the weight is lost with every 0.02 of cosine behind the nearest neighbour.
    weights = np.exp2(-(similarities[0] - similarities) / 0.02)
    x, y = (weights[:, None] * coordinates).sum(axis=0) / weights.sum()
    return MapPoint(float(x), float(y))


def _put_self_first(positions: np.ndarray, distances: np.ndarray) -> None:
    for row in range(len(positions)):
        if positions[row, 0] != row:
            itself = np.flatnonzero(positions[row] == row)
            last = itself[0] if len(itself) else positions.shape[1] - 1
            positions[row, 1 : last + 1] = positions[row, :last]
            distances[row, 1 : last + 1] = distances[row, :last]
            positions[row, 0], distances[row, 0] = row, 0.0
