"""Cross-validation: divisions by set logic, heads against fitting each fold by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.protocols.cross_validation import _divisions, cross_validation
from mermed_core.evaluation.task import Task
from mermed_core.fitting.linear_heads import Labelled, fit_head

pytestmark = pytest.mark.usefixtures("few_penalties")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On a busy machine the threads of tiny matrix products wait for each other."""
    with threadpool_limits(1):
        yield


def task_of(targets, groups, *, kind="multiclass", noise=0.4) -> Task:
    """Unit vectors near an axis for each class; a third of the images in each split."""
    targets, rows = np.asarray(targets, float), np.arange(len(targets))
    random = np.random.default_rng(0)
    vectors = np.pad(targets, ((0, 0), (0, 4))) + random.normal(0, noise, (len(rows), targets.shape[1] + 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Task(
        "made up",
        "ct",
        kind,
        tuple("abcd"[: targets.shape[1]]),
        vectors.astype(np.float32),
        targets,
        np.asarray(groups),
        np.array(["train", "val", "test"])[rows % 3],
        np.array([f"image {row}" for row in rows]),
        pd.DataFrame(index=rows),
    )


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9)), min_size=8, max_size=40),
    st.integers(2, 5),
    st.integers(0, 100),
    st.booleans(),
)
def test_every_image_is_left_out_once_and_no_group_is_divided(images, folds, seed, multilabel):
    codes, groups = (np.array(column) for column in zip(*images, strict=True))
    targets = (codes[:, None] >> np.arange(3)) & 1 if multilabel else np.eye(8)[codes][:, :4]
    task = task_of(targets, groups, kind="multilabel" if multilabel else "multiclass")
    try:
        divisions = list(_divisions(task, folds, seed))
    except EvaluationError:
        assert len(set(groups)) == 1
        return
    assert 2 <= len(divisions) <= min(folds, len(set(groups)))
    assert sorted(row for _, left in divisions for row in left) == list(range(len(task)))
    for fitted, left in divisions:
        assert set(fitted) | set(left) == set(range(len(task)))
        assert not set(groups[fitted]) & set(groups[left])


def test_classes_have_about_the_same_share_in_every_fold():
    member = np.array([0] * 60 + [1] * 30 + [2] * 10)
    task = task_of(np.eye(3)[member], np.arange(100))
    for _, left in _divisions(task, 5, 0):
        np.testing.assert_array_equal(task.targets[left].sum(axis=0), [12, 6, 2])


def test_the_probabilities_are_those_of_heads_fitted_on_the_other_folds():
    member = np.arange(60) % 3
    task = task_of(np.eye(3)[member], np.arange(60) // 10)
    predictions = cross_validation(task, encoder="tiny", folds=3, seed=4)
    for fitted, left in _divisions(task, 3, 4):
        train = Labelled(task.vectors[fitted], task.targets[fitted], task.groups[fitted])
        nothing = Labelled(np.empty((0, 7), np.float32), np.empty((0, 3)), np.empty(0))
        head = fit_head(task.label_set, "ct", train, nothing)
        expected = head.probabilities(task.vectors[left])
        np.testing.assert_allclose(predictions.probabilities[left], expected, atol=1e-6)
    np.testing.assert_array_equal(predictions.case_ids, task.case_ids)
    assert (predictions.protocol, predictions.encoder) == ("cross_validation", "tiny")
    assert (predictions.probabilities.argmax(1) == member).mean() > 0.8


def test_it_is_repeatable_and_its_seed_decides_the_folds():
    task = task_of(np.eye(2)[np.arange(40) % 2], np.arange(40) // 6)
    first, again, other = (
        cross_validation(task, encoder="tiny", folds=2, seed=seed).probabilities for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_what_an_image_shows_does_not_reach_its_own_probability():
    # Labels by chance: whoever had seen them would do better than chance.
    random = np.random.default_rng(1)
    task = task_of(np.eye(2)[random.integers(0, 2, 200)], np.arange(200) // 20)
    blind = replace(task, vectors=random.normal(size=task.vectors.shape).astype(np.float32))
    predictions = cross_validation(blind, encoder="tiny", folds=2)
    assert (predictions.probabilities.argmax(1) == task.targets.argmax(1)).mean() < 0.62


def test_a_class_of_one_group_has_no_probability_where_it_was_not_taught():
    member = np.array([0, 1] * 15 + [2] * 6)
    groups = np.concatenate([np.arange(30) // 6, np.full(6, 99)])
    predictions = cross_validation(task_of(np.eye(3)[member], groups), encoder="tiny", folds=2)
    np.testing.assert_array_equal(predictions.probabilities[groups == 99, 2], 0)
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1)
    assert (predictions.probabilities[groups != 99, 2] > 0).any()


def test_a_finding_of_one_group_has_no_probability_there_either():
    targets = np.zeros((20, 2))
    targets[::2, 0], targets[:4, 1] = 1, 1
    groups = np.arange(20) // 4
    task = task_of(targets, groups, kind="multilabel")
    predictions = cross_validation(task, encoder="tiny", folds=2)
    np.testing.assert_array_equal(predictions.probabilities[:4, 1], 0)
    alone = task_of(targets[:, 1:], groups, kind="multilabel")
    np.testing.assert_array_equal(cross_validation(alone, encoder="tiny", folds=2).probabilities[:4], 0)


def test_there_are_no_more_folds_than_groups():
    task = task_of(np.eye(2)[np.arange(12) % 2], np.arange(12) // 4)
    assert len(list(_divisions(task, 5, 0))) == 3


def test_a_fold_that_scikit_learn_leaves_empty_is_left_out():
    member, groups = np.array([1, 3, 1, 2, 0, 0, 0, 0, 0]), np.array([0, 1, 2, 3, 4, 4, 5, 5, 5])
    divisions = list(_divisions(task_of(np.eye(4)[member], groups), 5, 1662))
    assert len(divisions) == 4
    assert sorted(row for _, left in divisions for row in left) == list(range(9))


@pytest.mark.parametrize(
    ("targets", "groups"), [(np.eye(2)[np.arange(12) % 2], np.zeros(12)), (np.eye(3), np.arange(3))]
)
def test_images_that_cannot_be_divided_are_refused(targets, groups):
    with pytest.raises(EvaluationError, match="cannot be cross-validated"):
        cross_validation(task_of(targets, groups), encoder="tiny")
