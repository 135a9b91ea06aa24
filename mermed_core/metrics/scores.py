"""Scores of probabilities, for many weightings of the images at once: a bootstrap draw is a row of counts.

Every score takes targets (images, classes) of 0 and 1, probabilities (images, classes) in 0..1 and weights
(draws, images), 0 or more, and returns (draws,); those by class return (draws, classes). A row of ones gives
the plain score. What is not defined in a draw is NaN and is left out of means over classes.

Two classes that exclude each other are two columns like any more: average precision and F1 are means over
both, not those of a positive class, and the Brier score is twice the one of a single column, which
scikit-learn's brier_score_loss gives.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from mermed_core.evaluation.results import AUPRC, AUROC, BALANCED_ACCURACY, BRIER, ECE, F1, KAPPA

Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

_BINS = 15


def auroc_by_class(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the one-versus-rest AUROC of each class, ties counting half; NaN without both outcomes."""
    return _each_class(_auroc, targets, probabilities, weights)


def auprc_by_class(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the average precision of each class: the sum over thresholds of precision times gained recall.

    Equal probabilities pass a threshold together. NaN without both outcomes, as AUROC is.
    """
    return _each_class(_average_precision, targets, probabilities, weights)


def f1_by_class(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, *, multilabel: bool = False
) -> np.ndarray:
    """Returns the F1 score of each class; NaN where it is neither shown nor named.

    Named is the likeliest class, or with `multilabel` every class from 0.5 on.
    """
    hits, named, shown = _counts(targets, probabilities, weights, multilabel)
    return _ratio(2 * hits, named + shown)


def auroc(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the mean AUROC over the classes that occur with both outcomes."""
    return over_classes(auroc_by_class(targets, probabilities, weights))


def auprc(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the mean average precision over the classes that occur with both outcomes."""
    return over_classes(auprc_by_class(targets, probabilities, weights))


def f1(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, *, multilabel: bool = False
) -> np.ndarray:
    """Returns the mean F1 score over the classes that are shown or named."""
    return over_classes(f1_by_class(targets, probabilities, weights, multilabel=multilabel))


def balanced_accuracy(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, *, multilabel: bool = False
) -> np.ndarray:
    """Returns the mean recall over the classes that occur.

    With `multilabel`, each class from 0.5 on is named, and it is the mean of (recall + specificity) / 2 over
    the classes that occur with both outcomes.
    """
    hits, named, shown = _counts(targets, probabilities, weights, multilabel)
    recall = _ratio(hits, shown)
    if not multilabel:
        return over_classes(recall)
    absent = weights.sum(axis=1)[:, None] - shown
    return over_classes((recall + _ratio(absent - named + hits, absent)) / 2)


def quadratic_kappa(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns Cohen's kappa with quadratic weights (Cohen 1968) between shown and likeliest grade.

    The classes are grades at equal steps in their order. 1 minus the mean squared difference over the one
    expected if both were independent; NaN where only one grade is shown and named.
    """
    shown, named = targets.argmax(axis=1), probabilities.argmax(axis=1)
    moments = np.stack([shown, named, shown**2 + named**2, (shown - named) ** 2], axis=1)
    first, second, squares, differences = (weights @ moments).T
    total = weights.sum(axis=1)
    # Multiplied by the total twice: of counts these are whole numbers, and so is the 0 of a single grade.
    return 1 - _ratio(total * differences, total * squares - 2 * first * second)


def expected_calibration_error(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, *, multilabel: bool = False
) -> np.ndarray:
    """Returns the mean gap between confidence and accuracy in 15 equally wide bins (Guo et al. 2017).

    Of the likeliest class; with `multilabel` each class counts by itself.
    """
    confidence, correct = probabilities, targets
    if not multilabel:
        best = probabilities.argmax(axis=1)[:, None]
        confidence, correct = (np.take_along_axis(each, best, axis=1) for each in (probabilities, targets))
    which = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.zeros((len(targets), _BINS))
    np.add.at(gaps, (np.arange(len(targets))[:, None], which), correct - confidence)
    return _ratio(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1) * confidence.shape[1])


def brier(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, *, multilabel: bool = False
) -> np.ndarray:
    """Returns the mean over images, 0..2, of the squared error summed over classes (Brier 1950).

    With `multilabel`, the mean over images and classes, 0..1.
    """
    squares = (probabilities - targets) ** 2
    errors = squares.mean(axis=1) if multilabel else squares.sum(axis=1)
    return _ratio(weights @ errors, weights.sum(axis=1))


def over_classes(values: np.ndarray) -> np.ndarray:
    """Returns the mean (draws,) of values (draws, classes) over the classes where they are defined."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1))


def _each_class(
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
    targets: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    # A row an image in memory too: sorting and summing rows is several times faster than columns.
    by_image = np.ascontiguousarray(weights.T, float)
    pairs = zip(targets.T, probabilities.T, strict=True)
    return np.stack([score(*_steps(*pair, by_image)) for pair in pairs], axis=1)


def _steps(target: np.ndarray, column: np.ndarray, by_image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weights (steps, draws) of positive and of negative images, from weights (images, draws).

    A step is a distinct probability of the column, the highest first.
    """
    order = np.argsort(-column, kind="stable")
    starts = np.flatnonzero(np.diff(column[order], prepend=np.inf))
    ordered = by_image[order]
    both = np.add.reduceat(ordered, starts, axis=0)
    positive = np.add.reduceat(ordered * target[order, None], starts, axis=0)
    return positive, both - positive


def _auroc(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    positives, negatives = positive.sum(axis=0), negative.sum(axis=0)
    beaten = negatives - np.cumsum(negative, axis=0) + negative / 2
    return _ratio((positive * beaten).sum(axis=0), positives * negatives)


def _average_precision(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    hits, passed = np.cumsum(positive, axis=0), np.cumsum(positive + negative, axis=0)
    precision = np.divide(hits, passed, out=np.zeros_like(hits), where=passed > 0)
    positives = np.where(hits[-1] < passed[-1], hits[-1], 0)
    return _ratio((positive * precision).sum(axis=0), positives)


def _counts(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, multilabel: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the weights (draws, classes) of images where a class is rightly named, named and shown."""
    if multilabel:
        named = probabilities >= 0.5
    else:
        named = probabilities.argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])
    return weights @ (named * targets), weights @ named.astype(float), weights @ targets


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Returns the quotient, NaN where the denominator is 0."""
    nowhere = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=nowhere, where=denominator > 0)


_RANKED: dict[str, Score] = {AUROC: auroc, AUPRC: auprc}
_DECIDED: dict[str, Callable[..., np.ndarray]] = {
    BALANCED_ACCURACY: balanced_accuracy,
    F1: f1,
    ECE: expected_calibration_error,
    BRIER: brier,
}
# What is measured, by kind of task; the mean over classes of what is also measured by class.
SCORES: dict[str, dict[str, Score]] = {
    "multiclass": _RANKED | _DECIDED,
    "ordinal": _RANKED | _DECIDED | {KAPPA: quadratic_kappa},
    "multilabel": _RANKED | {metric: partial(score, multilabel=True) for metric, score in _DECIDED.items()},
}
_BY_CLASS: dict[str, Score] = {AUROC: auroc_by_class, AUPRC: auprc_by_class, F1: f1_by_class}
SCORES_BY_CLASS: dict[str, dict[str, Score]] = {
    "multiclass": _BY_CLASS,
    "ordinal": _BY_CLASS,
    "multilabel": _BY_CLASS | {F1: partial(f1_by_class, multilabel=True)},
}
