"""How good a head is: AUROC with a bootstrap interval over groups, and calibration error."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


def auroc(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the macro one-versus-rest AUROC over the classes that occur with both outcomes.

    By ranks (Mann-Whitney), ties counting half: a bootstrap asks for it a thousand times.

    Args:
        targets: (images, classes) of 0 and 1.
        probabilities: (images, classes); only their order within a class matters.

    Returns:
        The mean over classes, NaN where no class has both outcomes.
    """
    positives = targets.sum(axis=0)
    present = (positives > 0) & (positives < len(targets))
    if not present.any():
        return float("nan")
    shown, positives = targets[:, present], positives[present]
    ranks = rankdata(probabilities[:, present], axis=0)
    wins = (ranks * shown).sum(axis=0) - positives * (positives + 1) / 2
    return float(np.mean(wins / (positives * (len(targets) - positives))))


def expected_calibration_error(targets: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Returns the mean gap between confidence and accuracy of the likeliest class (Guo et al. 2017).

    Args:
        targets: (images, classes) of 0 and 1; where a row has not just one 1, each class counts by itself.
        probabilities: (images, classes) in 0..1.
        bins: number of equally wide bins of confidence.
    """
    if np.all(targets.sum(axis=1) == 1):
        confidence = probabilities.max(axis=1)
        correct = targets[np.arange(len(targets)), probabilities.argmax(axis=1)]
    else:
        confidence, correct = probabilities.ravel(), targets.ravel()
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(which, minlength=bins)
    gaps = np.abs(
        np.bincount(which, weights=correct, minlength=bins)
        - np.bincount(which, weights=confidence, minlength=bins)
    )
    return float(gaps.sum() / counts.sum())


def bootstrap(
    score: Score,
    targets: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Returns a score with its 95 % percentile interval, drawing whole groups (patients) with replacement.

    Args:
        score: takes targets and probabilities.
        targets: (images, classes).
        probabilities: (images, classes).
        groups: (images,) names; images of one group are drawn together.
        resamples: number of draws.
        seed: of the draws.
    """
    _, membership = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(membership, kind="stable"), np.cumsum(np.bincount(membership))[:-1])
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = generator.integers(0, len(members), len(members))
        rows = np.concatenate([members[group] for group in drawn])
        values.append(score(targets[rows], probabilities[rows]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # every draw undefined: NaN says it
        low, high = np.nanpercentile(values, [2.5, 97.5])
    return Estimate(score(targets, probabilities), float(low), float(high))
