"""The linear probe on made-up vectors: against fitting by hand, and without a test split."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.protocols.linear_probe import (
    fit_few,
    fit_probe,
    linear_probe,
    measured_split,
    predict,
)
from mermed_core.evaluation.task import Task
from mermed_core.fitting.linear_heads import fit_head

CLASSES = ("a", "b", "c")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On a busy machine the threads of tiny matrix products wait for each other."""
    with threadpool_limits(1):
        yield


def clusters(count: int, seed: int = 0, noise: float = 0.5) -> Task:
    """Unit vectors around an axis for each class; splits in turn, seven of ten for train."""
    random = np.random.default_rng(seed)
    member = np.arange(count) % 3
    vectors = np.eye(8)[member] + random.normal(0, noise, (count, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = np.array([f"image {row}" for row in range(count)])
    return Task(
        "made up",
        "ct",
        "multiclass",
        CLASSES,
        vectors.astype(np.float32),
        np.eye(3)[member],
        names,
        np.array(["train"] * 7 + ["val"] + ["test"] * 2)[np.arange(count) // 3 % 10],
        names,
        pd.DataFrame({"row": np.arange(count)}),
    )


def test_it_is_the_head_fitted_on_train_and_val_applied_to_test():
    task = clusters(150)
    predictions = linear_probe(task, encoder="tiny")
    test = task.split("test")
    head = fit_head(task.label_set, "ct", task.split("train").labelled(), task.split("val").labelled())
    np.testing.assert_allclose(predictions.probabilities, head.probabilities(test.vectors), atol=1e-6)
    np.testing.assert_array_equal(predictions.case_ids, test.case_ids)
    np.testing.assert_array_equal(predictions.columns["row"], np.flatnonzero(task.splits == "test"))
    assert (predictions.encoder, predictions.protocol) == ("tiny", "linear_probe")
    assert (predictions.probabilities.argmax(1) == test.targets.argmax(1)).mean() > 0.7


def test_images_of_the_test_split_teach_nothing():
    task = clusters(150)
    plain = linear_probe(task, encoder="tiny").probabilities
    task.targets[task.splits == "test"] = [1, 0, 0]
    np.testing.assert_array_equal(linear_probe(task, encoder="tiny").probabilities, plain)


def test_sure_answers_do_not_round_to_ties():
    task = clusters(60)
    head = fit_few(task)
    head.weight[:] *= 1000  # as a head on separable vectors may have
    probabilities = predict(head, task, encoder="tiny", protocol="linear_probe").probabilities
    assert probabilities.dtype == np.float64
    assert len(np.unique(probabilities[:, 0])) > len(np.unique(probabilities[:, 0].astype(np.float32)))


def test_without_a_test_image_it_says_what_to_do():
    task = clusters(21)
    with pytest.raises(EvaluationError, match="'made up' has no image in the test split"):
        linear_probe(task, encoder="tiny")
    with pytest.raises(EvaluationError):
        measured_split(task)


def test_without_a_training_image_it_says_what_to_do():
    tested = clusters(150).split("test")
    for refuse in (fit_probe, measured_split):
        with pytest.raises(EvaluationError, match="'made up' has no image in the train split"):
            refuse(tested)


def test_few_images_are_fitted_with_the_middle_penalty_as_scikit_learn_does():
    train = clusters(12)
    head = fit_few(train)
    scaled = (train.vectors - train.vectors.mean(0)) / train.vectors.std(0)
    reference = LogisticRegression(C=1 / 8, max_iter=500, tol=1e-3)
    reference.fit(scaled, train.targets.argmax(1))
    assert head.temperature == 1
    np.testing.assert_allclose(head.probabilities(train.vectors), reference.predict_proba(scaled), atol=1e-3)
