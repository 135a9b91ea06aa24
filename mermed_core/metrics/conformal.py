"""Split-conformal prediction: the classes that cannot be ruled out, right for a stated share of each class.

A class belongs to the set of an image where 1 − its probability is at most the limit of that class (LAC,
Sadinle et al. 2019). The limit is an order statistic of the same number over calibration images that truly
show the class, so that the share holds class by class, not only over all (Mondrian, Vovk 2012). It holds for
images that are exchangeable with those, which another hospital's need not be.
"""

import math
from collections.abc import Sequence

import numpy as np

LEVEL = 0.9
"""Share of the images of each class whose set holds that class."""
_ROUNDING = 1e-9  # 0.9 · 30 must be 27, not the next float above it


def cases_needed(level: float) -> int:
    """Returns how many calibration cases of a class a limit needs: 9 for 90 %, 19 for 95 %, 99 for 99 %."""
    return math.ceil(level / (1 - level) - _ROUNDING)


def limit(scores: np.ndarray, level: float) -> float:
    """Returns the ⌈(n + 1) · level⌉-th smallest of calibration scores (n,); infinity where n is small."""
    rank = math.ceil((len(scores) + 1) * level - _ROUNDING)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def limits(scores: Sequence[np.ndarray], level: float) -> np.ndarray:
    """Returns the limit of each class (classes,) from the calibration scores of each."""
    return np.array([limit(each, level) for each in scores])


def prediction_sets(probabilities: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Returns which classes cannot be ruled out, (images, classes) bool.

    Args:
        probabilities: (images, classes).
        limits: (classes,) of 1 − probability.
    """
    return 1 - probabilities <= limits


def calibration_scores(
    probabilities: np.ndarray, targets: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Returns 1 − the probability of its class for the calibration images of each class, rising.

    Images of one patient are alike: each patient counts once for a class, by an image drawn at random.

    Args:
        probabilities: (images, classes), by a head that was not fitted on these images.
        targets: (images, classes) of 0 and 1.
        groups: (images,) patients.
    """
    order = np.random.default_rng(0).permutation(len(groups))
    found = []
    for column in range(targets.shape[1]):
        rows = order[targets[order, column] > 0]
        _, first = np.unique(groups[rows], return_index=True)
        found.append(np.sort(1 - probabilities[rows[first], column]).astype(np.float32))
    return tuple(found)
