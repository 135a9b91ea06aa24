"""Means over training subsets against scipy's t-interval, results against scikit-learn's scores."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from mermed_core.evaluation.predictions import Predictions
from mermed_core.evaluation.repeats import mean_over_repeats, measure_repeat
from mermed_core.evaluation.results import Result


def results_of(values, metric="auroc", shots=4):
    return [
        Result("tiny", "ct", "made up", "few_shot", metric, value, images=9, groups=7, shots=shots, seed=seed)
        for seed, value in enumerate(values)
    ]


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=8, unique_by=lambda value: round(value, 3)))
def test_the_interval_is_scipys(values):
    (mean,) = mean_over_repeats(results_of(values))
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    np.testing.assert_allclose([mean.value, mean.low, mean.high], [np.mean(values), low, high], atol=1e-12)


def test_three_seeds_by_hand():
    (mean,) = mean_over_repeats(results_of([0.7, 0.8, 0.9]))
    # t at 97.5 % with two degrees of freedom is 4.303; the standard error is 0.1 / √3
    assert mean.value == pytest.approx(0.8)
    assert mean.high - mean.value == pytest.approx(4.3027 * 0.1 / 3**0.5, abs=1e-4)
    assert mean.value - mean.low == pytest.approx(mean.high - mean.value)
    assert (mean.seed, mean.shots, mean.images, mean.groups) == (-1, 4, 9, 7)


def test_equal_seeds_have_a_narrow_interval_and_one_seed_has_none():
    (same,) = mean_over_repeats(results_of([0.5, 0.5, 0.5]))
    assert same.low == same.value == same.high == 0.5
    (single,) = mean_over_repeats(results_of([0.7]))
    assert single.value == 0.7
    assert np.isnan([single.low, single.high]).all()


def test_sizes_and_metrics_are_kept_apart_in_their_order():
    repeats = [
        *results_of([0.1, 0.3], shots=1),
        *results_of([0.5, 0.7]),
        *results_of([0.2, 0.4], metric="f1"),
    ]
    means = mean_over_repeats(repeats)
    assert [(mean.shots, mean.metric) for mean in means] == [(1, "auroc"), (4, "auroc"), (4, "f1")]
    assert [mean.value for mean in means] == pytest.approx([0.2, 0.6, 0.3])


def test_a_subset_is_scored_as_scikit_learn_does():
    random = np.random.default_rng(0)
    member, probabilities = np.arange(60) % 3, random.dirichlet(np.ones(3), 60)
    rows = np.arange(60)
    predictions = Predictions(
        "tiny",
        "few_shot",
        "made up",
        "ct",
        "multiclass",
        ("a", "b", "c"),
        rows,
        rows // 2,
        np.eye(3)[member],
        probabilities,
        pd.DataFrame(index=rows),
    )
    first, second = measure_repeat(predictions, ("auroc", "balanced_accuracy"), share=0.5, seed=5)
    assert first.value == pytest.approx(roc_auc_score(member, probabilities, multi_class="ovr"))
    assert second.value == pytest.approx(balanced_accuracy_score(member, probabilities.argmax(1)))
    assert (first.metric, first.share, first.shots, first.seed) == ("auroc", 0.5, 0, 5)
    assert (first.images, first.groups) == (60, 30)
    assert np.isnan(first.low)
