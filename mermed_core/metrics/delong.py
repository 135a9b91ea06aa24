"""The test of DeLong, DeLong and Clarke-Pearson (1988) for two AUROCs measured on the same images.

It works with mid-ranks (Sun and Xu 2014), which takes n log n steps instead of comparing every positive image
with every negative one.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata


@dataclass(frozen=True)
class DeLong:
    """Two correlated AUROCs; NaN where something is not defined.

    Attributes:
        auroc_first: ties count half.
        auroc_second: likewise.
        difference: first minus second.
        standard_error: of the difference; NaN with fewer than two positive or negative images.
        z: difference over standard error; 0 where both are 0.
        p_value: two-sided, from the normal distribution; NaN where a difference has no spread.
    """

    auroc_first: float
    auroc_second: float
    difference: float
    standard_error: float
    z: float
    p_value: float


def delong(target: np.ndarray, first: np.ndarray, second: np.ndarray) -> DeLong:
    """Tests whether two scores of the same images differ in AUROC.

    Args:
        target: (images,) of 0 and 1; the images must be independent, one per patient.
        first: (images,) scores, higher for 1.
        second: (images,) scores to compare with.
    """
    ours, theirs = _components(target, first), _components(target, second)
    aurocs = [_mean(components[0]) for components in (ours, theirs)]
    difference = aurocs[0] - aurocs[1]
    # The variance of the difference at once: exactly 0 where both scores put the images in the same order.
    error = math.sqrt(_variance(ours[0] - theirs[0], ours[1] - theirs[1]))
    z = difference / error if error else (0.0 if difference == 0 else float("nan"))
    return DeLong(aurocs[0], aurocs[1], difference, error, z, float(2 * norm.sf(abs(z))))


def auroc_variance(target: np.ndarray, score: np.ndarray) -> float:
    """Returns the variance of one AUROC; NaN with fewer than two positive or negative images.

    Args:
        target: (images,) of 0 and 1.
        score: (images,), higher for 1.
    """
    return _variance(*_components(target, score))


def _components(target: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the share of negatives below each positive image, and of positives above each negative image.

    These are the structural components V10 and V01 of the paper.
    """
    positive, negative = score[target == 1], score[target != 1]
    if not (len(positive) and len(negative)):
        return np.full(len(positive), np.nan), np.full(len(negative), np.nan)
    ranks = rankdata(np.concatenate([positive, negative]))
    below = (ranks[: len(positive)] - rankdata(positive)) / len(negative)
    above = 1 - (ranks[len(positive) :] - rankdata(negative)) / len(positive)
    return below, above


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _variance(below: np.ndarray, above: np.ndarray) -> float:
    if min(len(below), len(above)) < 2:
        return float("nan")
    return float(below.var(ddof=1) / len(below) + above.var(ddof=1) / len(above))
