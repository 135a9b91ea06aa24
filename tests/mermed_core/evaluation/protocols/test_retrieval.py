"""Retrieval against plain loops and scikit-learn."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.protocols import retrieval as module
from mermed_core.evaluation.protocols.retrieval import modality_task, retrieval
from mermed_core.evaluation.results import to_frame
from mermed_core.evaluation.task import Task


def make_task(images=60, classes=3, groups=20, kind="multiclass", seed=0, name="made_up", modality="ct"):
    """Random unit vectors; with few groups some stand in several splits, as no honest manifest allows."""
    random = np.random.default_rng(seed)
    targets = np.eye(classes)[random.integers(0, classes, images)]
    if kind == "multilabel":
        targets = random.integers(0, 2, (images, classes)).astype(float)
    vectors = random.normal(size=(images, 6)) + 0.7 * targets @ random.normal(size=(classes, 6))
    return Task(
        name,
        modality,
        kind,
        tuple(f"c{index}" for index in range(classes)),
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        targets,
        np.array([f"g{group}" for group in random.integers(0, groups, images)]),
        random.choice(["train", "val", "test"], images),
        np.array([f"{name}/{index}" for index in range(images)]),
        pd.DataFrame({"source": [name] * images}),
    )


def plain(task, ks):
    """Query by query and hit by hit; {(label, metric, k): value}, and how many queries each is of."""
    rows = []
    for query in np.flatnonzero(task.splits == "test"):
        gallery = [
            other
            for other in range(len(task))
            if task.splits[other] != "test" and task.groups[other] != task.groups[query]
        ]
        gallery.sort(key=lambda other: -float(task.vectors[query] @ task.vectors[other]))
        relevant = [bool((task.targets[query] * task.targets[other]).any()) for other in gallery]
        if not any(relevant):
            continue
        precisions = [np.mean(relevant[: i + 1]) for i, hit in enumerate(relevant) if hit]
        row = {("map", 0): float(np.mean(precisions))}
        for k in ks:
            row["recall", k] = float(any(relevant[:k]))
            row["precision", k] = sum(relevant[:k]) / k
        rows.append((task.targets[query], row))
    values, counts = {}, {}
    for column, name in enumerate(task.classes):
        own = [row for shown, row in rows if shown[column]]
        counts[name] = len(own)
        for key in rows[0][1] if own else ():
            values[name, *key] = np.mean([row[key] for row in own])
    for key in rows[0][1]:
        values["", *key] = np.mean([value for (name, *rest), value in values.items() if tuple(rest) == key])
    return values, counts | {"": len(rows)}


def by_name(results):
    return {(result.label, result.metric, result.k): result for result in results}


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["multiclass", "multilabel"]),
    groups=st.integers(2, 60),
    classes=st.integers(2, 5),
)
def test_every_result_is_that_of_plain_loops(seed, kind, groups, classes):
    task = make_task(40, classes, groups, kind, seed)
    ks = (1, 3, 50)
    results = by_name(retrieval(task, encoder="e", ks=ks, resamples=2))
    expected, counts = plain(task, ks)
    assert len(results) == (1 + classes) * (2 * len(ks) + 1)
    for key, result in results.items():
        assert result.value == pytest.approx(expected.get(key, np.nan), abs=1e-12, nan_ok=True)
        assert result.images == counts[key[0]]


def test_average_precision_is_that_of_scikit_learn():
    task = make_task(200, 3, 1000, seed=5)
    task = replace(task, groups=task.case_ids)
    gallery = task.splits != "test"
    similarity = task.vectors @ task.vectors[gallery].T
    same = task.targets @ task.targets[gallery].T
    own = [average_precision_score(same[row], similarity[row]) for row in np.flatnonzero(~gallery)]
    results = by_name(retrieval(task, encoder="e", resamples=2))
    shown = task.targets[~gallery].astype(bool)
    for column, name in enumerate(task.classes):
        assert results[name, "map", 0].value == pytest.approx(np.mean(np.array(own)[shown[:, column]]))


def test_images_of_the_own_group_are_never_found():
    task = make_task(90, 3, seed=2)
    nearest = (task.vectors[1:] @ task.vectors[0]).argmax() + 1
    targets = task.targets.copy()
    targets[nearest] = targets[0]
    splits = np.array(["test"] + ["train"] * 89)
    task = replace(task, targets=targets, splits=splits, groups=task.case_ids)
    # Beside the only test image stands its copy of the same patient, said to be of another class.
    both = task.rows(np.append(np.arange(90), 0))
    targets, splits = both.targets.copy(), both.splits.copy()
    targets[-1], splits[-1] = np.roll(targets[0], 1), "train"
    both = replace(both, targets=targets, splits=splits)
    alone, beside = (by_name(retrieval(one, encoder="e", resamples=2)) for one in (task, both))
    for key, result in alone.items():
        assert beside[key].value == pytest.approx(result.value, nan_ok=True)
    groups = both.groups.copy()
    groups[-1] = "stranger"
    strangers = by_name(retrieval(replace(both, groups=groups), encoder="e", resamples=2))
    assert alone["", "recall", 1].value == 1
    assert strangers["", "recall", 1].value == 0


def test_blocks_of_queries_change_nothing(monkeypatch):
    task = make_task()
    whole = to_frame(retrieval(task, encoder="e", resamples=20))
    monkeypatch.setattr(module, "_PAIRS", 100)
    pd.testing.assert_frame_equal(whole, to_frame(retrieval(task, encoder="e", resamples=20)))


def test_an_encoder_that_sees_no_difference_gains_nothing_from_a_sorted_manifest():
    task = make_task(400, 2, 10_000)
    task = replace(task, vectors=np.full_like(task.vectors, 6**-0.5), groups=task.case_ids)
    task = task.rows(np.argsort(task.targets[:, 1], kind="stable"))
    results = by_name(retrieval(task, encoder="e", resamples=2))
    for name in ("", "c0", "c1"):
        assert results[name, "map", 0].value == pytest.approx(0.5, abs=0.07)
    again = by_name(retrieval(task, encoder="e", resamples=2))
    assert results["c0", "map", 0].value == again["c0", "map", 0].value


def test_the_interval_is_that_of_drawing_whole_groups():
    task = make_task(300, 3, 40, seed=1)
    task = replace(task, groups=np.where(task.splits == "test", task.groups, task.case_ids))
    test, gallery = (np.flatnonzero((task.splits == "test") == wanted) for wanted in (True, False))
    nearest = gallery[(task.vectors[test] @ task.vectors[gallery].T).argmax(axis=1)]
    hit = np.asarray((task.targets[test] * task.targets[nearest]).any(axis=1))
    random, names = np.random.default_rng(9), np.unique(task.groups[test])
    drawn = []
    for _ in range(500):
        rows = np.concatenate(
            [np.flatnonzero(task.groups[test] == name) for name in random.choice(names, len(names))]
        )
        drawn.append(np.mean([hit[rows][task.targets[test][rows, c] == 1].mean() for c in range(3)]))
    result = by_name(retrieval(task, encoder="e", resamples=2000))["", "recall", 1]
    assert (result.low, result.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.02)
    assert result.low < result.value < result.high
    assert (result.images, result.groups) == (len(test), len(names))


def test_few_groups_have_no_interval():
    result = retrieval(make_task(groups=4), encoder="e", resamples=5)[0]
    assert np.isfinite(result.value)
    assert np.isnan(result.low)


def test_the_tasks_of_a_modality_are_searched_together():
    tasks = [make_task(seed=seed, name=name, classes=seed + 2) for seed, name in ((0, "a"), (1, "b"))]
    results = by_name(retrieval(modality_task(tasks), encoder="e", resamples=2))
    assert {label for label, *_ in results} == {"", "a/c0", "a/c1", "b/c0", "b/c1", "b/c2"}
    assert {result.task for result in results.values()} == {""}
    # One by one with the other task's images as hits that are never relevant:
    others = np.zeros((60, 3))
    targets = np.concatenate(
        [np.hstack([tasks[0].targets, others]), np.hstack([np.zeros((60, 2)), tasks[1].targets])]
    )
    joined = replace(
        make_task(120),
        classes=("a/c0", "a/c1", "b/c0", "b/c1", "b/c2"),
        targets=targets,
        vectors=np.concatenate([task.vectors for task in tasks]),
        splits=np.concatenate([task.splits for task in tasks]),
        # patient g1 of one set is another than g1 of the other
        groups=np.array([f"{task.name} {group}" for task in tasks for group in task.groups]),
    )
    expected, _ = plain(joined, (1, 5, 10))
    for key, result in results.items():
        assert result.value == pytest.approx(expected[key], abs=1e-12)


def test_what_cannot_be_searched_is_a_sentence():
    task = make_task()
    with pytest.raises(EvaluationError, match="no test image"):
        retrieval(task.split("train"), encoder="e")
    with pytest.raises(EvaluationError, match="no test image"):
        retrieval(task.split("test"), encoder="e")
    with pytest.raises(EvaluationError, match="one modality"):
        modality_task([task, make_task(modality="cxr")])
    with pytest.raises(EvaluationError, match="one modality"):
        modality_task([])


def test_groups_are_told_apart_by_source_and_are_one_in_two_label_sets_of_a_source():
    first, second, third = (
        replace(make_task(20, name=name, groups=4), columns=pd.DataFrame({"source": [source] * 20}))
        for name, source in (("grade", "one"), ("stage", "one"), ("other", "two"))
    )
    together = modality_task([first, second, third])
    assert together.groups.tolist() == [
        f"{source}/{group}" for source in ("one", "one", "two") for group in first.groups
    ]


def test_a_modality_of_one_task_finds_what_the_task_finds():
    task = make_task(seed=3)
    alone, whole = (
        by_name(retrieval(one, encoder="e", resamples=20)) for one in (task, modality_task([task]))
    )
    for (label, metric, k), result in alone.items():
        same = whole[label and f"made_up/{label}", metric, k]
        numbers = [(one.value, one.low, one.high, one.images, one.groups) for one in (result, same)]
        assert numbers[0] == pytest.approx(numbers[1], nan_ok=True)
