"""Figures against references worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mermed_core.metrics.head_metrics import auroc, bootstrap, expected_calibration_error


def mann_whitney(target: np.ndarray, score: np.ndarray) -> float:
    """The chance that a positive image scores higher than a negative one, ties counting half."""
    positive, negative = score[target == 1], score[target == 0]
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    return float(np.mean(pairs))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=30))
def test_auroc_is_the_chance_of_a_right_order(pairs):
    target = np.array([pair[0] for pair in pairs])
    score = np.array([pair[1] / 5 for pair in pairs])
    value = auroc(target[:, None], score[:, None])
    if 0 < target.sum() < len(target):
        assert value == pytest.approx(mann_whitney(target, score))
    else:
        assert np.isnan(value)


def test_auroc_is_the_mean_over_classes_that_can_be_judged():
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]])
    scores = np.array([[0.9, 0.2, 0.0], [0.1, 0.1, 0.0], [0.8, 0.9, 0.0], [0.3, 0.8, 0.0]])
    expected = np.mean([mann_whitney(targets[:, c], scores[:, c]) for c in (0, 1)])
    assert auroc(targets, scores) == pytest.approx(expected)


def test_calibration_error_by_hand():
    # Three images in the bin at 0.9, of which two are right, and one at 0.6 that is wrong.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.6, 0.4]])
    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    expected = (3 * abs(2 / 3 - 0.9) + 1 * abs(0 - 0.6)) / 4
    assert expected_calibration_error(targets, probabilities) == pytest.approx(expected)


def test_calibration_of_labels_that_do_not_exclude_each_other():
    targets = np.array([[1, 1], [0, 0]])
    assert expected_calibration_error(targets, targets.astype(float)) == 0
    assert expected_calibration_error(targets, 1.0 - targets) == 1


def test_the_interval_holds_the_value_and_narrows_with_more_patients():
    generator = np.random.default_rng(0)

    def estimate(patients: int):
        target = np.repeat(generator.integers(0, 2, patients), 2)
        score = target + generator.normal(0, 1, 2 * patients)
        return bootstrap(
            auroc, target[:, None], score[:, None], np.repeat(np.arange(patients), 2), resamples=200
        )

    few, many = estimate(20), estimate(400)
    assert few.low < few.value < few.high
    assert many.high - many.low < (few.high - few.low) / 2


def test_images_of_one_patient_are_drawn_together():
    # Ten copies of each of ten patients say no more than the ten patients.
    target = np.array([0, 1] * 5)
    score = np.random.default_rng(1).random(10)
    once = bootstrap(auroc, target[:, None], score[:, None], np.arange(10), resamples=300)
    copies = bootstrap(
        auroc,
        np.repeat(target, 10)[:, None],
        np.repeat(score, 10)[:, None],
        np.repeat(np.arange(10), 10),
        resamples=300,
    )
    assert copies.low == pytest.approx(once.low)
    assert copies.high == pytest.approx(once.high)


def test_the_same_seed_gives_the_same_interval():
    target, score = np.array([0, 1] * 10), np.random.default_rng(2).random(20)
    first, second = (
        bootstrap(auroc, target[:, None], score[:, None], np.arange(20), seed=3) for _ in range(2)
    )
    assert first == second


def calibration_gap(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    """The error of Guo et al. 2017, equation 3, bin by bin."""
    total = 0.0
    for number in range(bins):
        inside = (confidence >= number / bins) & (confidence < (number + 1) / bins)
        if number == bins - 1:
            inside |= confidence == 1
        if inside.any():
            total += inside.sum() * abs(correct[inside].mean() - confidence[inside].mean())
    return total / len(confidence)


def test_calibration_of_three_classes_looks_at_the_likeliest_only():
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([1, 1, 1], 200)
    probabilities[0] = [0, 1, 0]
    targets = np.eye(3)[generator.integers(0, 3, 200)]
    best = probabilities.argmax(axis=1)
    expected = calibration_gap(probabilities.max(axis=1), targets[np.arange(200), best], 15)
    assert expected_calibration_error(targets, probabilities) == pytest.approx(expected)
    assert expected > 0.05


def test_calibration_of_many_labels_counts_each_by_itself():
    generator = np.random.default_rng(1)
    probabilities, targets = generator.random((150, 4)), generator.integers(0, 2, (150, 4))
    expected = calibration_gap(probabilities.ravel(), targets.ravel(), 10)
    assert expected_calibration_error(targets, probabilities, bins=10) == pytest.approx(expected)


def test_the_interval_is_of_95_percent_over_groups_of_unequal_size():
    groups = np.array(["a", "b", "a", "c", "b", "a"])
    values = np.array([1.0, 2, 3, 4, 5, 6])[:, None]
    seen = []

    def mean(targets: np.ndarray, _: np.ndarray) -> float:
        seen.append(tuple(sorted(targets[:, 0])))
        return float(targets.mean())

    estimate = bootstrap(mean, values, values, groups, resamples=400)
    members = ((1.0, 3.0, 6.0), (2.0, 5.0), (4.0,))
    possible = {tuple(sorted(x + y + z)) for x in members for y in members for z in members}
    assert set(seen[:-1]) == possible  # whole groups, as many as there are, and each can be drawn
    low, high = np.percentile([np.mean(draw) for draw in seen[:-1]], [2.5, 97.5])
    assert (estimate.value, estimate.low, estimate.high) == (3.5, low, high)


def test_a_figure_that_is_never_defined_has_no_interval():
    ones = np.ones((6, 1))
    estimate = bootstrap(auroc, ones, ones, np.arange(6), resamples=20)
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()
