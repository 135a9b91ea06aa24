"""The layout against umap-learn's own graph and curve."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from scipy import sparse

from mermed_core.collections.layout import MIN_DIST, _curve, lay_out, membership_graph, principal_start
from mermed_core.search.self_search import nearest_to_each


def vectors_of(count: int, dim: int = 6) -> np.ndarray:
    found = np.random.default_rng(1).normal(size=(count, dim))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_curve_and_graph_are_those_of_umap_learn():
    from umap.umap_ import find_ab_params, fuzzy_simplicial_set

    np.testing.assert_allclose(_curve(), find_ab_params(1.0, MIN_DIST), rtol=1e-4)
    vectors = vectors_of(80)
    near = nearest_to_each(vectors, 14)
    # umap-learn counts each point as its own first neighbour.
    positions = np.column_stack([np.arange(80), near.positions])
    distances = np.column_stack([np.zeros(80), 1 - near.values]).astype(np.float32)
    given: Any = {"knn_indices": positions, "knn_dists": distances}
    # In a thread of its own: numba's threads change on how many cores this one computes from then on.
    with ThreadPoolExecutor(1) as thread:
        graph = thread.submit(fuzzy_simplicial_set, vectors, 15, np.random.RandomState(0), "cosine", **given)
        reference: Any = graph.result()[0]
    own = membership_graph(near.values, near.positions)
    np.testing.assert_allclose(own.toarray(), reference.toarray(), atol=1e-3)


def test_neighbours_are_pulled_together_and_strangers_apart():
    pairs = sparse.csr_matrix(np.kron(np.eye(3), [[0.0, 1.0], [1.0, 0.0]]))
    start = np.random.default_rng(0).normal(size=(6, 2))
    places = lay_out(pairs, start, 300)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    for row in range(6):
        assert np.argsort(distances[row])[1] == (row ^ 1)


def test_a_point_without_neighbours_stays():
    start = np.arange(6, dtype=np.float32).reshape(3, 2)
    graph = sparse.csr_matrix(np.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(lay_out(graph, start, 5)[2], start[2])


def test_the_start_is_the_principal_plane():
    vectors = vectors_of(60)
    centred = vectors - vectors.mean(axis=0)
    axes = np.linalg.svd(centred)[2][:2]
    wanted = np.abs(centred @ axes.T)
    places = np.abs(principal_start(vectors))
    np.testing.assert_allclose(places / places.max(), wanted / wanted.max(), atol=2e-3)
