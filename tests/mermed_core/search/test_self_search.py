"""Neighbours within a set, against a plain product of all with all."""

import numpy as np
import pytest

from mermed_core.search import self_search
from mermed_core.search.self_search import nearest_of_many, nearest_to_each


def vectors_of(count: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    # Real vectors fill few directions of their space.
    found = generator.normal(size=(count, 3)) @ np.random.default_rng(9).normal(size=(3, dim))
    found += 0.05 * generator.normal(size=(count, dim))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def brute(vectors: np.ndarray, count: int) -> np.ndarray:
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -np.inf)
    return np.argsort(-similarities, axis=1)[:, :count]


def test_few_are_compared_exactly():
    vectors = vectors_of(200)
    hits = nearest_to_each(vectors, 5)
    assert hits.exact
    np.testing.assert_array_equal(hits.positions, brute(vectors, 5))
    np.testing.assert_allclose(hits.values, (vectors[:, None] * vectors[hits.positions]).sum(-1), atol=1e-5)


def test_lists_find_nearly_all_and_the_same_each_time(monkeypatch):
    monkeypatch.setattr(self_search, "EXACT", 100)
    vectors = vectors_of(3000)
    hits = nearest_to_each(vectors, 10)
    assert not hits.exact
    wanted = brute(vectors, 10)
    found = (
        np.mean([len(set(row) & set(right)) for row, right in zip(hits.positions, wanted, strict=True)]) / 10
    )
    assert found > 0.95
    assert (hits.positions != np.arange(3000)[:, None]).all()
    assert (np.diff(hits.values, axis=1) <= 0).all()
    np.testing.assert_array_equal(hits.positions, nearest_to_each(vectors, 10).positions)


def test_other_vectors_are_found_by_lists_too(monkeypatch):
    monkeypatch.setattr(self_search, "EXACT", 100)
    queries, vectors = vectors_of(500, seed=1), vectors_of(2000)
    values, positions, exact = nearest_of_many(queries, vectors, 4)
    assert not exact
    np.testing.assert_allclose(values, (queries[:, None] * vectors[positions]).sum(-1), atol=1e-5)
    best = (queries @ vectors.T).max(axis=1)
    assert np.mean(values[:, 0] > best - 1e-5) > 0.95


@pytest.mark.parametrize(("rows", "hits"), [(0, 0), (1, 0), (3, 2)])
def test_fewer_come_where_there_are_fewer(rows, hits):
    assert nearest_to_each(vectors_of(rows), 5).positions.shape == (rows, hits)


def test_copies_do_not_hide_who_is_who():
    vectors = np.repeat(vectors_of(2), 20, axis=0)
    positions = nearest_to_each(vectors, 6).positions
    assert (positions != np.arange(40)[:, None]).all()
    assert (positions // 20 == (np.arange(40) // 20)[:, None]).all()


@pytest.mark.parametrize("exact_up_to", [100, 3000])
def test_progress_is_told_until_every_vector_is_counted_and_what_it_raises_ends_the_search(exact_up_to):
    vectors, told = vectors_of(3000), []
    hits = nearest_to_each(vectors, 2, exact_up_to=exact_up_to, done=told.append)
    assert hits.exact == (exact_up_to == 3000)
    assert sum(told) == 3000
    assert min(told) > 0

    def stop(_: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        nearest_to_each(vectors, 2, exact_up_to=exact_up_to, done=stop)
