"""Cases of two collections and the neighbours that they share, against sets in plain loops."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from mermed_core.collections import overlap
from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.overlap import match_cases, neighbourhood_overlap
from mermed_core.errors import CollectionError
from mermed_core.search.faiss_engine import FaissEngine

CASES = 90
MODALITIES = ("ct", "cxr", "oct")


def collection_of(
    ids: Sequence[str], vectors: np.ndarray, name: str = "one", **columns: Sequence[object]
) -> Collection:
    records = pd.DataFrame(
        {
            "case_id": ids,
            "modality": [MODALITIES[int(case_id[1:]) % 3] for case_id in ids],
            "labels": [()] * len(ids),
            "source": ["here"] * len(ids),
            "group": [f"p{int(case_id[1:]) // 2}" for case_id in ids],
            "split": ["train"] * len(ids),
            **columns,
        }
    )
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    description = Description(name, "", False, name)
    return Collection(description, records, vectors, vectors[:, :2].copy(), None, FaissEngine.build(vectors))


def two_views(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the same cases that agree in part, in spaces of different width."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=(CASES, 6))
    return (
        np.concatenate([shared, 0.6 * random.normal(size=(CASES, 4))], axis=1),
        np.concatenate([shared, 0.9 * random.normal(size=(CASES, 10))], axis=1),
    )


def nearest_of(collection: Collection, among: set[str], count: int) -> dict[str, set[str]]:
    """The ids of the nearest other cases among some, by sorting all similarities."""
    ids = list(collection.records["case_id"])
    similarity = np.asarray(collection.vectors, np.float64) @ np.asarray(collection.vectors, np.float64).T
    found = {}
    for i, case_id in enumerate(ids):
        others = [j for j in range(len(ids)) if j != i and ids[j] in among]
        found[case_id] = {ids[j] for j in sorted(others, key=lambda j: -similarity[i, j])[:count]}
    return found


def test_the_share_of_neighbours_is_that_of_plain_sets():
    one, other = two_views()
    ids = [f"c{i}" for i in range(CASES)]
    order = np.random.default_rng(1).permutation(CASES)[:70]  # the second has fewer, in another order
    first = collection_of(ids, one)
    second = collection_of([ids[i] for i in order], other[order], "two")
    both = {ids[i] for i in order}
    found = neighbourhood_overlap(first, second, neighbours=7)
    near, far = (nearest_of(collection, both, 7) for collection in (first, second))
    share = {case_id: len(near[case_id] & far[case_id]) / 7 for case_id in both}
    assert (found.cases, found.matched, found.neighbours) == ((90, 70), 70, 7)
    assert found.chance == pytest.approx(7 / 69)
    assert found.all.mean == pytest.approx(np.mean(list(share.values())))
    assert found.chance < found.all.mean < 1
    assert list(found.modalities) == list(MODALITIES)
    for number, name in enumerate(MODALITIES):
        own = [value for case_id, value in share.items() if int(case_id[1:]) % 3 == number]
        assert found.modalities[name].cases == len(own)
        assert found.modalities[name].mean == pytest.approx(np.mean(own))


def test_the_interval_is_the_spread_of_means_over_patients():
    one, other = two_views()
    ids = [f"c{i}" for i in range(CASES)]
    first, second = collection_of(ids, one), collection_of(ids, other, "two")
    found = neighbourhood_overlap(first, second).all
    near, far = (nearest_of(collection, set(ids), 10) for collection in (first, second))
    share = np.array([len(near[case_id] & far[case_id]) / 10 for case_id in ids])
    of_patient = share.reshape(-1, 2).mean(axis=1)  # two cases each
    error = of_patient.std(ddof=1) / np.sqrt(len(of_patient))
    assert found.low == pytest.approx(share.mean() - 1.96 * error, abs=0.01)
    assert found.high == pytest.approx(share.mean() + 1.96 * error, abs=0.01)


def test_the_same_vectors_share_all_neighbours_and_unrelated_ones_what_chance_gives():
    one, other = two_views()
    ids = [f"c{i}" for i in range(CASES)]
    first = collection_of(ids, one)
    same = neighbourhood_overlap(first, collection_of(ids, 3 * one, "two")).all
    assert (same.mean, same.low, same.high) == (1, 1, 1)
    shuffled = np.random.default_rng(2).permutation(CASES)
    unrelated = neighbourhood_overlap(first, collection_of(ids, other[shuffled], "two"))
    assert unrelated.all.low is not None
    assert unrelated.all.low < unrelated.chance + 0.03
    assert unrelated.all.mean == pytest.approx(unrelated.chance, abs=0.05)


def test_of_many_cases_some_are_asked(monkeypatch):
    monkeypatch.setattr(overlap, "_MOST_ASKED", 60)
    one, other = two_views()
    ids = [f"c{i}" for i in range(CASES)]
    found = neighbourhood_overlap(collection_of(ids, one), collection_of(ids, other, "two"))
    assert (found.matched, found.all.cases) == (90, 60)
    assert sum(shared.cases for shared in found.modalities.values()) == 60


def test_cases_are_matched_by_id_then_by_image():
    vectors = np.random.default_rng(0).normal(size=(5, 4))
    first = collection_of(
        ["c0", "c1", "c2", "c3", "c4"], vectors, checksum=["a", "b", "x", None, "f"], frame=[0, 0, 0, 0, 1]
    )
    second = collection_of(
        ["c3", "c9", "c2", "c8", "c7"], vectors, checksum=["d", "b", "y", "a", "f"], frame=[0, 0, 0, 0, 0]
    )
    # c3 by id, though one image is unknown; c1 and c0 by image; c2 is another image; c4 is another frame.
    assert match_cases(first, second).tolist() == [[0, 3], [1, 1], [3, 0]]
    bare = collection_of(["c2", "c5"], vectors[:2])
    assert match_cases(first, bare).tolist() == [[2, 0]]


def test_copies_of_an_image_are_matched_once_each():
    vectors = np.random.default_rng(0).normal(size=(3, 4))
    first = collection_of(["c0", "c1", "c2"], vectors, checksum=["a", "a", "a"])
    second = collection_of(["c5", "c1", "c6"], vectors, checksum=["a", "a", "a"])
    assert match_cases(first, second).tolist() == [[0, 0], [1, 1], [2, 2]]


def test_few_patients_have_no_interval_and_too_few_cases_are_refused():
    vectors = np.random.default_rng(0).normal(size=(4, 4))
    ids = ["c0", "c1", "c2", "c3"]
    found = neighbourhood_overlap(collection_of(ids, vectors), collection_of(ids, vectors, "two"))
    assert (found.neighbours, found.all.mean, found.all.low, found.all.high) == (3, 1, None, None)
    with pytest.raises(CollectionError, match="'one' and 'two' share 1 of their cases"):
        neighbourhood_overlap(collection_of(ids, vectors), collection_of(["c3", "c7"], vectors[:2], "two"))
