"""Scores of probabilities, for many weightings of the images at once.

Every score takes targets (images, classes) of 0 and 1, probabilities (images, classes) in 0..1 and weights
(draws, images), 0 or more, and returns (draws,); those by class return (draws, classes). A bootstrap draw is
a row of counts, and a row of ones gives the plain score, as `unweighted` does. What is not defined in a draw
is NaN and is left out of means over classes.

Two classes that exclude each other are two columns like any others: average precision and F1 are means over
both, not the score of a positive class.
"""

from collections.abc import Callable

import numpy as np

Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def unweighted(score: Score, targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns a score of the images as they are, each counting once.

    Args:
        score: one that returns (draws,).
        targets: (images, classes) of 0 and 1.
        probabilities: (images, classes) in 0..1.
    """
    return float(score(targets, probabilities, np.ones((1, len(targets))))[0])


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
    """Returns the F1 score of each class; NaN where it is neither true nor predicted.

    The likeliest class is predicted, or with `multilabel` every class with a probability of 0.5 or more.
    """
    hits, predicted, actual = _counts(targets, probabilities, weights, multilabel)
    return ratio(2 * hits, predicted + actual)


def auroc(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the mean AUROC over the classes that occur with both outcomes."""
    return over_classes(auroc_by_class(targets, probabilities, weights))


def auprc(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the mean average precision over the classes that occur with both outcomes."""
    return over_classes(auprc_by_class(targets, probabilities, weights))


def f1(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, *, multilabel: bool = False
) -> np.ndarray:
    """Returns the mean F1 score over the classes that are true or predicted for any image."""
    return over_classes(f1_by_class(targets, probabilities, weights, multilabel=multilabel))


def balanced_accuracy(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, *, multilabel: bool = False
) -> np.ndarray:
    """Returns the mean recall over the classes that occur.

    With `multilabel`, every class with a probability of 0.5 or more is predicted, and the score is the mean
    of (recall + specificity) / 2 over the classes that occur with both outcomes.
    """
    hits, predicted, actual = _counts(targets, probabilities, weights, multilabel)
    recall = ratio(hits, actual)
    if not multilabel:
        return over_classes(recall)
    absent = weights.sum(axis=1)[:, None] - actual
    return over_classes((recall + ratio(absent - predicted + hits, absent)) / 2)


def quadratic_kappa(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns Cohen's kappa with quadratic weights (Cohen 1968) between the true and the likeliest grade.

    The classes are taken as equally spaced grades in their order. Kappa is 1 minus the mean squared
    difference over the one expected if both were independent; NaN where only one grade is true and predicted.
    """
    actual, predicted = targets.argmax(axis=1), probabilities.argmax(axis=1)
    moments = np.stack([actual, predicted, actual**2 + predicted**2, (actual - predicted) ** 2], axis=1)
    first, second, squares, differences = (weights @ moments).T
    total = weights.sum(axis=1)
    # Both sides are multiplied by the total: counts stay whole numbers, and a single grade gives exactly 0.
    return 1 - ratio(total * differences, total * squares - 2 * first * second)


def over_classes(values: np.ndarray) -> np.ndarray:
    """Returns the mean (draws,) of values (draws, classes) over the classes where they are defined."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1))


def _each_class(
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
    targets: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    # One row per image, also in memory: sorting and summing rows is several times faster than columns.
    by_image = np.ascontiguousarray(weights.T, float)
    pairs = zip(targets.T, probabilities.T, strict=True)
    return np.stack([score(*_steps(*pair, by_image)) for pair in pairs], axis=1)


def _steps(target: np.ndarray, column: np.ndarray, by_image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weights (steps, draws) of positive and of negative images.

    A step is a distinct probability of the column (images,), the highest first.
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
    return ratio((positive * beaten).sum(axis=0), positives * negatives)


def _average_precision(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    hits, passed = np.cumsum(positive, axis=0), np.cumsum(positive + negative, axis=0)
    precision = np.divide(hits, passed, out=np.zeros_like(hits), where=passed > 0)
    positives = np.where(hits[-1] < passed[-1], hits[-1], 0)
    return ratio((positive * precision).sum(axis=0), positives)


def _counts(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, multilabel: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the weights (draws, classes) of correct predictions, of all predictions and of true labels."""
    if multilabel:
        predicted = probabilities >= 0.5
    else:
        predicted = probabilities.argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])
    return weights @ (predicted * targets), weights @ predicted.astype(float), weights @ targets


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Returns the quotient, NaN where the denominator is 0."""
    undefined = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)
