"""Cases that lie alone: far from all others, as cases of their modality go."""

import numpy as np
import pandas as pd

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.findings import CheckResult, Suspect, ranked
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.modalities import MODALITIES

NAME = "outliers"
_NEAREST = 10
_FEWEST = 20  # cases below which nothing can be called usual
_BLOCK = 65_536  # cases whose neighbours are looked at together
_FENCE = 3.0  # interquartile ranges above the upper quartile: Tukey's outer fence


def outlier_scores(neighbours: Neighbourhood, kinds: np.ndarray) -> np.ndarray:
    """Returns (cases,) how lonely each is, in interquartile ranges above its kind's upper quartile.

    The distance of a case is the mean of one minus the cosine to its 10 nearest of other patients, on a
    logarithmic scale, because distances are skewed. −inf where a kind has too few cases to say what is usual.

    Args:
        neighbours: of all cases.
        kinds: (cases,) such as their modality.
    """
    distances = lonely_distances(neighbours)
    scores = np.full(len(distances), -np.inf)
    for kind in np.unique(kinds):
        rows = np.flatnonzero((kinds == kind) & np.isfinite(distances))
        if len(rows) >= _FEWEST:
            scores[rows] = above_upper_quartile(distances[rows])
    return scores


def lonely_distances(neighbours: Neighbourhood) -> np.ndarray:
    """Returns (cases,) the log of the mean distance to the 10 nearest of other patients; NaN without."""
    cases = len(neighbours.positions)
    means = np.full(cases, np.nan)
    for first in range(0, cases, _BLOCK):
        rows = slice(first, first + _BLOCK)
        others = neighbours.others(rows)
        others &= np.cumsum(others, axis=1, dtype=np.int32) <= _NEAREST
        counts = others.sum(axis=1)
        sums = np.where(others, 1 - neighbours.similarities[rows], 0).sum(axis=1)
        np.divide(sums, counts, out=means[rows], where=counts > 0)
    return np.log(np.maximum(means, 1e-6))


def above_upper_quartile(values: np.ndarray) -> np.ndarray:
    """Returns how many interquartile ranges each of some values lies above their upper quartile."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    return (values - upper) / max(float(upper - lower), 1e-9)


def _named(records: pd.DataFrame, row: int) -> str:
    return MODALITIES[str(records["modality"].iat[row])].name


def check_outliers(collection: Collection, neighbours: Neighbourhood, most: int) -> CheckResult:
    """Ranks the cases by how far they lie from all others, measured by what is usual in their modality."""
    records = collection.records
    scores = outlier_scores(neighbours, records["modality"].to_numpy())
    order = np.argsort(-scores, kind="stable")[:most]
    order = order[scores[order] > 0]
    suspects = [
        Suspect(
            float(scores[row]),
            f"its nearest cases lie farther away than those of other {_named(records, row)} images",
            (str(records["case_id"].iat[row]),),
            bool(scores[row] >= _FENCE),
            {"modality": str(records["modality"].iat[row]), "source": str(records["source"].iat[row])},
        )
        for row in order
    ]
    few = records["modality"].value_counts()
    names = [MODALITIES[str(key)].name for key in few.index[few < _FEWEST]]
    notes = tuple(f"{name} has too few cases to say what is usual." for name in names)
    return CheckResult(
        NAME,
        "Outliers",
        f"The mean distance to the {_NEAREST} nearest cases of other patients, in interquartile ranges above "
        "the upper quartile of the case's modality (log scale).",
        "Not measured on real images: a list to look through, not a verdict.",
        ranked(suspects, most),
        _FENCE,
        notes,
    )
