"""Calibration errors against the definition, bin by bin, and by hand."""

import numpy as np
import pytest

from mermed_core.metrics.calibration import calibration_bins, expected_calibration_error
from mermed_core.metrics.scores import unweighted


def ece(targets, probabilities, *, multilabel=False):
    def score(*data):
        return expected_calibration_error(*data, multilabel=multilabel)

    return unweighted(score, targets, probabilities)


def calibration_gap(confidence, correct, bins):
    """The error of Guo et al. 2017, equation 3, bin by bin."""
    total = 0.0
    for number in range(bins):
        inside = (confidence >= number / bins) & (confidence < (number + 1) / bins)
        if number == bins - 1:
            inside |= confidence == 1
        if inside.any():
            total += inside.sum() * abs(correct[inside].mean() - confidence[inside].mean())
    return total / len(confidence)


def test_the_error_by_hand():
    # Three images in the bin at 0.9, of which two are right, and one at 0.6 that is wrong.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.6, 0.4]])
    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    expected = (3 * abs(2 / 3 - 0.9) + 1 * abs(0 - 0.6)) / 4
    assert ece(targets, probabilities) == pytest.approx(expected)


def test_labels_that_do_not_exclude_each_other():
    targets = np.array([[1, 1], [0, 0]])
    assert ece(targets, targets.astype(float), multilabel=True) == 0
    assert ece(targets, 1.0 - targets, multilabel=True) == 1


def test_only_the_likeliest_of_three_classes_counts():
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([1, 1, 1], 200)
    probabilities[0] = [0, 1, 0]
    targets = np.eye(3)[generator.integers(0, 3, 200)]
    best = probabilities.argmax(axis=1)
    expected = calibration_gap(probabilities.max(axis=1), targets[np.arange(200), best], 15)
    assert ece(targets, probabilities) == pytest.approx(expected)
    assert expected > 0.05


def test_each_of_many_labels_counts_by_itself():
    generator = np.random.default_rng(1)
    probabilities, targets = generator.random((150, 4)), generator.integers(0, 2, (150, 4))
    expected = calibration_gap(probabilities.ravel(), targets.ravel(), 15)
    assert ece(targets, probabilities, multilabel=True) == pytest.approx(expected)


@pytest.mark.parametrize("multilabel", [False, True])
def test_the_bins_add_up_to_the_error(multilabel):
    generator = np.random.default_rng(2)
    probabilities = generator.dirichlet([1, 1, 1], 100)
    targets = np.eye(3)[generator.integers(0, 3, 100)]
    bins = calibration_bins(targets, probabilities, multilabel=multilabel)
    gaps = (bins["confidence"] - bins["accuracy"]).abs() * bins["images"]
    assert bins["images"].sum() == (300 if multilabel else 100)
    expected = ece(targets, probabilities, multilabel=multilabel)
    assert gaps.sum() / bins["images"].sum() == pytest.approx(expected)
