"""Pairs of cases that are one picture twice, also turned, mirrored or cut closer; and those across splits.

Two measures are weighed together, each as the share of the usual distance that a pair has closed: 0 for a
pair as far apart as cases of these surroundings usually are, 1 for a pair without any distance. One is the
likeness of the pictures (`polar_picture`), the other the cosine of the vectors, sharpened: the directions in
which the cases of a modality differ most are shortened. What is usual are the surroundings of the two cases
themselves: no one cosine fits an ultrasound and a stack of CT slices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.findings import CheckResult, Suspect, ranked
from mermed_core.collections.quality.neighbourhood import (
    Neighbourhood,
    surroundings,
    unique_pairs,
    without_itself,
)
from mermed_core.collections.quality.polar_picture import PolarPictures
from mermed_core.collections.quality.watch import Watch
from mermed_core.search.neighbours import nearest
from mermed_core.search.quantised import StoredVectors

NAME = "duplicates"
LEAKAGE = "leakage"
_CANDIDATES = 50  # nearest cases that are compared as pictures
_ANYWHERE = 3  # and nearest in the whole collection, whatever their modality
_MOST_EXACT = 100_000  # cases of a modality up to which each is compared with all
_SHORTENED = 0.5  # power of the standard deviation by which a direction is divided
_FLOOR = 1e-4  # least variance of a direction that is not taken for noise, as a share of the greatest
_VECTORS_COUNT = 0.5  # weight of the vectors beside that of the pictures
_IDENTICAL = 0.99  # cosine and likeness from which two pictures are called the same
_DEVIATIONS = 5.0  # how many of them a pair of copies lies above the median of all candidates
_LOW = 0.1587  # quantile that lies one standard deviation below the median of a normal distribution
_FEWEST = 20  # candidates below which there is no threshold but that of identical pictures

# Measured on the turned and mirrored copies of LC25000's lung tiles (tests/benchmarks/bench_quality.py).
_WITH_PICTURES = (
    "On turned and mirrored copies of tiles its average precision over all pairs was 0.91; 84% of the copies "
    "lay beyond the threshold, and 98% of the pairs beyond it were copies."
)
_WITHOUT = "On turned and mirrored copies of tiles its average precision over all pairs was 0.74."


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of cases with how alike they are.

    Attributes:
        positions: (pairs, 2) int64, the lower first.
        similarity: (pairs,) cosine of the vectors.
        likeness: (pairs,) of the pictures, −1..1; NaN where they were not compared.
        score: (pairs,) what they are ranked by.
        threshold: score from which a pair counts as copies of one picture.
    """

    positions: np.ndarray
    similarity: np.ndarray
    likeness: np.ndarray
    score: np.ndarray
    threshold: float

    @property
    def identical(self) -> np.ndarray:
        """Mask (pairs,) of those that are the same picture as far as can be seen."""
        return (self.similarity >= _IDENTICAL) & ~(self.likeness < _IDENTICAL)

    @property
    def flagged(self) -> np.ndarray:
        """Mask (pairs,) of those that pass the threshold or are the same picture."""
        return (self.score >= self.threshold) | self.identical


def compare_pairs(
    vectors: np.ndarray | StoredVectors,
    kinds: np.ndarray,
    neighbours: Neighbourhood,
    pictures: PolarPictures | None,
    *,
    watch: Watch | None = None,
) -> Pairs:
    """Finds candidates and says how alike each pair is.

    Args:
        vectors: (cases, dim) unit vectors.
        kinds: (cases,) such as their modality.
        neighbours: of all cases.
        pictures: of all cases; without them the vectors alone decide.
        watch: is told of the progress.
    """
    sharp = np.array(vectors, np.float32)
    near = np.full((len(vectors), _CANDIDATES), -1, np.int64)
    usual = surroundings(neighbours.similarities)
    watch = watch or Watch()
    watch.begin("candidates for copies", len(vectors))
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        watch.advance(len(rows))
        if len(rows) <= _MOST_EXACT:
            sharp[rows] = sharpen(vectors[rows])
            near[rows], usual[rows] = _nearest(sharp[rows], rows)
        else:
            near[rows, : neighbours.count] = neighbours.positions[rows, :_CANDIDATES]
    positions = unique_pairs(np.concatenate([near, neighbours.positions[:, :_ANYWHERE]], axis=1))
    first, second = positions.T
    score = _closed(_cosines(sharp, positions), usual[first], usual[second])
    likeness = np.full(len(positions), np.nan)
    if pictures is not None and len(positions):
        likeness = _likeness(pictures, positions, watch)
        usual = _median_of(likeness, positions, len(vectors))
        shown = pictures.shown()
        likeness[~(shown[first] & shown[second])] = np.nan
        seen = _closed(likeness, usual[first], usual[second])
        weighed = (seen + _VECTORS_COUNT * score) / (1 + _VECTORS_COUNT)
        score = np.where(np.isnan(likeness), score, weighed)
    similarity = _cosines(vectors, positions)
    return Pairs(positions, similarity, likeness, score, _threshold(score))


def sharpen(vectors: np.ndarray) -> np.ndarray:
    """Returns unit vectors (cases, dim) whose longest principal directions are shortened.

    What many cases share no longer hides what two have in common. Unchanged where there are too few cases to
    know the directions.
    """
    if len(vectors) < 2 * vectors.shape[1]:
        return vectors
    centred = vectors - vectors.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    sharp = centred @ (directions / np.maximum(variances, _FLOOR * variances[-1]) ** (_SHORTENED / 2))
    return sharp / np.maximum(np.linalg.norm(sharp, axis=1, keepdims=True), 1e-12)


