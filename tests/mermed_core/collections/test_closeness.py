import numpy as np
import pandas as pd
import pytest

from mermed_core.collections.closeness import Closeness
from mermed_core.collections.collection import Collection, Description
from mermed_core.search.faiss_engine import FaissEngine


def made(vectors: np.ndarray, labels: list[list[str]], groups: list[str]) -> Collection:
    count = len(vectors)
    records = pd.DataFrame(
        {
            "case_id": [f"case{i}" for i in range(count)],
            "modality": "ct",
            "labels": labels,
            "source": "s",
            "group": groups,
            "split": "",
        }
    )
    places = np.zeros((count, 2), np.float32)
    return Collection(
        Description("c", "", False, "f"), records, vectors, places, None, FaissEngine.build(vectors)
    )


@pytest.fixture(scope="module")
def collection() -> Collection:
    """Two labels around two directions, two images a patient."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 60)
    patients = np.arange(120) // 2
    vectors = np.eye(8)[labels] + random.normal(0, 0.35, (60, 8))[patients] + random.normal(0, 0.02, (120, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return made(vectors, [["ab"[each]] for each in labels], [f"p{each}" for each in patients])


def test_pairs_are_those_of_a_plain_loop(collection):
    measured, vectors = Closeness.of(collection), np.asarray(collection.vectors[np.arange(120)])
    alike = [
        vectors[i] @ vectors[j]
        for i in range(120)
        for j in range(i)
        if i // 60 == j // 60 and i // 2 != j // 2
    ]
    np.testing.assert_allclose(measured.alike, np.sort(alike), atol=1e-5)
    near, shared = [], []
    for i in range(120):
        for j in np.argsort(-vectors[i] @ vectors.T)[:30]:
            if i // 2 != j // 2:
                near.append(vectors[i] @ vectors[j])
                shared.append(i // 60 == j // 60)
    np.testing.assert_allclose(measured.near, np.sort(near), atol=1e-5)
    assert measured.shared.mean() == pytest.approx(np.mean(shared))
    assert measured.closer_than(float(np.median(alike))) == pytest.approx(0.5, abs=0.01)


def test_the_nearer_the_more_share_the_label(collection):
    measured = Closeness.of(collection)
    far, near = measured.sharing(float(measured.near[0])), measured.sharing(1.0)
    assert far is not None
    assert near is not None
    assert far < near <= 1
    assert measured.sharing(-1.0) is None
    assert measured.closer_than(1.0) == 1


def test_of_a_handful_of_cases_nothing_is_said(collection):
    few = made(np.asarray(collection.vectors[np.arange(4)]), [["a"], [], ["a"], ["b"]], list("abcd"))
    assert Closeness.of(few).closer_than(0.9) is None
    assert Closeness.of(few).sharing(0.9) is None
