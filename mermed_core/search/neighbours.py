"""Nearest neighbours among plain arrays, for whatever has no collection: probes, monitors, detectors."""

import numpy as np

from mermed_core.search.engine import Metric
from mermed_core.search.faiss_engine import FaissEngine

# Results held at once: bounds the memory to some 100 MB.
_RESULTS = 4_000_000
# Comparisons below which copying the gallery to a GPU takes longer than the search.
_WORTH_A_GPU = 100_000_000


def nearest(
    queries: np.ndarray,
    gallery: np.ndarray,
    count: int,
    *,
    metric: Metric = "cosine",
    query_groups: np.ndarray | None = None,
    gallery_groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest rows of a gallery for each query, exactly; equally near ones in the gallery's order.

    Args:
        queries: (queries, dim); unit vectors where the metric is cosine.
        gallery: (rows, dim), likewise.
        count: how many; all where there are fewer.
        metric: "cosine", or "squared_distance" (Euclidean).
        query_groups: (queries,) such as patients; given together with `gallery_groups`, a query never finds
            a row of its own group.
        gallery_groups: (rows,).

    Returns:
        Similarities (queries, hits), highest first, or squared distances, lowest first; and positions
        (queries, hits) in the gallery. Where other groups have too few rows, the rest of a row is −inf (inf
        for a distance) at position −1.
    """
    hits = min(count, len(gallery))
    if hits <= 0 or len(queries) == 0:
        return np.empty((len(queries), max(hits, 0)), np.float32), np.empty((len(queries), max(hits, 0)), int)
    on_gpu = len(queries) * len(gallery) >= _WORTH_A_GPU
    engine = FaissEngine.build(gallery, metric, on_gpu=on_gpu)
    if query_groups is None or gallery_groups is None:
        own, others = np.zeros(len(queries), int), np.ones(len(gallery), int)  # no query has a row's group
        wanted = hits
    else:
        names = np.concatenate([np.asarray(query_groups, object), np.asarray(gallery_groups, object)])
        _, codes = np.unique(names.astype(str), return_inverse=True)
        own, others = codes[: len(queries)], codes[len(queries) :]
        wanted = min(len(gallery), hits + int(np.bincount(others, minlength=len(codes))[own].max()))
    blocks = [
        _search(engine, queries[rows], wanted, own[rows], others, metric)
        for rows in np.array_split(np.arange(len(queries)), -(-len(queries) * wanted // _RESULTS))
    ]
    return (
        np.concatenate([values for values, _ in blocks])[:, :hits],
        np.concatenate([positions for _, positions in blocks])[:, :hits],
    )


def _search(
    engine: FaissEngine,
    queries: np.ndarray,
    count: int,
    query_groups: np.ndarray,
    gallery_groups: np.ndarray,
    metric: Metric,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns values and positions (queries, count), what is of the query's own group at the end."""
    values, positions = engine.search(queries, count)
    own = gallery_groups[positions] == query_groups[:, None]
    values = np.where(own, np.float32(np.inf if metric == "squared_distance" else -np.inf), values)
    positions = np.where(own, -1, positions)
    rising = values if metric == "squared_distance" else -values
    order = np.lexsort((positions, rising), axis=-1)
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(positions, order, axis=1)
