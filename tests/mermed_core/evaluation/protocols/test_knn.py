"""Nearest neighbours against loops over every pair of images."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.protocols.knn import (
    NEIGHBOURS,
    _left_out_votes,
    choose_neighbours,
    knn,
    neighbour_votes,
)
from mermed_core.evaluation.task import Task
from mermed_core.metrics.scores import auroc, unweighted


def random_task(count: int, *, kind: str = "multiclass", noise: float = 0.8, seed: int = 0) -> Task:
    """Unit vectors near an axis for each of three classes; train, val and test in turn, pairs a group."""
    random = np.random.default_rng(seed)
    targets = np.eye(3)[random.integers(0, 3, count)]
    if kind == "multilabel":
        targets = random.integers(0, 2, (count, 3)).astype(float)
    vectors = np.pad(targets, ((0, 0), (0, 3))) + random.normal(0, noise, (count, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.arange(count)
    return Task(
        "made up",
        "ct",
        kind,
        ("a", "b", "c"),
        vectors.astype(np.float32),
        targets,
        rows // 2,
        np.array(["train", "train", "val", "test"])[rows % 4],
        np.array([f"image {row}" for row in rows]),
        pd.DataFrame(index=rows),
    )


def plain_shares(train: Task, query: np.ndarray, neighbours: int) -> list[float]:
    """Every pair by itself, sorted in full."""
    pairs = [
        (sum(float(x) * float(y) for x, y in zip(query, vector, strict=True)), row)
        for row, vector in enumerate(train.vectors)
    ]
    voters = sorted(pairs, reverse=True)[:neighbours]
    total = sum(math.exp(similarity / 0.07) for similarity, _ in voters)
    return [
        sum(math.exp(similarity / 0.07) * train.targets[row, index] for similarity, row in voters) / total
        for index in range(3)
    ]


@settings(max_examples=20)
@given(
    kind=st.sampled_from(["multiclass", "multilabel"]),
    count=st.integers(8, 40),
    neighbours=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
)
def test_votes_are_those_of_loops_over_all_pairs(kind, count, neighbours, seed):
    task = random_task(count, kind=kind, seed=seed)
    train, test = task.split("train"), task.split("test")
    shares = neighbour_votes(train, test.vectors, neighbours)
    expected = [[plain_shares(train, query, k) for query in test.vectors] for k in neighbours]
    np.testing.assert_allclose(shares, expected, atol=1e-4)  # similarities are in single precision
    assert shares.min() >= 0
    assert shares.max() <= 1 + 1e-12
    if kind == "multiclass":
        np.testing.assert_allclose(shares.sum(axis=2), 1)


def test_many_queries_are_answered_as_each_by_itself():
    task = random_task(2200, seed=3)
    train, queries = task.split("train"), task.split("test").vectors
    single = np.concatenate([neighbour_votes(train, query[None], (5,)) for query in queries[::40]], axis=1)
    np.testing.assert_allclose(neighbour_votes(train, queries, (5,))[:, ::40], single, atol=1e-5)


def test_the_number_of_neighbours_has_the_best_auroc_on_val():
    task = random_task(400, seed=1)
    train, val = task.split("train"), task.split("val")
    reached = {
        k: roc_auc_score(val.targets, [plain_shares(train, query, k) for query in val.vectors])
        for k in NEIGHBOURS
    }
    chosen = choose_neighbours(train, val)
    assert reached[chosen] == max(reached.values())
    assert reached[chosen] > reached[1]
    predictions = knn(task, encoder="tiny")
    test = task.split("test")
    expected = [plain_shares(train, query, chosen) for query in test.vectors]
    np.testing.assert_allclose(predictions.probabilities, expected, atol=1e-4)
    np.testing.assert_array_equal(predictions.case_ids, test.case_ids)
    assert predictions.protocol == "knn"


def test_without_val_each_fifth_of_the_groups_is_judged_by_the_others():
    chosen = []
    for seed in range(3):
        train = random_task(240, noise=0.6, seed=seed).split("train")
        votes = {k: np.empty((len(train), 3)) for k in NEIGHBOURS}
        for voting, left in GroupKFold(5).split(train.vectors, groups=train.groups):
            assert not set(train.groups[voting]) & set(train.groups[left])
            for k, shares in votes.items():
                shares[left] = [plain_shares(train.rows(voting), query, k) for query in train.vectors[left]]
        reached = {k: roc_auc_score(train.targets, shares) for k, shares in votes.items()}
        chosen.append(choose_neighbours(train, train.split("val")))
        assert reached[chosen[-1]] == max(reached.values())
    assert len(set(chosen)) > 1


def test_images_of_one_group_do_not_vote_on_each_other():
    # Every image twice, with a label that only its copy knows.
    task = random_task(200, seed=5).split("train")
    random = np.random.default_rng(0).permutation(len(task))
    twice = replace(task, targets=task.targets[random]).rows(np.repeat(np.arange(len(task)), 2))
    apart = replace(twice, groups=np.arange(len(twice)))
    together = replace(twice, groups=np.repeat(np.arange(len(task)), 2))
    scores = [
        unweighted(auroc, targets, votes[0]) for votes, targets in map(_left_out_votes, (apart, together))
    ]
    assert scores[0] > 0.8
    assert scores[1] < 0.6


def test_of_equals_the_largest_number_is_taken():
    apart = random_task(400, noise=0.01)
    assert choose_neighbours(apart.split("train"), apart.split("val")) == max(NEIGHBOURS)
    one_group = replace(apart, groups=np.zeros(len(apart)))
    assert choose_neighbours(one_group.split("train"), one_group.split("nowhere")) == max(NEIGHBOURS)


def test_without_a_test_image_it_says_so():
    with pytest.raises(EvaluationError, match="no image in the test split"):
        knn(random_task(3), encoder="tiny")
