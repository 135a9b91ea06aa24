"""What the neighbours of every case say of it: a prediction of its labels, how sure it is, how alone it lies.

A collection keeps its vectors in the retrieval space, which a model's heads cannot read: they were fitted on
the encoder's own, several times as wide. What the vectors do allow is a vote of the nearest cases of other
patients, the same one as behind the list of doubtful labels.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.collections.quality.outliers import outlier_scores
from mermed_core.collections.quality.votes import take_votes
from mermed_core.collections.quality.watch import Watch

# What is measured, by the name that its column has on the map.
PREDICTION, ERROR = "prediction by neighbours", "error of that prediction"
CONFIDENCE, AGREEMENT = "confidence of that prediction", "neighbours' agreement"
OUTLIER = "outlier score"
_BETWEEN = "\0"  # two labels of a case, while they are one text


@dataclass(frozen=True, eq=False)
class CaseMeasures:
    """One value a case of each measure.

    Attributes:
        names: the sets of labels that occur, each sorted; what `label` and `prediction` number.
        label: (cases,) int32, which set a case has; −1 for a case without labels.
        prediction: (cases,) int32, the set with most of the vote; −1 without a vote.
        confidence: (cases,) float32, its share of the vote, 0..1; NaN without a vote.
        agreement: (cases,) float32, the share for the labels that the case has, 0..1; NaN without either.
        outlier: (cases,) float32, see `outliers.outlier_scores`; NaN where too few cases say what is usual.
    """

    names: tuple[tuple[str, ...], ...]
    label: np.ndarray
    prediction: np.ndarray
    confidence: np.ndarray
    agreement: np.ndarray
    outlier: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """(cases,) int8: 1 where the prediction differs from the labels, 0 where not, −1 without either."""
        differs = (self.prediction != self.label).astype(np.int8)
        differs[(self.prediction < 0) | (self.label < 0)] = -1
        return differs


def measure_cases(
    collection: Collection, neighbours: Neighbourhood, *, watch: Watch | None = None
) -> CaseMeasures:
    """Takes the votes on the labels of all cases and measures how alone each lies.

    A case of a data set that tells at least two labels apart in its modality, labelled itself or not, is
    voted on by that set's cases of that modality: other sets may call the same thing by another name. A case
    without labels of a data set that tells nothing apart is voted on by all labelled cases of its modality.
    A labelled case of a data set with one label has nothing to be mistaken for and gets no prediction.

    Args:
        collection: whose cases are measured.
        neighbours: of all of them.
        watch: is told of the progress.
    """
    records = collection.records
    label, names = _labels(records["labels"])
    kinds = pd.factorize(records["modality"])[0]
    sets = _numbers(pd.factorize(records["source"])[0], kinds)
    tells = _tells_apart(sets, label)
    asked = [(np.flatnonzero(tells), sets), (np.flatnonzero(~tells & (label < 0)), kinds)]
    watch = watch or Watch()
    watch.begin("measures of the cases", sum(len(rows) for rows, _ in asked))
    prediction = np.full(len(records), -1, np.int32)
    confidence, agreement = (np.full(len(records), np.nan, np.float32) for _ in range(2))
    for rows, within in asked:
        votes = take_votes(label, neighbours, rows, within, watch.advance)
        prediction[votes.rows] = votes.winner
        confidence[votes.rows] = np.minimum(votes.winning, 1)
        labelled = label[votes.rows] >= 0
        agreement[votes.rows[labelled]] = np.minimum(votes.own[labelled], 1)
    outlier = outlier_scores(collection.vectors, neighbours, kinds).astype(np.float32)
    outlier[~np.isfinite(outlier)] = np.nan
    return CaseMeasures(names, label, prediction, confidence, agreement, outlier)


def _labels(column: pd.Series) -> tuple[np.ndarray, tuple[tuple[str, ...], ...]]:
    """Returns which set of labels each case has (cases,), −1 for none, and the sets."""
    joined = pc.call_function("binary_join", [pa.array(column, pa.list_(pa.string())), pa.scalar(_BETWEEN)])
    found, texts = pd.factorize(pd.Series(joined, dtype=pd.ArrowDtype(pa.string())))
    code_of: dict[tuple[str, ...], int] = {}
    codes = [
        code_of.setdefault(tuple(sorted(str(text).split(_BETWEEN))), len(code_of)) if text else -1
        for text in texts
    ]
    return np.array([*codes, -1], np.int32)[found], tuple(code_of)


def _numbers(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns a number (cases,) for each pair of codes, from 0 up."""
    return np.unique(first.astype(np.int64) * (second.max(initial=0) + 1) + second, return_inverse=True)[1]


def _tells_apart(sets: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Returns a mask (cases,) of the cases in whose set at least two labels occur."""
    labelled = label >= 0
    pairs = np.unique(np.stack([sets[labelled], label[labelled]]), axis=1)
    return np.bincount(pairs[0], minlength=sets.max(initial=-1) + 1)[sets] >= 2
