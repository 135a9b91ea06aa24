"""Exact comparison against a plain sort, whichever way it goes."""

import numpy as np
import pytest

from mermed_core.search import scan
from mermed_core.search.engine import Metric
from mermed_core.search.scan import Scan

ROWS, DIM, COUNT = 300, 8, 7


def plain(queries: np.ndarray, vectors: np.ndarray, metric: Metric) -> np.ndarray:
    """Returns what is compared (queries, rows), the nearest lowest."""
    return -queries @ vectors.T if metric == "cosine" else ((queries[:, None] - vectors) ** 2).sum(2)


@pytest.mark.parametrize("metric", ["cosine", "squared_distance"])
@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
@pytest.mark.parametrize("queries", [1, 20])
def test_the_nearest_are_those_of_a_plain_sort(monkeypatch, metric, share, queries):
    monkeypatch.setattr(scan, "_ROWS", 64)
    monkeypatch.setattr(scan, "_QUERIES", 9)
    generator = np.random.default_rng(3)
    vectors, asked = (generator.normal(size=(n, DIM)).astype(np.float32) for n in (ROWS, queries))
    allowed = generator.random(ROWS) < share
    far = plain(asked, vectors, metric)
    far[:, ~allowed] = np.inf
    expected = np.argsort(far, axis=1)[:, :COUNT]
    scanned = Scan(vectors, metric)
    found = [scanned.nearest_among(asked, COUNT, allowed)]
    if share == 1:
        found.append(scanned.nearest(asked, COUNT))
    for values, positions in found:
        np.testing.assert_array_equal(positions, expected)
        sign = -1 if metric == "cosine" else 1
        np.testing.assert_allclose(sign * values, np.take_along_axis(far, expected, 1), rtol=1e-4)


@pytest.mark.parametrize(("metric", "worst"), [("cosine", -np.inf), ("squared_distance", np.inf)])
def test_no_row_is_the_worst(metric, worst):
    vectors = np.eye(4, dtype=np.float32)
    values = Scan(vectors, metric).values_at(vectors[:1], np.array([[0, -1]]))
    assert values[0, 1] == worst
    assert values[0, 0] == (1 if metric == "cosine" else 0)


@pytest.mark.parametrize("metric", ["cosine", "squared_distance"])
def test_the_best_of_named_rows_are_found_for_each_query(metric):
    generator = np.random.default_rng(5)
    vectors, queries = generator.normal(size=(50, 8)), generator.normal(size=(3, 8))
    vectors, queries = vectors.astype(np.float32), queries.astype(np.float32)
    named = np.stack([generator.permutation(50)[:12] for _ in queries])
    named[1, 4:] = -1  # fewer than are wanted
    values, positions = Scan(vectors, metric).best_at(queries, named, 6)
    for row, query in enumerate(queries):
        rows = named[row][named[row] >= 0]
        far = -(vectors[rows] @ query) if metric == "cosine" else ((vectors[rows] - query) ** 2).sum(axis=1)
        expected = rows[np.argsort(far)][:6]
        assert positions[row, : len(expected)].tolist() == expected.tolist()
        found = np.sort(far)[: len(expected)]
        np.testing.assert_allclose(
            values[row, : len(expected)], -found if metric == "cosine" else found, rtol=1e-4
        )
        assert (positions[row, len(expected) :] == -1).all()
