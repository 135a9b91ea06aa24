"""Which images of a large set stand for it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd


def spread_over_classes(labels: Sequence[Sequence[str]], most: int, *, seed: int = 0) -> np.ndarray:
    """Chooses images at random, as evenly over the classes as these allow.

    A small class is taken whole and the others fill what it leaves. An image of several classes counts for
    the rarest of them; those of none are a class of their own.

    Args:
        labels: the class names of each image.
        most: how many images at most.
        seed: of the choice.

    Returns:
        Positions in `labels`, (images,) int64, ascending.
    """
    images = Counter(name for names in labels for name in names)
    rarest = [min(names, key=lambda name: (images[name], name), default="") for names in labels]
    shuffled = pd.Series(rarest, dtype=object).sample(frac=1, random_state=seed)
    turn = shuffled.groupby(shuffled).cumcount()  # one image of each class, then a second of each, and so on
    return np.sort(turn.sort_values(kind="stable").index[:most].to_numpy(np.int64))
