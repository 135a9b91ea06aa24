"""Clusters of a collection at several levels: Leiden on the graph of nearest neighbours.

The finest level is found first. Each coarser one puts clusters of the finer together, so that levels nest
and cost nothing more. Every case is in a cluster at each level; there is no noise.

Traag, Waltman, van Eck: From Louvain to Leiden (doi 10.1038/s41598-019-41695-z).
"""

from collections.abc import Iterable

import numpy as np
from scipy import sparse

RESOLUTIONS = (5.0, 0.5, 0.05)  # from fine to coarse
CLUSTERS = "clusters_"  # the columns of the map that hold them are called clusters_1 (the coarsest) and so on
_SEED = 7


def cluster_columns(positions: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the clusters of `find_clusters` as columns of the map."""
    levels = find_clusters(positions)
    return {f"{CLUSTERS}{level}": member for level, member in enumerate(levels, start=1)}


def cluster_levels(columns: Iterable[str]) -> list[str]:
    """Returns the names of those columns of a map that hold clusters, from coarse to fine."""
    return sorted(name for name in columns if name.startswith(CLUSTERS))


def find_clusters(positions: np.ndarray) -> list[np.ndarray]:
    """Returns the cluster of each case (cases,) int16 at each level, from coarse to fine.

    Clusters are numbered by size, the largest is 0. Of levels with the same clusters only one is returned,
    and none that puts all cases together where another tells some apart.
    Deterministic on one machine.

    Args:
        positions: (cases, neighbours) of the cases nearest to each.
    """
    from sknetwork.clustering import Leiden  # only a new map needs it

    cases, count = positions.shape
    levels: list[np.ndarray] = []
    if not count:
        return [np.zeros(cases, np.int16)]
    heads = np.arange(0, cases * count + 1, count)
    found = sparse.csr_matrix((np.ones(cases * count, np.float32), positions.ravel(), heads), (cases, cases))
    graph = found.maximum(found.T).tocsr()
    member = np.arange(cases)
    for resolution in RESOLUTIONS:
        together = np.asarray(Leiden(resolution=resolution, random_state=_SEED).fit_predict(graph))
        member = together[member]
        if not levels or 0 < member.max() < levels[0].max():
            levels.insert(0, _by_size(member))
        belongs = sparse.csr_matrix((np.ones(len(together)), (np.arange(len(together)), together)))
        graph = (belongs.T @ graph @ belongs).tocsr()
    return levels


def _by_size(member: np.ndarray) -> np.ndarray:
    order = np.argsort(-np.bincount(member), kind="stable")
    rank = np.empty(len(order), np.int16)
    rank[order] = np.arange(len(order))
    return rank[member]
