"""The map against scikit-learn's trustworthiness, planted clusters and itself."""

import os

import numpy as np
import pytest
import torch
from sklearn.manifold import trustworthiness

from mermed_core.collections.projection import NEIGHBOURS, compute_map, fill_frame, place, place_each
from mermed_core.records import MapPoint
from mermed_core.search.self_search import nearest_to_each


def clusters(sizes: tuple[int, ...], seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    member = np.repeat(np.arange(len(sizes)), sizes)
    vectors = np.eye(8)[member] + 0.1 * generator.normal(size=(len(member), 8))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def map_of(vectors: np.ndarray, **options: int) -> np.ndarray:
    return compute_map(vectors, nearest_to_each(vectors, NEIGHBOURS), **options)


def test_clusters_stay_apart_and_the_map_is_repeatable():
    vectors = clusters((25, 25, 25))
    threads = torch.get_num_threads()
    first = map_of(vectors)
    assert torch.get_num_threads() == threads
    centres = first.reshape(3, 25, 2).mean(axis=1)
    spread = np.linalg.norm(first.reshape(3, 25, 2) - centres[:, None], axis=2).mean()
    between = np.linalg.norm(centres[:, None] - centres[None], axis=2)[np.triu_indices(3, 1)].min()
    assert between > 2 * spread
    np.testing.assert_array_equal(first, map_of(vectors))


def test_the_map_does_not_depend_on_the_number_of_threads(monkeypatch):
    vectors = clusters((30, 30))
    maps = []
    for threads in (1, 3):
        monkeypatch.setattr(
            os, "sched_getaffinity", lambda _, count=threads: set(range(count)), raising=False
        )
        maps.append(map_of(vectors))
    np.testing.assert_array_equal(*maps)


@pytest.mark.parametrize("landmarks", [10_000, 150])
def test_neighbours_on_the_map_are_neighbours_also_where_most_cases_are_placed_among_landmarks(landmarks):
    vectors = clusters((100,) * 6)
    coordinates = map_of(vectors, landmarks=landmarks)
    # Within a cluster the eight dimensions are noise, which no plane holds: it is the clusters that count.
    assert trustworthiness(vectors, coordinates, n_neighbors=15, metric="cosine") > 0.93


@pytest.mark.parametrize("count", [1, 2, 3, 4, 16, 17])
def test_few_cases_get_a_map_too(count):
    coordinates = map_of(clusters((count,)))
    assert coordinates.shape == (count, 2)
    assert np.isfinite(coordinates).all()


def test_exact_duplicates_do_no_harm():
    assert np.isfinite(map_of(np.repeat(clusters((10,)), 3, axis=0))).all()
    assert np.isfinite(map_of(np.repeat(clusters((1,)), 40, axis=0))).all()


def test_outliers_do_not_shrink_the_rest_and_keep_their_order():
    generator = np.random.default_rng(2)
    inner = generator.uniform(-1, 1, (2000, 2)) * (3, 1)
    outliers = np.array([[50.0, 0.0], [200.0, 0.0]])
    framed = fill_frame(np.concatenate([inner, outliers]))
    extent = np.ptp(framed, axis=0)
    assert np.ptp(framed[:2000], axis=0)[0] / extent[0] > 0.85
    far = np.abs(framed[2000:, 0])
    assert far[1] > far[0] > np.abs(framed[:2000, 0]).max() - 0.1
    core = (np.abs(inner) < (2.5, 0.8)).all(axis=1)
    distances = np.linalg.norm(inner[core][1:] - inner[core][:-1], axis=1)
    kept = np.linalg.norm(framed[:2000][core][1:] - framed[:2000][core][:-1], axis=1)
    np.testing.assert_allclose(kept, distances, rtol=1e-4)


def test_the_longer_side_lies_across():
    tall = np.random.default_rng(0).normal(size=(500, 2)) * (1, 5)
    across, up = np.ptp(fill_frame(tall), axis=0)
    assert across > 2 * up


def test_an_image_falls_on_its_twin_and_between_equal_neighbours():
    coordinates = np.array([[0.0, 0.0], [2.0, 4.0]])
    twin = place(np.array([1.0, 0.2]), coordinates)
    assert (twin.x, twin.y) == pytest.approx((0, 0), abs=1e-6)
    assert place(np.array([0.7, 0.7]), coordinates) == MapPoint(1.0, 2.0)
    assert place(np.array([0.7, 0.68]), coordinates).x == pytest.approx(2 / 3)


def test_many_are_placed_as_each_alone():
    generator = np.random.default_rng(4)
    similarities, coordinates = (
        np.sort(generator.uniform(size=(5, 3)))[:, ::-1],
        generator.normal(size=(5, 3, 2)),
    )
    each = [place(*pair) for pair in zip(similarities, coordinates, strict=True)]
    np.testing.assert_allclose(place_each(similarities, coordinates), [(at.x, at.y) for at in each])
