"""Draws of training images: how many of each class, nested, and the same again."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.task import Task
from mermed_core.evaluation.training_subsets import few_shot_rows, share_rows


def task_of(targets: np.ndarray, kind: str) -> Task:
    """Every fifth image is of the test split."""
    rows = np.arange(len(targets))
    return Task(
        "made up",
        "ct",
        kind,
        tuple("abcdefgh"[: targets.shape[1]]),
        np.zeros((len(rows), 2), np.float32),
        targets.astype(float),
        rows,
        np.where(rows % 5 == 4, "test", "train"),
        rows,
        pd.DataFrame(index=rows),
    )


multiclass = st.lists(st.integers(0, 3), min_size=10, max_size=80).map(
    lambda member: task_of(np.eye(4)[[0, 1, 2, 3, *member]], "multiclass")
)
multilabel = st.lists(st.integers(0, 7), min_size=10, max_size=80).map(
    lambda codes: task_of((np.array([1, 2, 4, 0, *codes])[:, None] >> np.arange(3)) & 1, "multilabel")
)
seeds = st.integers(0, 2**31)


@settings(max_examples=30)
@given(multiclass, st.integers(1, 12), seeds)
def test_each_class_has_as_many_shots_or_all_that_there_are(task, shots, seed):
    rows = few_shot_rows(task, shots, seed)
    available = task.split("train").targets.sum(axis=0)
    np.testing.assert_array_equal(task.targets[rows].sum(axis=0), np.minimum(shots, available))
    assert set(task.splits[rows]) == {"train"}
    assert (np.diff(rows) > 0).all()


def greedy(task: Task, shots: int, seed: int) -> list[int]:
    """Image after image, as long as one of its classes is short; one that shows none is a class too."""
    counts = dict.fromkeys((*range(len(task.classes)), -1), 0)  # −1: shows none
    taken = []
    for row in np.random.default_rng(seed).permutation(np.flatnonzero(task.splits == "train")):
        shown = np.flatnonzero(task.targets[row]).tolist() or [-1]
        if any(counts[name] < shots for name in shown):
            taken.append(int(row))
            for name in shown:
                counts[name] += 1
    return sorted(taken)


@settings(max_examples=30)
@given(multilabel, st.integers(1, 12), seeds)
def test_labels_that_do_not_exclude_each_other_are_drawn_greedily(task, shots, seed):
    rows = few_shot_rows(task, shots, seed)
    assert rows.tolist() == greedy(task, shots, seed)
    available = task.split("train").targets.sum(axis=0)
    assert (task.targets[rows].sum(axis=0) >= np.minimum(shots, available)).all()


@settings(max_examples=30)
@given(multiclass, st.floats(0.001, 1.0), seeds)
def test_a_share_is_stratified_with_two_of_each_class_at_least(task, share, seed):
    rows = share_rows(task, share, seed)
    available = task.split("train").targets.sum(axis=0)
    expected = [min(count, max(2, round(share * count))) for count in available.tolist()]
    assert task.targets[rows].sum(axis=0).tolist() == expected
    assert set(task.splits[rows]) == {"train"}


@settings(max_examples=30)
@given(multilabel, st.floats(0.001, 1.0), seeds)
def test_a_share_of_a_multi_label_set_is_plain_but_lacks_no_class(task, share, seed):
    rows = share_rows(task, share, seed)
    train = np.flatnonzero(task.splits == "train")
    assert task.targets[rows].any(axis=0).tolist() == task.targets[train].any(axis=0).tolist()
    plain = round(share * len(train))
    assert plain <= len(rows) <= plain + 3
    assert set(np.random.default_rng(seed).permutation(train)[:plain]) <= set(rows)


@settings(max_examples=30)
@given(st.one_of(multiclass, multilabel), seeds)
def test_smaller_draws_are_part_of_larger_ones_up_to_everything(task, seed):
    few = [set(few_shot_rows(task, shots, seed)) for shots in (1, 2, 4, 8, len(task))]
    shares = [set(share_rows(task, share, seed)) for share in (0.01, 0.1, 0.3, 0.5, 1.0)]
    for draws in (few, shares):
        assert all(smaller <= larger for smaller, larger in pairwise(draws))
        assert draws[-1] == set(np.flatnonzero(task.splits == "train"))


def test_a_draw_depends_on_its_seed_alone():
    task = task_of(np.eye(4)[np.arange(200) % 4], "multiclass")
    for draw in (lambda seed: few_shot_rows(task, 3, seed), lambda seed: share_rows(task, 0.1, seed)):
        np.testing.assert_array_equal(draw(7), draw(7))
        assert len({tuple(draw(seed)) for seed in range(5)}) == 5


def test_nothing_to_draw_is_refused():
    task = task_of(np.eye(4)[np.arange(20) % 4], "multiclass")
    with pytest.raises(EvaluationError, match="1 or more"):
        few_shot_rows(task, 0, 0)
    for share in (0, -0.1, 1.5):
        with pytest.raises(EvaluationError, match="at most 1"):
            share_rows(task, share, 0)
