"""Cases that lie alone: far from all others of their modality.

A photograph among chest X-rays lies near to photographs among skin images, so it is the cases of its own
modality that tell how alone it is.
"""

import numpy as np
import pandas as pd

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.findings import CheckResult, Suspect, ranked
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.collections.told import grouping_notes
from mermed_core.modalities import MODALITIES
from mermed_core.search.neighbours import nearest
from mermed_core.search.quantised import StoredVectors

NAME = "outliers"
_NEAREST = 10
_FEWEST = 20  # cases below which nothing can be called usual
_BLOCK = 65_536  # cases whose neighbours are looked at together
FENCE = 1.5  # interquartile ranges above the upper quartile: Tukey's fence


def outlier_scores(
    vectors: np.ndarray | StoredVectors, neighbours: Neighbourhood, kinds: np.ndarray
) -> np.ndarray:
    """Returns (cases,) how lonely each is, in interquartile ranges above its kind's upper quartile.

    The distance of a case is the mean of one minus the cosine to its 10 nearest of its kind and of other
    patients. −inf where a kind has too few cases to say what is usual.

    Args:
        vectors: (cases, dim) unit vectors; few are looked at.
        neighbours: of all cases.
        kinds: (cases,) such as their modality.
    """
    distances = distances_within(vectors, neighbours, kinds)
    scores = np.full(len(distances), -np.inf)
    for kind in np.unique(kinds):
        rows = np.flatnonzero((kinds == kind) & np.isfinite(distances))
        if len(rows) >= _FEWEST:
            scores[rows] = above_upper_quartile(distances[rows])
    return scores


def distances_within(
    vectors: np.ndarray | StoredVectors, neighbours: Neighbourhood, kinds: np.ndarray
) -> np.ndarray:
    """Returns (cases,) the mean distance to the 10 nearest of a case's kind and other patients; NaN without.

    The neighbours of most cases are of their kind. For a case among another kind's they are searched anew.

    Args:
        vectors: (cases, dim) unit vectors.
        neighbours: of all cases.
        kinds: (cases,) such as their modality.
    """
    kinds = np.unique(kinds, return_inverse=True)[1]
    means = np.full(len(kinds), np.nan)
    strange = np.zeros(len(kinds), bool)
    for first in range(0, len(kinds), _BLOCK):
        rows = slice(first, first + _BLOCK)
        others = neighbours.others(rows)
        same = others & (kinds[neighbours.positions[rows]] == kinds[rows, None])
        counts = same.sum(axis=1)
        strange[rows] = (counts < _NEAREST) & (counts < others.sum(axis=1))
        means[rows] = _mean_distances(neighbours.similarities[rows], same)
    for kind in np.unique(kinds[strange]):
        asked, all_rows = np.flatnonzero(strange & (kinds == kind)), np.flatnonzero(kinds == kind)
        similarities, found = nearest(
            vectors[asked],
            vectors[all_rows],
            _NEAREST,
            query_groups=neighbours.patients[asked],
            gallery_groups=neighbours.patients[all_rows],
        )
        means[asked] = _mean_distances(similarities, (found >= 0) & np.isfinite(similarities))
    return means


def _mean_distances(similarities: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Returns (rows,) the mean distance of the first 10 neighbours that count; NaN where none does."""
    counted = counted & (np.cumsum(counted, axis=1, dtype=np.int32) <= _NEAREST)
    counts, sums = counted.sum(axis=1), np.where(counted, 1 - similarities, 0).sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def lonely_distances(neighbours: Neighbourhood) -> np.ndarray:
    """Returns (cases,) the log of the mean distance to the 10 nearest of other patients; NaN without."""
    means = np.full(len(neighbours.positions), np.nan)
    for first in range(0, len(means), _BLOCK):
        rows = slice(first, first + _BLOCK)
        means[rows] = _mean_distances(neighbours.similarities[rows], neighbours.others(rows))
    return np.log(np.maximum(means, 1e-6))


def above_upper_quartile(values: np.ndarray) -> np.ndarray:
    """Returns how many interquartile ranges each of some values lies above their upper quartile."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    return (values - upper) / max(float(upper - lower), 1e-9)


def _named(records: pd.DataFrame, row: int) -> str:
    return MODALITIES[str(records["modality"].iat[row])].name


def check_outliers(collection: Collection, neighbours: Neighbourhood, most: int) -> CheckResult:
    """Ranks the cases by how far they lie from the others of their modality, by what is usual there."""
    records = collection.records
    scores = outlier_scores(collection.vectors, neighbours, records["modality"].to_numpy())
    order = np.argsort(-scores, kind="stable")[:most]
    order = order[scores[order] > 0]
    suspects = [
        Suspect(
            float(scores[row]),
            f"its nearest cases lie farther away than those of other {_named(records, row)} images",
            (str(records["case_id"].iat[row]),),
            bool(scores[row] >= FENCE),
            {"modality": str(records["modality"].iat[row]), "source": str(records["source"].iat[row])},
        )
        for row in order
    ]
    few = records["modality"].value_counts()
    names = [MODALITIES[str(key)].name for key in few.index[few < _FEWEST]]
    notes = tuple(f"{name} has too few cases to say what is usual." for name in names)
    notes += grouping_notes(records, np.isfinite(scores))
    return CheckResult(
        NAME,
        "Outliers",
        f"The mean distance to the {_NEAREST} nearest cases of its modality and of other patients, in "
        "interquartile ranges above the upper quartile of that modality.",
        "Of photographs, pages of text, drawings and noise that were planted among real images, 94% lay "
        "beyond the threshold, and of the real images 1%.",
        ranked(suspects, most),
        FENCE,
        notes,
    )
