"""Eight bits a number keep the neighbours."""

import numpy as np
import pytest

from mermed_core.search import code_scan
from mermed_core.search.faiss_engine import FaissEngine
from mermed_core.search.quantised import Part, QuantisedVectors, StoredVectors


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


def test_joined_with_what_lies_within_their_range_codes_stay_what_they_were(vectors):
    first, second = QuantisedVectors.encode(vectors), QuantisedVectors.encode(vectors[:200] / 2)
    both = QuantisedVectors.joined([first, second])
    np.testing.assert_array_equal(both.codes[: len(first)], first.codes)
    np.testing.assert_allclose(both.decode()[: len(first)], first.decode(), atol=1e-6)
    np.testing.assert_allclose(both.decode()[len(first) :], vectors[:200], atol=0.01)


def test_joined_again_and_again_vectors_move_little_further_than_once(vectors):
    """As a collection's are that grows day by day."""
    joined = once = QuantisedVectors.encode(vectors[:600])
    for first in range(600, 1000, 10):
        joined = QuantisedVectors.joined([joined, QuantisedVectors.encode(vectors[first : first + 10])])
    moved = [np.linalg.norm(each.decode()[:600] - vectors[:600], axis=1).mean() for each in (once, joined)]
    assert moved[1] < 2 * moved[0]


def parts_of(vectors: np.ndarray) -> tuple[StoredVectors, np.ndarray]:
    """Returns vectors in three parts, of which some rows of the second do not count, and them decoded."""
    stored = [QuantisedVectors.encode(some) for some in (vectors[:400], vectors[400:700], vectors[700:])]
    rows = np.flatnonzero(np.arange(300) % 3 > 0)
    parts = [Part(stored[0]), Part(stored[1], rows), Part(stored[2])]
    return StoredVectors(parts, 64), np.concatenate(
        [stored[0].decode(), stored[1].decode()[rows], stored[2].decode()]
    )


@pytest.mark.parametrize(
    "rows", [slice(None), slice(390, 610), slice(2, 900, 7), [5, 599, 3, 600, 400], [-1, -900], [], 7, -1]
)
def test_parts_are_indexed_like_one_array(vectors, rows):
    stored, plain = parts_of(vectors)
    assert (stored.shape, len(stored)) == (plain.shape, 900)
    rows = np.array(rows, np.int64) if isinstance(rows, list) else rows
    np.testing.assert_array_equal(stored[rows], plain[rows])


def test_parts_are_an_array_where_one_is_wanted(vectors):
    stored, plain = parts_of(vectors)
    np.testing.assert_array_equal(np.asarray(stored), plain)
    np.testing.assert_array_equal(np.stack(list(stored)), plain)
    mask = np.arange(900) % 2 == 0
    np.testing.assert_array_equal(stored[mask], plain[mask])
    for beyond in (900, -901, np.array([900])):
        with pytest.raises(IndexError):
            _ = stored[beyond]


def test_what_is_taken_keeps_its_codes(vectors):
    stored = QuantisedVectors.encode(vectors)
    rows = np.array([3, 500, 4])
    np.testing.assert_array_equal(stored.take(rows).decode(), stored.decode()[rows])


@pytest.mark.parametrize("queries", [1, 3, 20])
@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
@pytest.mark.parametrize("gathered", [0, 4096])
def test_codes_are_compared_exactly_without_being_decoded(vectors, monkeypatch, queries, share, gathered):
    monkeypatch.setattr(code_scan, "_GATHERED", gathered)
    monkeypatch.setattr(code_scan, "_MORE", 0)  # so that more must be asked for
    stored, plain = parts_of(vectors)
    allowed = np.random.default_rng(1).random(900) < share
    asked = plain[np.random.default_rng(2).choice(900, queries)] + np.float32(0.05)
    engine = FaissEngine.build(stored, on_gpu=False)
    count = min(9, int(allowed.sum()))
    reference = FaissEngine.build(plain, on_gpu=False)
    for mask in (allowed, None) if share == 1 else (allowed,):
        values, positions = engine.search(asked, count, mask)
        true = reference.search(asked, count, mask)
        np.testing.assert_allclose(values, true.values, atol=2e-6)
        assert np.mean(positions == true.positions) > 0.99  # equal ones may change places
    worst = engine.scan.values_at(asked[:1], np.array([[0, -1]]))
    assert worst[0, 1] == -np.inf
    np.testing.assert_allclose(worst[0, 0], asked[0] @ plain[0], atol=1e-6)


def test_an_index_of_codes_copies_none(vectors, tmp_path):
    quantised = QuantisedVectors.encode(vectors)
    np.save(tmp_path / "codes.npy", quantised.codes)
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r+")
    on_disk = QuantisedVectors(mapped, quantised.lowest, quantised.step, quantised.norms)
    engine = FaissEngine.build(StoredVectors.of(on_disk), on_gpu=False)
    assert engine.search(vectors[5:6], 1).positions[0, 0] == 5
    mapped[[5, 6]] = mapped[[6, 5]]
    assert engine.search(vectors[5:6], 1).positions[0, 0] == 6


def test_stored_vectors_have_no_distance(vectors):
    with pytest.raises(ValueError, match="by cosine"):
        FaissEngine.build(StoredVectors.of(QuantisedVectors.encode(vectors)), "squared_distance")
