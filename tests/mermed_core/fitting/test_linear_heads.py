"""Linear heads on made-up vectors whose right answer is known."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from mermed_core.data.manifest import LabelSet
from mermed_core.fitting.linear_heads import (
    Labelled,
    fit_head,
    fit_temperature,
    negative_log_likelihood,
    one_hot,
)

NAMES = ("a", "b", "c")


def clusters(per_class: int, classes: int, seed: int, noise: float = 0.3) -> Labelled:
    """Unit vectors around one axis per class; every two images share a group."""
    generator = np.random.default_rng(seed)
    member = np.repeat(np.arange(classes), per_class)
    vectors = np.eye(8)[member] + generator.normal(0, noise, (len(member), 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = np.array([f"{seed}-{i // 2}" for i in range(len(member))])
    return Labelled(vectors.astype(np.float32), np.eye(classes)[member], groups)


def accuracy(head, data: Labelled) -> float:
    return float((head.probabilities(data.vectors).argmax(1) == data.targets.argmax(1)).mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_tells_clusters_apart(classes):
    label_set = LabelSet("made up", "multiclass", NAMES[:classes])
    head = fit_head(label_set, "ct", clusters(30, classes, 0), clusters(20, classes, 1))
    assert head.weight.shape == (classes, 8)
    assert accuracy(head, clusters(40, classes, 2)) > 0.95


def test_without_held_out_images_it_cross_validates_over_groups():
    nothing = Labelled(np.empty((0, 8), np.float32), np.empty((0, 3)), np.empty(0, str))
    head = fit_head(LabelSet("made up", "multiclass", NAMES), "ct", clusters(30, 3, 0), nothing)
    assert accuracy(head, clusters(40, 3, 2)) > 0.95
    assert head.temperature > 0


def test_labels_that_do_not_exclude_each_other():
    data = clusters(40, 2, 0)
    both = Labelled(data.vectors, np.column_stack([data.targets[:, 0], np.ones(len(data))]), data.groups)
    both.targets[::7, 1] = 0  # a class of one kind only could not be fitted
    head = fit_head(LabelSet("made up", "multilabel", ("a", "b")), "cxr", both, both)
    probabilities = head.probabilities(data.vectors)
    assert ((probabilities[:, 0] > 0.5) == (data.targets[:, 0] == 1)).mean() > 0.95
    assert probabilities[:, 1].mean() > 0.7


def test_two_classes_are_as_scikit_learn_fits_them():
    train, held_out = clusters(30, 2, 0), clusters(20, 2, 1)
    head = fit_head(LabelSet("made up", "multiclass", NAMES[:2]), "ct", train, held_out)
    scaler = (train.vectors - train.vectors.mean(0)) / train.vectors.std(0)
    order = LogisticRegression(C=1.0, max_iter=500).fit(scaler, train.targets[:, 1]).decision_function(scaler)
    ours = head.logits(train.vectors)
    assert np.corrcoef(ours[:, 1] - ours[:, 0], order)[0, 1] > 0.98


def test_the_temperature_undoes_an_exaggeration():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4000, 3))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    drawn = np.array([generator.choice(3, p=row) for row in shares])
    assert fit_temperature(4 * logits, np.eye(3)[drawn], "multiclass") == pytest.approx(4, rel=0.1)


def test_likelihood_by_hand():
    logits = np.log(np.array([[0.5, 0.25, 0.25]]))
    assert negative_log_likelihood(logits, np.array([[0, 1, 0]]), "multiclass") == pytest.approx(np.log(4))
    assert negative_log_likelihood(np.zeros((2, 1)), np.array([[0], [1]]), "multilabel") == pytest.approx(
        np.log(2)
    )


def test_likelihood_of_several_labels_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (50, 3))
    targets = (generator.random((50, 3)) < 0.3).astype(float)
    targets[:, 2] = 1
    expected = np.mean(
        [log_loss(t, expit(x), labels=[0, 1]) for t, x in zip(targets.T, logits.T, strict=True)]
    )
    assert negative_log_likelihood(logits, targets, "multilabel") == pytest.approx(expected, rel=1e-12)
    # A sure and wrong answer costs as much as the bound on probabilities says.
    assert negative_log_likelihood(np.array([[99.0]]), np.zeros((1, 1)), "multilabel") == pytest.approx(
        -np.log(1e-7), rel=1e-6
    )


def test_one_hot_leaves_other_names_out():
    np.testing.assert_array_equal(one_hot([["a"], ["b", "z"], []], ("a", "b")), [[1, 0], [0, 1], [0, 0]])
    assert one_hot([], ("a", "b")).shape == (0, 2)


def test_a_single_group_takes_the_middle_penalty_uncalibrated():
    data = clusters(20, 2, 0)
    one = Labelled(data.vectors, data.targets, np.full(len(data), "only patient"))
    nothing = Labelled(np.empty((0, 8), np.float32), np.empty((0, 2)), np.empty(0, str))
    head = fit_head(LabelSet("made up", "multiclass", NAMES[:2]), "ct", one, nothing)
    assert head.temperature == 1
    assert head.training_images == 40
    assert accuracy(head, clusters(20, 2, 2)) > 0.95


def test_a_single_class_is_certain():
    data = clusters(10, 1, 0)
    head = fit_head(LabelSet("made up", "multiclass", ("a",)), "ct", data, data)
    np.testing.assert_array_equal(head.probabilities(data.vectors), np.ones((10, 1)))


def test_a_label_that_every_image_or_none_has_is_as_sure_as_their_number():
    data = clusters(15, 2, 0)
    targets = np.column_stack([data.targets[:, 0], np.ones(30), np.zeros(30)])
    same = Labelled(data.vectors, targets, data.groups)
    head = fit_head(LabelSet("made up", "multilabel", NAMES), "cxr", same, same)
    np.testing.assert_array_equal(head.weight[1:], 0)
    np.testing.assert_allclose(head.bias[1:], [np.log(31), -np.log(31)], rtol=1e-6)


@pytest.mark.parametrize(("kind", "classes"), [("multiclass", 2), ("multiclass", 3), ("multilabel", 2)])
def test_a_weight_is_worth_as_many_copies(kind, classes):
    data = clusters(20, classes, 0, noise=0.6)
    counts = np.random.default_rng(1).integers(1, 4, len(data))
    copies = np.repeat(np.arange(len(data)), counts)
    label_set = LabelSet("made up", kind, NAMES[:classes])
    weighed = Labelled(data.vectors, data.targets, data.groups, counts.astype(float))
    ours = fit_head(label_set, "ct", weighed, weighed.rows(np.arange(0)), penalties=(1.0,))
    scaled = (data.vectors - data.vectors.mean(0)) / data.vectors.std(0)
    logits = ours.logits(data.vectors)
    if kind == "multilabel":
        pairs = [(logits[:, column], data.targets[:, column]) for column in range(classes)]
    else:
        pairs = [(logits[:, 1] - logits[:, 0] if classes == 2 else logits, data.targets.argmax(1))]
    for found, target in pairs:
        expected = LogisticRegression(C=1 / 8, max_iter=500, tol=1e-3).fit(scaled[copies], target[copies])
        np.testing.assert_allclose(found, expected.decision_function(scaled), atol=0.03)


def test_weights_move_a_head():
    data = clusters(30, 2, 0, noise=0.8)
    label_set = LabelSet("made up", "multiclass", NAMES[:2])
    plain = fit_head(label_set, "ct", data, data, penalties=(1.0,))
    second = Labelled(data.vectors, data.targets, data.groups, 1 + 30 * data.targets[:, 1])
    heavy = fit_head(label_set, "ct", second, data, penalties=(1.0,))
    named = [head.probabilities(data.vectors)[:, 1].mean() for head in (plain, heavy)]
    assert named[1] > named[0] + 0.1


def test_a_single_penalty_is_taken_uncalibrated():
    data = clusters(20, 2, 0)
    head = fit_head(LabelSet("made up", "multiclass", NAMES[:2]), "ct", data, data, penalties=(0.3,))
    assert head.temperature == 1


def test_rows_and_columns_take_the_weights_along():
    data = clusters(4, 3, 0)
    data = Labelled(data.vectors, data.targets, data.groups, np.arange(12.0))
    part = data.rows(np.array([5, 1]))
    assert part.weights is not None
    assert part.weights.tolist() == [5, 1]
    fewer = data.columns(np.array([2, 0]))
    np.testing.assert_array_equal(fewer.targets, data.targets[:, [2, 0]])
    assert fewer.weights is data.weights
