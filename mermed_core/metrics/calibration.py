"""Calibration: whether a probability means what it says. Arguments are those of `scores`."""

import numpy as np
import pandas as pd

from mermed_core.metrics.scores import ratio

BINS = 15


def expected_calibration_error(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, *, multilabel: bool = False
) -> np.ndarray:
    """Returns the mean gap (draws,) between confidence and accuracy in 15 equal bins (Guo et al. 2017).

    The confidence is that of the likeliest class; with `multilabel` each class counts by itself.
    """
    confidence, correct, bins = _binned(targets, probabilities, multilabel=multilabel)
    gaps = np.zeros((len(targets), BINS))
    np.add.at(gaps, (np.arange(len(targets))[:, None], bins), correct - confidence)
    return ratio(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1) * confidence.shape[1])


def brier(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, *, multilabel: bool = False
) -> np.ndarray:
    """Returns the mean over images, 0..2, of the squared error summed over classes (Brier 1950).

    With `multilabel`, the mean over images and classes, 0..1. For two exclusive classes it is twice the score
    of a single column, which scikit-learn's brier_score_loss gives.
    """
    squares = (probabilities - targets) ** 2
    errors = squares.mean(axis=1) if multilabel else squares.sum(axis=1)
    return ratio(weights @ errors, weights.sum(axis=1))


def calibration_bins(targets: np.ndarray, probabilities: np.ndarray, *, multilabel: bool) -> pd.DataFrame:
    """Returns mean confidence, accuracy and number of images of each of the 15 bins that holds any.

    Args:
        targets: (images, classes) of 0 and 1.
        probabilities: (images, classes) in 0..1.
        multilabel: an image can have several classes; each then counts by itself.
    """
    confidence, correct, bins = _binned(targets, probabilities, multilabel=multilabel)
    table = pd.DataFrame({"confidence": confidence.ravel(), "accuracy": correct.ravel(), "images": 1})
    return table.groupby(bins.ravel()).agg({"confidence": "mean", "accuracy": "mean", "images": "sum"})


def _binned(
    targets: np.ndarray, probabilities: np.ndarray, *, multilabel: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns confidence, whether it is right, and bin: (images, 1), with `multilabel` (images, classes)."""
    confidence, correct = probabilities, targets
    if not multilabel:
        best = probabilities.argmax(axis=1)[:, None]
        confidence, correct = (np.take_along_axis(each, best, axis=1) for each in (probabilities, targets))
    return confidence, correct, np.minimum((confidence * BINS).astype(int), BINS - 1)
