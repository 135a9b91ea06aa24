"""The classifier beside the votes: out-of-sample probabilities of stated labels."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mermed_core.collections.quality.label_probe import label_probabilities


def cases(count, patients, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    vectors = random.normal(size=(count, 8)) + labels[:, None] * 2.0
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels, np.arange(count) % patients


def test_each_case_is_judged_by_a_classifier_that_never_saw_its_patient():
    vectors, labels, patients = cases(80, 2)
    labels = np.random.default_rng(1).permutation(labels)
    found = label_probabilities(vectors, labels, patients)
    assert found is not None
    for patient in (0, 1):  # two patients, so two folds: worked out one by one
        own, other = patients == patient, patients != patient
        model = LogisticRegression(C=0.05, max_iter=300).fit(vectors[other] * 8**0.5, labels[other])
        expected = model.predict_proba(vectors[own] * 8**0.5)[np.arange(own.sum()), labels[own]]
        np.testing.assert_allclose(found[own], expected, atol=1e-6)


def test_a_wrong_label_is_improbable():
    vectors, labels, patients = cases(100, 100)
    stated = labels.copy()
    stated[:4] = 1 - stated[:4]
    found = label_probabilities(vectors, stated, patients)
    assert found is not None
    assert found[:4].max() < 0.5 < np.median(found[4:])


def test_a_label_of_one_patient_alone_has_nothing_for_it():
    vectors, labels, patients = cases(40, 10)
    labels[patients == 3] = 2
    found = label_probabilities(vectors, labels, patients)
    assert found is not None
    assert (found[patients == 3] == 0).all()


@pytest.mark.parametrize("patients", [[0, 0, 0], []])
def test_one_patient_or_none_teaches_nothing(patients):
    vectors, labels, _ = cases(3, 3)
    count = len(patients)
    assert label_probabilities(vectors[:count], labels[:count], np.array(patients, np.int64)) is None
