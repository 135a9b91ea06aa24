"""Shares of few images: how far off a share may be because they are few."""

import math

_NORMAL_975 = 1.959963984540054


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share of independent outcomes (Wilson 1927); 0 and 1 without any.

    It stays within 0..1 and has a width even where all outcomes are alike, which the bootstrap has not.

    Args:
        share: 0..1.
        count: independent outcomes, such as patients.
    """
    if count < 1:
        return 0.0, 1.0
    square = _NORMAL_975**2 / count
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * share * (1 - share) + square**2 / 4) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)
