"""Nearest neighbours against a plain sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mermed_core.search import neighbours
from mermed_core.search.neighbours import nearest


def unit(count: int, seed: int, dim: int = 5) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(0, 6), st.integers(0, 30), st.integers(0, 40), st.integers(1, 4), st.integers(0, 9))
def test_they_are_those_of_a_plain_sort_without_the_own_group(queries, rows, count, groups, seed):
    generator = np.random.default_rng(seed)
    vectors, gallery = unit(queries, seed), unit(rows, seed + 100)
    own, given_groups = generator.integers(0, groups, queries), generator.integers(0, groups, rows)
    values, positions = nearest(
        vectors, gallery, count, query_groups=own.astype(str), gallery_groups=given_groups.astype(str)
    )
    assert values.shape == positions.shape == (queries, min(count, rows))
    for row in range(queries):
        similarity = gallery @ vectors[row]
        expected = [at for at in np.argsort(-similarity) if given_groups[at] != own[row]][:count]
        missing = min(count, rows) - len(expected)
        assert positions[row].tolist() == expected + [-1] * missing
        np.testing.assert_allclose(values[row, : len(expected)], similarity[expected], atol=1e-5)
        assert (values[row, len(expected) :] == -np.inf).all()


@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 10))
def test_squared_distances_are_those_of_the_plain_difference(queries, rows, count):
    points, centres = 2 * unit(queries, 1), unit(rows, 2)
    values, positions = nearest(points, centres, count, metric="squared_distance")
    plain = ((points[:, None] - centres[None]) ** 2).sum(2)
    np.testing.assert_allclose(values, np.sort(plain, axis=1)[:, :count], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(plain, positions, 1), values, rtol=1e-4, atol=1e-5)


def test_equally_near_rows_come_in_the_gallerys_order():
    gallery = np.repeat(unit(2, 0), 4, axis=0)
    _, positions = nearest(gallery[:1], gallery, 8)
    assert positions[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("results", [1, 7, 10**6])
def test_the_size_of_a_block_changes_nothing(monkeypatch, results):
    queries, gallery = unit(9, 0), unit(20, 1)
    expected = nearest(queries, gallery, 5)[1]
    monkeypatch.setattr(neighbours, "_RESULTS", results)
    np.testing.assert_array_equal(nearest(queries, gallery, 5)[1], expected)
