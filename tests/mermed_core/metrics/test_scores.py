"""Weighted scores against scikit-learn with sample weights, and against the same images repeated."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mermed_core.metrics.catalogue import (
    AUPRC,
    AUROC,
    BALANCED_ACCURACY,
    BRIER,
    F1,
    KAPPA,
    SCORES,
    SCORES_BY_CLASS,
)
from mermed_core.metrics.scores import auroc, over_classes, unweighted

KINDS = ("multiclass", "ordinal", "multilabel")
SEEDS = st.integers(0, 10_000)
many = settings(max_examples=15)


def example(kind, seed):
    """Few images, so that probabilities tie and some draws lack a class or an outcome."""
    generator = np.random.default_rng(seed)
    images, classes = int(generator.integers(3, 25)), int(generator.integers(2, 5))
    if kind == "multilabel":
        targets = (generator.random((images, classes)) < generator.random(classes)).astype(float)
        probabilities = generator.integers(0, 9, (images, classes)) / 8
    else:
        shown = generator.integers(0, generator.integers(1, classes + 1), images)
        targets = np.eye(classes)[shown]
        probabilities = generator.multinomial(6, np.full(classes, 1 / classes), images) / 6
    weights = generator.integers(0, 3, (6, images))
    weights[0], weights[1] = 1, 0
    return targets, probabilities, weights


def ours(score, *data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return score(*data)


def theirs(score, *data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what scikit-learn warns, NaN says here
        return score(*data, **options)


def reference(score, targets, probabilities, weights):
    """Returns a score of scikit-learn for every draw, on the images that were drawn."""
    rows = []
    for weight in weights:
        drawn = weight > 0
        rows.append(score(targets[drawn], probabilities[drawn], weight[drawn]) if drawn.any() else np.nan)
    return np.array(rows)


def of_class(score, column):
    """Returns a binary score of one column, NaN without both outcomes."""

    def binary(targets, probabilities, weight):
        target = targets[:, column]
        if target.min() == target.max():
            return np.nan
        return score(target, probabilities[:, column], sample_weight=weight)

    return binary


def decided(probabilities, kind):
    return probabilities >= 0.5 if kind == "multilabel" else probabilities.argmax(axis=1)


def shown_in(targets, kind):
    return targets if kind == "multilabel" else targets.argmax(axis=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("metric", "score"), [(AUROC, sk.roc_auc_score), (AUPRC, sk.average_precision_score)]
)
@many
@given(seed=SEEDS)
def test_ranking_scores_are_those_of_scikit_learn(kind, metric, score, seed):
    data = example(kind, seed)
    expected = np.stack([reference(of_class(score, c), *data) for c in range(data[0].shape[1])], axis=1)
    np.testing.assert_allclose(ours(SCORES_BY_CLASS[kind][metric], *data), expected, atol=1e-12)
    np.testing.assert_allclose(
        ours(SCORES[kind][metric], *data), theirs(np.nanmean, expected, axis=1), atol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
@many
@given(seed=SEEDS)
def test_f1_is_that_of_scikit_learn(kind, seed):
    data = example(kind, seed)
    labels = None if kind == "multilabel" else np.arange(data[0].shape[1])

    def f1(average):
        return lambda targets, probabilities, weight: theirs(
            sk.f1_score,
            shown_in(targets, kind),
            decided(probabilities, kind),
            labels=labels,
            average=average,
            sample_weight=weight,
            zero_division=np.nan,
        )

    np.testing.assert_allclose(ours(SCORES[kind][F1], *data), reference(f1("macro"), *data), atol=1e-12)
    by_class = ours(SCORES_BY_CLASS[kind][F1], *data)
    drawn = data[2].any(axis=1)
    expected = reference(f1(None), data[0], data[1], data[2][drawn])
    np.testing.assert_allclose(by_class[drawn], expected, atol=1e-12)
    assert np.isnan(by_class[~drawn]).all()


@many
@given(seed=SEEDS)
def test_balanced_accuracy_is_that_of_scikit_learn(seed):
    def score(targets, probabilities, weight):
        answers = targets.argmax(axis=1), probabilities.argmax(axis=1)
        return theirs(sk.balanced_accuracy_score, *answers, sample_weight=weight)

    data = example("multiclass", seed)
    values = ours(SCORES["multiclass"][BALANCED_ACCURACY], *data)
    np.testing.assert_allclose(values, reference(score, *data), atol=1e-12)


@many
@given(seed=SEEDS)
def test_balanced_accuracy_of_many_labels_is_the_mean_of_the_binary_ones(seed):
    targets, probabilities, weights = example("multilabel", seed)
    named = (probabilities >= 0.5).astype(float)
    columns = range(targets.shape[1])
    each = [reference(of_class(sk.balanced_accuracy_score, c), targets, named, weights) for c in columns]
    values = ours(SCORES["multilabel"][BALANCED_ACCURACY], targets, probabilities, weights)
    np.testing.assert_allclose(values, theirs(np.nanmean, each, axis=0), atol=1e-12)


@many
@given(seed=SEEDS)
def test_kappa_is_that_of_scikit_learn_over_all_grades(seed):
    def score(targets, probabilities, weight):
        shown, named = targets.argmax(axis=1), probabilities.argmax(axis=1)
        if len(np.unique([shown, named])) == 1:
            return np.nan
        grades = np.arange(targets.shape[1])
        return theirs(
            sk.cohen_kappa_score, shown, named, labels=grades, weights="quadratic", sample_weight=weight
        )

    data = example("ordinal", seed)
    np.testing.assert_allclose(ours(SCORES["ordinal"][KAPPA], *data), reference(score, *data), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@many
@given(seed=SEEDS)
def test_brier_score_is_that_of_scikit_learn(kind, seed):
    def score(targets, probabilities, weight):
        if kind == "multilabel":
            columns = zip(targets.T, probabilities.T, strict=True)
            each = [
                sk.brier_score_loss(*column, sample_weight=weight, pos_label=1, labels=[0, 1])
                for column in columns
            ]
            return np.mean(each)
        labels = np.arange(targets.shape[1])
        shown = targets.argmax(axis=1)
        options = {"sample_weight": weight, "labels": labels, "scale_by_half": False}
        return theirs(sk.brier_score_loss, shown, probabilities, **options)

    data = example(kind, seed)
    np.testing.assert_allclose(ours(SCORES[kind][BRIER], *data), reference(score, *data), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@many
@given(seed=SEEDS)
def test_a_count_stands_for_as_many_copies_of_the_image(kind, seed):
    targets, probabilities, weights = example(kind, seed)
    for score in [*SCORES[kind].values(), *SCORES_BY_CLASS[kind].values()]:
        values = ours(score, targets, probabilities, weights)
        for weight, value in zip(weights, values, strict=True):
            if weight.any():
                copies = np.repeat(targets, weight, axis=0), np.repeat(probabilities, weight, axis=0)
                expected = ours(score, *copies, np.ones((1, weight.sum())))[0]
                np.testing.assert_allclose(value, expected, atol=1e-12)
            else:
                assert np.isnan(value).all()


def mann_whitney(target, score):
    """The chance that a positive image scores higher than a negative one, ties counting half."""
    positive, negative = score[target == 1], score[target == 0]
    return float(np.mean([(p > n) + 0.5 * (p == n) for p in positive for n in negative]))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=30))
def test_auroc_is_the_chance_of_a_right_order(pairs):
    target = np.array([pair[0] for pair in pairs])
    score = np.array([pair[1] / 5 for pair in pairs])
    value = unweighted(auroc, target[:, None], score[:, None])
    if 0 < target.sum() < len(target):
        assert value == pytest.approx(mann_whitney(target, score))
    else:
        assert np.isnan(value)


def test_auroc_is_the_mean_over_classes_that_can_be_judged():
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]])
    scores = np.array([[0.9, 0.2, 0.0], [0.1, 0.1, 0.0], [0.8, 0.9, 0.0], [0.3, 0.8, 0.0]])
    expected = np.mean([mann_whitney(targets[:, c], scores[:, c]) for c in (0, 1)])
    assert unweighted(auroc, targets, scores) == pytest.approx(expected)


def test_every_kind_measures_the_same_and_grades_have_kappa_besides():
    assert set(SCORES["multiclass"]) == set(SCORES["multilabel"]) == set(SCORES["ordinal"]) - {KAPPA}
    assert all(set(SCORES_BY_CLASS[kind]) == {AUROC, AUPRC, F1} for kind in KINDS)


def test_the_mean_over_classes_leaves_out_what_is_not_defined():
    values = np.array([[0.2, np.nan, 0.6], [np.nan] * 3])
    np.testing.assert_array_equal(ours(over_classes, values), [0.4, np.nan])


def test_of_two_classes_the_brier_score_is_twice_and_f1_the_mean_of_both():
    generator = np.random.default_rng(0)
    shown, second = generator.integers(0, 2, 40), generator.random(40)
    data = np.eye(2)[shown], np.column_stack([1 - second, second]), np.ones((1, 40))
    of_two = SCORES["multiclass"]
    assert of_two[BRIER](*data)[0] == pytest.approx(2 * sk.brier_score_loss(shown, second))
    assert of_two[F1](*data)[0] == pytest.approx(sk.f1_score(shown, second > 0.5, average="macro"))
    both = sk.average_precision_score(shown, second), sk.average_precision_score(1 - shown, 1 - second)
    assert of_two[AUPRC](*data)[0] == pytest.approx(np.mean(both))
