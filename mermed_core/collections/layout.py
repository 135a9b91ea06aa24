"""UMAP's layout in the plane, computed by all cores and yet the same each time.

UMAP moves points one after another, so that with several threads the result depends on who comes first, and
with a seed it uses one. Here an epoch moves every point by what the others' places were when it began. The
points can then be shared out among any number of threads, and the result depends on the seed alone.

McInnes, Healy, Melville: UMAP (arXiv 1802.03426); steps, rates and the order of samples as in umap-learn.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import curve_fit

MIN_DIST = 0.15
_SEED = 7
_SMOOTHING = 30  # halvings of the interval in which a point's radius lies
_SPAN = 10.0  # half the width of the plane in which the layout starts
_PARTS = 8  # shares of the points a thread


def membership_graph(similarities: np.ndarray, positions: np.ndarray) -> sparse.csr_matrix:
    """Returns UMAP's graph: how strongly each two neighbours belong together, 0..1, symmetric.

    Args:
        similarities: (rows, neighbours) cosine similarities of each row's neighbours, highest first.
        positions: (rows, neighbours) of the neighbours, without the row itself.
    """
    rows, count = positions.shape
    distances = np.maximum(similarities[:, :1] - similarities, 0)  # beyond the nearest one
    wanted = np.log2(count + 1)
    low, high = np.full((rows, 1), 1e-6, np.float32), np.full((rows, 1), 2, np.float32)
    for _ in range(_SMOOTHING):
        radius = np.sqrt(low * high)
        reached = np.exp(-distances / radius).sum(axis=1, keepdims=True) > wanted
        low, high = np.where(reached, low, radius), np.where(reached, radius, high)
    strengths = np.exp(-distances / high).astype(np.float32)
    heads = np.arange(0, rows * count + 1, count)
    directed = sparse.csr_matrix((strengths.ravel(), positions.ravel().astype(np.int32), heads), (rows, rows))
    other = directed.T.tocsr()
    both = (directed + other - directed.multiply(other)).tocsr()
    both.sort_indices()
    return both


def lay_out(graph: sparse.csr_matrix, start: np.ndarray, epochs: int, rate: float = 1.0) -> np.ndarray:
    """Moves points until neighbours lie together and others apart; returns their places (rows, 2) float32.

    Args:
        graph: see `membership_graph`.
        start: (rows, 2), where the points are at first.
        epochs: how often each point moves.
        rate: how far at first; it falls to 0.
    """
    weights = graph.data / graph.data.max(initial=1e-9)
    kept = weights >= 1 / epochs  # others would never be drawn
    counts = np.add.reduceat(np.append(kept, False), graph.indptr[:-1]) * (np.diff(graph.indptr) > 0)
    heads = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    ends, due = graph.indices[kept].astype(np.int32), weights[kept].astype(np.float32)
    before = np.array(start, np.float32, order="C")
    after = before.copy()
    a, b = _curve()
    move = _moves()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cuts = np.linspace(0, len(start), _PARTS * threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        for epoch in range(epochs):
            step = np.float32(rate * (1 - epoch / epochs))
            fixed = (heads, ends, due, before, after, a, b, step, epoch, _SEED)
            waiting = [pool.submit(move, *part, *fixed) for part in pairwise(cuts)]
            for each in waiting:
                each.result()
            before, after = after, before
    return before


def principal_start(vectors: np.ndarray) -> np.ndarray:
    """Returns the vectors' first two principal components (rows, 2) as places to start from."""
    if vectors.shape[1] < 2:
        vectors = np.column_stack([vectors, np.zeros(len(vectors), vectors.dtype)])
    mean = vectors.mean(axis=0)
    covariance = np.cov(vectors, rowvar=False, dtype=np.float64)
    axes = np.linalg.eigh(covariance)[1][:, [-1, -2]]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    places = (vectors - mean) @ axes.astype(np.float32)
    places *= _SPAN / max(float(np.abs(places).max()), 1e-9)
    # Copies would stay on top of each other for ever.
    return places + np.random.default_rng(_SEED).normal(0, 1e-3, places.shape).astype(np.float32)


@cache
def _curve() -> tuple[np.float32, np.float32]:
    """Returns a and b of 1 / (1 + a d^2b), which says how near a distance d in the plane is."""
    distances = np.linspace(0, 3, 300)
    wanted = np.where(distances < MIN_DIST, 1, np.exp(MIN_DIST - distances))
    (a, b), *_ = curve_fit(lambda d, a, b: 1 / (1 + a * d ** (2 * b)), distances, wanted)
    return np.float32(a), np.float32(b)


@cache
def _moves() -> Any:
    """Returns the function that moves some points by one epoch, compiled; it needs no lock of Python's."""
    import numba  # compiles for seconds; only a new map needs it

    mask = np.uint64(0xFFFFFFFF)
    one, four, least = np.float32(1), np.float32(4), np.float32(0.001)
    pushes = 3  # UMAP's two to five, halved: the map is as true to the neighbours in 3/5 of the time

    @numba.njit(nogil=True, fastmath=True)
    def move(
        first: int,
        last: int,
        heads: np.ndarray,
        ends: np.ndarray,
        due: np.ndarray,
        before: np.ndarray,
        after: np.ndarray,
        a: float,
        b: float,
        step: float,
        epoch: int,
        seed: int,
    ) -> None:
        rows = np.uint64(before.shape[0])
        for row in range(first, last):
            x, y = before[row, 0], before[row, 1]
            state = np.uint64(row) * np.uint64(2654435761) + np.uint64(epoch) * np.uint64(2246822519)
            state = (state + np.uint64(seed)) & mask
            state = ((state ^ (state >> np.uint64(15))) * np.uint64(2246822519)) & mask
            state = (state ^ (state >> np.uint64(13))) | np.uint64(1)
            for pair in range(heads[row], heads[row + 1]):
                if int((epoch + 1) * due[pair]) == int(epoch * due[pair]):
                    continue
                end = ends[pair]
                across, up = x - before[end, 0], y - before[end, 1]
                squared = across * across + up * up
                if squared > 0:
                    power = squared**b
                    force = -(one + one) * a * b * power / (squared * (a * power + one))
                    x += step * min(four, max(-four, force * across))
                    y += step * min(four, max(-four, force * up))
                for _ in range(pushes):
                    state = (state ^ (state << np.uint64(13))) & mask
                    state ^= state >> np.uint64(17)
                    state = (state ^ (state << np.uint64(5))) & mask
                    other = np.int64((state * rows) >> np.uint64(32))
                    across, up = x - before[other, 0], y - before[other, 1]
                    squared = across * across + up * up
                    if squared > 0:
                        force = (one + one) * b / ((least + squared) * (a * squared**b + one))
                        x += step * min(four, max(-four, force * across))
                        y += step * min(four, max(-four, force * up))
            after[row, 0], after[row, 1] = x, y

    return move
