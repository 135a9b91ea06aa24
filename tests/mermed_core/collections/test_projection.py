import numpy as np
import pytest
import torch

from mermed_core.collections.projection import compute_map, place
from mermed_core.records import MapPoint
from mermed_core.search.faiss_engine import FaissEngine


def clusters(sizes: tuple[int, ...], seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    member = np.repeat(np.arange(len(sizes)), sizes)
    vectors = np.eye(8)[member] + 0.1 * generator.normal(size=(len(member), 8))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_clusters_stay_apart_and_the_map_is_repeatable():
    vectors = clusters((25, 25, 25))
    engine = FaissEngine.build(vectors)
    threads = torch.get_num_threads()
    first = compute_map(vectors, engine)
    assert torch.get_num_threads() == threads
    centres = first.reshape(3, 25, 2).mean(axis=1)
    spread = np.linalg.norm(first.reshape(3, 25, 2) - centres[:, None], axis=2).mean()
    between = np.linalg.norm(centres[:, None] - centres[None], axis=2)[np.triu_indices(3, 1)].min()
    assert between > 2 * spread
    np.testing.assert_array_equal(first, compute_map(vectors, engine))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 16, 17])
def test_few_cases_get_a_map_too(count):
    vectors = clusters((count,))
    coordinates = compute_map(vectors, FaissEngine.build(vectors))
    assert coordinates.shape == (count, 2)
    assert np.isfinite(coordinates).all()


def test_exact_duplicates_do_no_harm():
    vectors = np.repeat(clusters((10,)), 3, axis=0)
    assert np.isfinite(compute_map(vectors, FaissEngine.build(vectors))).all()


def test_an_image_falls_on_its_twin_and_between_equal_neighbours():
    coordinates = np.array([[0.0, 0.0], [2.0, 4.0]])
    twin = place(np.array([1.0, 0.2]), coordinates)
    assert (twin.x, twin.y) == pytest.approx((0, 0), abs=1e-6)
    assert place(np.array([0.7, 0.7]), coordinates) == MapPoint(1.0, 2.0)
    assert place(np.array([0.7, 0.68]), coordinates).x == pytest.approx(2 / 3)
