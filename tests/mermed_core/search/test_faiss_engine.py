import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mermed_core.search.faiss_engine import FaissEngine, describe_device


def unit(count: int, dim: int = 6, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5))
def test_hits_are_those_of_brute_force(size, count, seed):
    vectors, queries = unit(size, seed=seed), unit(3, seed=seed + 100)
    similarities, positions = FaissEngine.build(vectors).search(queries, count)
    cosine = queries @ vectors.T
    expected = np.argsort(-cosine, axis=1)[:, : min(count, size)]
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_allclose(similarities, np.take_along_axis(cosine, expected, 1), rtol=1e-5, atol=1e-6)


@given(st.sets(st.integers(0, 29)), st.integers(1, 40))
def test_a_filter_is_exact_and_never_pads(allowed, count):
    vectors, query = unit(30), unit(1, seed=9)
    mask = np.isin(np.arange(30), sorted(allowed))
    similarities, positions = FaissEngine.build(vectors).search(query, count, mask)
    cosine = (query @ vectors.T)[0]
    expected = sorted(allowed, key=lambda position: -cosine[position])[:count]
    assert list(positions[0]) == expected
    assert similarities.shape == positions.shape == (1, len(expected))


@pytest.mark.parametrize(("count", "words"), [(0, "cpu"), (1, "1 GPU"), (2, "2 GPUs")])
def test_it_says_where_it_searches(monkeypatch, count, words):
    monkeypatch.setattr("mermed_core.search.faiss_engine.faiss.get_num_gpus", lambda: count, raising=False)
    assert describe_device() == words


def test_squared_distances_are_those_of_brute_force():
    vectors, queries = unit(30) * 3, unit(4, seed=5)
    distances, positions = FaissEngine.build(vectors, "squared_distance").search(queries, 7)
    plain = ((queries[:, None] - vectors[None]) ** 2).sum(2)
    np.testing.assert_array_equal(positions, np.argsort(plain, axis=1)[:, :7])
    np.testing.assert_allclose(distances, np.sort(plain, axis=1)[:, :7], rtol=1e-4)


def test_a_gpu_that_cannot_be_used_is_logged_and_the_cpu_takes_over(monkeypatch, caplog):
    def refuse(index):
        raise RuntimeError("Error in GPU code:\nno kernel image is available")

    monkeypatch.setattr("mermed_core.search.faiss_engine._gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", refuse, raising=False)
    vectors = unit(10)
    assert FaissEngine.build(vectors).search(vectors, 1).positions[:, 0].tolist() == list(range(10))
    assert "no kernel image is available" in caplog.text


@pytest.mark.parametrize("count", [3, 3000])
def test_a_gpu_searches_within_its_limit_and_the_cpu_beyond(monkeypatch, count):
    on_gpu = []

    class Copied:
        def __init__(self, index):
            self.index = index

        def search(self, queries, hits):
            on_gpu.append(hits)
            return self.index.search(queries, hits)

    monkeypatch.setattr("mermed_core.search.faiss_engine._gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", Copied, raising=False)
    vectors = unit(3100)
    _, positions = FaissEngine.build(vectors).search(vectors[:1], count)
    assert positions.shape == (1, count)
    assert on_gpu == ([count] if count < 2048 else [])
    FaissEngine.build(vectors, on_gpu=False).search(vectors[:1], 3)
    assert len(on_gpu) <= 1
