"""Eight bits a number keep the neighbours."""

import numpy as np
import pytest

from mermed_core.collections.quantised import QuantisedVectors
from mermed_core.errors import CollectionError


@pytest.fixture
def vectors() -> np.ndarray:
    """Unit vectors around forty centres."""
    generator = np.random.default_rng(0)
    made = generator.normal(size=(40, 64)).repeat(25, axis=0) + generator.normal(size=(1000, 64))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def nearest(queries: np.ndarray, vectors: np.ndarray) -> list[set[int]]:
    return [set(row) for row in np.argsort(-(queries @ vectors.T), axis=1)[:, 1:11].tolist()]


def test_the_neighbours_stay_and_the_norm_is_one(vectors):
    decoded = QuantisedVectors.encode(vectors).decode()
    np.testing.assert_allclose(np.linalg.norm(decoded, axis=1), 1, atol=1e-6)
    spread = vectors.max(axis=0) - vectors.min(axis=0)
    assert (np.abs(decoded - vectors) <= spread / 255).all()
    pairs = zip(nearest(vectors, vectors), nearest(vectors, decoded), strict=True)
    assert np.mean([len(before & after) / 10 for before, after in pairs]) > 0.98


def test_what_never_changes_stays_as_it_is():
    one = np.array([[0.6, 0.8]], np.float32)
    np.testing.assert_allclose(QuantisedVectors.encode(one).decode(), one)
    same = np.repeat(one, 3, axis=0)
    np.testing.assert_allclose(QuantisedVectors.encode(same).decode(), same)


def test_a_file_comes_back_and_the_same_vectors_give_the_same_file(vectors, tmp_path):
    stored = QuantisedVectors.encode(vectors)
    for name in ("a.npz", "b.npz"):
        stored.save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    np.testing.assert_array_equal(QuantisedVectors.load(tmp_path / "a.npz").decode(), stored.decode())


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"codes": np.zeros((2, 3), np.uint8), "lowest": np.zeros(3), "step": np.zeros(2)},
        {"codes": np.zeros((2, 3), np.int16), "lowest": np.zeros(3), "step": np.zeros(3)},
        {"codes": np.zeros(3, np.uint8), "lowest": np.zeros(3), "step": np.zeros(3)},
        {"codes": np.array([None]), "lowest": np.zeros(3), "step": np.zeros(3)},
    ],
)
def test_a_file_of_something_else_is_refused(arrays, tmp_path):
    np.savez(tmp_path / "vectors.npz", **arrays)
    with pytest.raises(CollectionError, match="build the collection again"):
        QuantisedVectors.load(tmp_path / "vectors.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all"])
def test_a_file_that_is_none_is_refused(content, tmp_path):
    (tmp_path / "vectors.npz").write_bytes(content)
    with pytest.raises(CollectionError, match="damaged"):
        QuantisedVectors.load(tmp_path / "vectors.npz")
