import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin

from mermed_core.metrics.conformal import (
    calibration_scores,
    cases_needed,
    limit,
    limits,
    prediction_sets,
)


class AsGiven(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are its inputs."""

    def fit(self, inputs, labels):
        self.classes_ = np.arange(inputs.shape[1])
        return self

    def predict_proba(self, inputs):
        return inputs

    def predict(self, inputs):
        return inputs.argmax(axis=1)


def drawn(images: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(images)
    labels = np.repeat(np.arange(classes), images)
    logits = random.normal(size=(images * classes, classes)) + 1.5 * np.eye(classes)[labels]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize(("level", "needed"), [(0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_a_limit_needs_so_many_cases_and_not_one_fewer(level, needed):
    assert cases_needed(level) == needed
    assert math.isfinite(limit(np.linspace(0, 1, needed), level))
    assert limit(np.linspace(0, 1, needed - 1), level) == math.inf


@given(
    st.lists(st.floats(0, 1, width=32), min_size=2, max_size=60, unique=True),
    st.sampled_from([0.5, 0.8, 0.9, 0.95]),
)
def test_of_exchangeable_cases_the_stated_share_is_covered_exactly(scores, level):
    """Each of n + 1 cases is as likely the new one; covered are the ⌈(n + 1) · level⌉ lowest, no more."""
    values = np.array(scores)
    covered = sum(value <= limit(np.delete(values, i), level) for i, value in enumerate(values))
    assert covered == math.ceil(round(len(values) * level, 9))
    assert covered >= round(len(values) * level, 9)


@pytest.mark.parametrize("images", [11, 12, 40, 99])
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_sets_are_those_of_mapie_class_by_class(images, level):
    mapie = pytest.importorskip("mapie.classification")
    probabilities, labels = drawn(images)
    new, _ = drawn(50)
    classes = range(probabilities.shape[1])
    ours = prediction_sets(new, limits([1 - probabilities[labels == k, k] for k in classes], level))
    estimator = AsGiven().fit(probabilities, labels)
    for k in classes:
        judge = mapie.SplitConformalClassifier(
            estimator, confidence_level=level, conformity_score="lac", prefit=True
        )
        judge.conformalize(probabilities[labels == k], labels[labels == k])
        _, sets = judge.predict_set(new)
        np.testing.assert_array_equal(ours[:, k], sets[:, k, 0])


def test_each_class_is_covered_even_where_it_is_rare_and_hard():
    random = np.random.default_rng(0)
    labels = (random.random(6000) < 0.1).astype(int)  # the rare class looks like the other one at times
    shown = np.where(labels == 1, random.beta(2, 2, 6000), random.beta(1, 6, 6000))
    probabilities = np.column_stack([1 - shown, shown])
    half = np.arange(6000) < 3000
    targets = np.eye(2)[labels]
    scores = calibration_scores(probabilities[half], targets[half], np.arange(3000))
    held = prediction_sets(probabilities[~half], limits(scores, 0.9))
    for k in (0, 1):
        mine = labels[~half] == k
        # Three standard errors, of the calibration as of the test.
        room = 3 * math.sqrt(0.09 / mine.sum() + 0.09 / len(scores[k]))
        assert abs(held[mine, k].mean() - 0.9) < room


def test_a_patient_counts_once_for_a_class():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    targets = np.array([[1, 0], [1, 0], [0, 1], [1, 0]])
    first, second = calibration_scores(probabilities, targets, np.array(["a", "a", "a", "b"]))
    assert len(first) == 2
    assert first[1] == pytest.approx(0.4)
    assert second == pytest.approx([0.3])