def check_duplicates(collection: Collection, pairs: Pairs, most: int) -> tuple[CheckResult, CheckResult]:
    """Ranks pairs of cases that are copies of one picture: all of them, and those in two splits."""
    suspects = list(_suspects(collection.records, pairs))
    with_pictures = bool(np.isfinite(pairs.likeness).any())
    measure = (
        "The share of the usual distance to other cases that a pair has closed, by its vectors and by its "
        "pictures over all turns, mirrorings and closer cuts (0 as usual, 1 the same picture)."
        if with_pictures
        else "The share of the usual distance to other cases that a pair has closed, by its vectors (0 as "
        "usual, 1 the same vector)."
    )
    accuracy = _WITH_PICTURES if with_pictures else _WITHOUT
    notes = (
        ()
        if with_pictures
        else (
            "There are no pictures, so the vectors alone decided; turned and mirrored copies are found "
            "less well.",
        )
    )
    title = "Near-duplicates"
    return (
        CheckResult(NAME, title, measure, accuracy, ranked(suspects, most), pairs.threshold, notes),
        CheckResult(
            LEAKAGE,
            "Leakage across splits",
            f"{measure[:-1]}; only pairs whose cases are in different splits.",
            accuracy,
            ranked([suspect for suspect in suspects if suspect.details["across_splits"]], most),
            pairs.threshold,
            notes,
        ),
    )


def _nearest(sharp: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns positions (cases, _CANDIDATES), −1 where there are too few, and how alike is usual (cases,)."""
    values, found = nearest(sharp, sharp, min(_CANDIDATES + 1, len(sharp)))
    found, values = without_itself(np.arange(len(sharp)), found, values)
    near = np.full((len(sharp), _CANDIDATES), -1, np.int64)
    near[:, : found.shape[1]] = rows[found]
    return near, surroundings(values)


def _cosines(vectors: np.ndarray | StoredVectors, positions: np.ndarray) -> np.ndarray:
    blocks = np.array_split(positions, max(1, len(positions) // 100_000))
    return np.concatenate(
        [np.einsum("pd,pd->p", vectors[block[:, 0]], vectors[block[:, 1]]) for block in blocks]
    )


def _likeness(pictures: PolarPictures, positions: np.ndarray, watch: Watch) -> np.ndarray:
    found: list[np.ndarray] = []
    watch.begin("comparing pictures", len(positions))
    for block in pictures.likeness(positions):
        found.append(block)
        watch.advance(len(block))
    return np.concatenate(found)


def _closed(values: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns which share of the usual distance pairs have closed, from the usual values of both cases."""
    return 1 - (1 - values) / np.maximum(1 - (first + second) / 2, 1e-3)


def _median_of(values: np.ndarray, positions: np.ndarray, cases: int) -> np.ndarray:
    """Returns (cases,) the median value of the pairs that each case is in; 0 without one."""
    by_case = pd.Series(np.tile(values, 2)).groupby(positions.T.reshape(-1)).median()
    return by_case.reindex(range(cases), fill_value=0.0).to_numpy()


def _threshold(scores: np.ndarray) -> float:
    """Returns the score above which a pair of candidates is no ordinary one.

    The median and five times how far the lowest sixth lies below it, which is one standard deviation of a
    normal distribution: the lower half holds no copies, however many there are in the upper.
    """
    if len(scores) < _FEWEST:
        return np.inf
    low, middle = np.quantile(scores, [_LOW, 0.5])
    return float(middle + _DEVIATIONS * (middle - low))


def _suspects(records: pd.DataFrame, pairs: Pairs) -> Iterator[Suspect]:
    columns = {name: records[name].to_numpy(dtype=object) for name in ("case_id", "group", "source", "split")}
    labels = [tuple(names) if names is not None else () for names in records["labels"]]
    same, flagged = pairs.identical, pairs.flagged
    for row in np.argsort(-pairs.score, kind="stable"):
        first, second = pairs.positions[row]
        if pairs.score[row] <= 0:
            return
        ids, groups, sources, splits = (
            (str(column[first] or ""), str(column[second] or "")) for column in columns.values()
        )
        same_group = bool(groups[0]) and groups[0] == groups[1] and sources[0] == sources[1]
        # A case of which nobody said whose it is, is a group of its own.
        known = all(group not in ("", case_id) for group, case_id in zip(groups, ids, strict=True))
        across = bool(splits[0] and splits[1] and splits[0] != splits[1])
        likeness = float(pairs.likeness[row])
        yield Suspect(
            float(pairs.score[row]),
            _reason(bool(same[row]), splits if across else (), known and not same_group),
            ids,
            bool(flagged[row]),
            {
                "similarity": round(float(pairs.similarity[row]), 4),
                **({"likeness": round(likeness, 4)} if np.isfinite(likeness) else {}),
                "identical": bool(same[row]),
                "across_splits": across,
                "same_group": same_group,
                "same_labels": labels[first] == labels[second],
                "split_a": splits[0],
                "split_b": splits[1],
            },
        )


def _reason(same: bool, splits: Sequence[str], different: bool) -> str:
    """Says what a pair is.

    Args:
        same: whether it is the same picture as far as can be seen.
        splits: of the two cases, where they are in different ones.
        different: whether somebody stated that the cases are of different patients.
    """
    if splits:
        said = "the same picture in {} and {}" if same else "nearly the same picture in {} and {}"
    else:
        said = "the same picture" if same else "nearly the same picture"
    said = said.format(*splits)
    return f"{said}, stated as different patients" if different else said
