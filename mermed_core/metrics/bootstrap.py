"""The bootstrap over groups: whole patients are drawn with replacement, because their images are alike."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

# With fewer groups an interval would be narrow by accident, so none is given.
MIN_GROUPS = 5

# Counts in one block of draws: bounds the memory to 8 MB as float64 and a few copies of it.
_CELLS = 1_000_000


def resampled_counts(groups: np.ndarray, resamples: int, seed: int | Sequence[int]) -> Iterator[np.ndarray]:
    """Yields blocks (some draws, images) of how often each image was drawn, `resamples` draws in all.

    A draw takes as many groups as there are, with replacement, each with all its images. The size of the
    blocks bounds the memory and has no influence on the draws.

    Args:
        groups: (images,) names.
        resamples: number of draws, 1 or more.
        seed: of the random numbers.
    """
    names, membership = np.unique(groups, return_inverse=True)
    count = len(names)
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS // len(membership))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)[:, membership]


def resample(
    score: Callable[[np.ndarray], np.ndarray],
    groups: np.ndarray,
    resamples: int,
    seed: int | Sequence[int],
) -> np.ndarray:
    """Returns the score of every draw, (draws, …); with fewer groups than `MIN_GROUPS` a single row of NaN.

    Args:
        score: takes weights (some draws, images) and returns (some draws, …).
        groups: (images,) names.
        resamples: number of draws, 1 or more.
        seed: of the random numbers.
    """
    if len(np.unique(groups)) < MIN_GROUPS:
        return np.full_like(score(np.ones((1, len(groups)))), np.nan)
    return np.concatenate([score(weights) for weights in resampled_counts(groups, resamples, seed)])


def interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % percentile interval of draws (draws,) without NaN; NaN where nothing is left."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def two_sided_p_value(differences: np.ndarray) -> float:
    """Returns the p-value of "no difference" from bootstrap draws (draws,) of a difference, without NaN.

    2 · min(1 + #{d ≤ 0}, 1 + #{d ≥ 0}) / (1 + draws), at most 1: the level at which the percentile interval
    would just reach 0 (Efron and Tibshirani 1993, section 15.4), so that p-value and interval agree. The 1
    counts the observation as one draw; without it p could be 0, which no number of draws can show (Davison
    and Hinkley 1997, chapter 4; Phipson and Smyth 2010). NaN where no draw is left.
    """
    defined = differences[~np.isnan(differences)]
    if not len(defined):
        return float("nan")
    fewer = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return min(1.0, 2 * (1 + fewer) / (1 + len(defined)))
