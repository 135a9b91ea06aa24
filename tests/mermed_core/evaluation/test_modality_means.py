"""Means over the tasks of a modality against draws written out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mermed_core.evaluation.measurement import measure
from mermed_core.evaluation.modality_means import modality_means
from mermed_core.evaluation.predictions import Predictions
from mermed_core.evaluation.results import to_frame
from mermed_core.metrics.catalogue import AUROC


def predictions(encoder="a", task="x", modality="ct", images=60, groups=30, protocol="linear_probe", seed=0):
    random = np.random.default_rng([seed, *task.encode(), *encoder.encode()])
    targets = np.eye(2)[np.arange(images) % 2]
    positive = random.random(images) + 0.4 * targets[:, 1]
    return Predictions(
        encoder,
        protocol,
        task,
        modality,
        "multiclass",
        ("healthy", "ill"),
        np.arange(images).astype(str),
        np.arange(images) // 2 % groups,
        targets,
        np.stack([1 - positive / 2, positive / 2], axis=1),
        pd.DataFrame(index=range(images)),
    )


def auroc_of_pairs(target, score):
    above = score[target == 1][:, None] - score[target == 0]
    return (above > 0).mean() + (above == 0).mean() / 2


def test_a_mean_is_that_of_the_results_of_the_tasks_with_all_images_and_groups():
    tasks = [predictions(), predictions(task="y", images=40, groups=20), predictions(modality="oct")]
    ct, oct_ = modality_means(tasks, resamples=30)
    first, second = (measure(task, resamples=30)[0] for task in tasks[:2])
    assert (first.metric, ct.metric) == (AUROC, AUROC)
    assert ct.value == pytest.approx((first.value + second.value) / 2)
    assert (ct.task, ct.label, ct.subgroup_column, ct.seed) == ("", "", "", -1)
    assert (ct.modality, oct_.modality) == ("ct", "oct")
    assert (ct.images, ct.groups) == (100, 50)
    assert (oct_.images, oct_.groups) == (60, 30)


def test_the_interval_is_that_of_tasks_drawn_one_by_one():
    tasks = [predictions(), predictions(task="y", images=40, groups=20)]
    random, drawn = np.random.default_rng(5), []
    for _ in range(600):
        values = []
        for task in tasks:
            names = np.unique(task.groups)
            rows = np.concatenate(
                [np.flatnonzero(task.groups == name) for name in random.choice(names, len(names))]
            )
            values.append(auroc_of_pairs(task.targets[rows, 1], task.probabilities[rows, 1]))
        drawn.append(np.mean(values))
    (result,) = modality_means(tasks, resamples=3000)
    # A percentile of 600 draws at 2.5 % is known to 0.11 standard deviations.
    assert (result.low, result.high) == pytest.approx(
        np.percentile(drawn, [2.5, 97.5]), abs=0.3 * float(np.std(drawn))
    )


def test_tasks_are_drawn_independently_of_each_other():
    same = predictions()
    (one,) = modality_means([same], resamples=3000)
    (many,) = modality_means([replace(same, task=str(number)) for number in range(9)], resamples=3000)
    assert many.value == pytest.approx(one.value)
    # Drawn alike, nine equal tasks would be as uncertain as one; independently, a third as much.
    assert many.high - many.low == pytest.approx((one.high - one.low) / 3, rel=0.1)


def test_a_single_task_is_a_modality_too_and_few_groups_have_no_interval():
    (alone,) = modality_means([predictions()], resamples=200)
    assert alone.low < alone.value < alone.high
    (few,) = modality_means([predictions(), predictions(task="y", groups=4)], resamples=20)
    assert np.isfinite(few.value)
    assert np.isnan([few.low, few.high]).all()


def test_all_encoders_are_averaged_over_the_same_tasks():
    one_class = predictions(task="z")
    one_class = replace(one_class, targets=np.eye(2)[np.zeros(60, int)])
    empty = predictions(task="w", images=0)
    given = [predictions("b"), predictions("b", task="y"), one_class, empty, predictions("a")]
    first, second = modality_means(given, resamples=20)
    assert (first.encoder, second.encoder) == ("b", "a")
    assert first.images == 120
    assert np.isfinite([first.value, first.low]).all()
    assert np.isnan([second.value, second.low, second.high]).all()
    assert modality_means([one_class, empty], resamples=20) == []
    assert modality_means([]) == []


def test_protocols_stand_apart_and_a_seed_gives_the_same():
    given = [predictions(), predictions(protocol="knn"), predictions(task="y")]
    once, again, other = (to_frame(modality_means(given, resamples=20, seed=seed)) for seed in (1, 1, 2))
    assert once["protocol"].tolist() == ["knn", "linear_probe"]
    pd.testing.assert_frame_equal(once, again)
    assert not once.equals(other)
