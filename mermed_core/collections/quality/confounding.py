"""Labels that where an image comes from predicts alone, so that a model may learn the place for the finding.

Three traces of it, each an AUROC of a label, cross-validated by patient where anything is fitted: the stated
source, which other source of its modality an image looks most like, and the frame of the picture, the outer
ring in which markers, borders and collimation lie and the finding seldom does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import StratifiedGroupKFold

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.case_words import label_words
from mermed_core.collections.quality.doubtful_labels import label_sets
from mermed_core.collections.quality.findings import CheckResult, Suspect, ranked
from mermed_core.collections.quality.neighbourhood import patients
from mermed_core.collections.told import grouping_notes
from mermed_core.metrics.scores import auroc_by_class, unweighted
from mermed_core.modalities import MODALITIES
from mermed_core.search.neighbours import nearest

NAME = "confounding"
_PREDICTED = 0.9  # AUROC from which a label is called predicted
_FEWEST = 20  # patients with and without a label below which it is not judged
_FOLDS = 5
_TREES = 100
_MOST = 3000  # cases of a set that are looked at
_SIDE, _RING = 24, 2  # px of the reduced picture, and of its outer ring
_GALLERY = 1000  # cases of another source that a case is compared with
_NEAREST = 5
_TILES = frozenset({"pathology"})  # tiles of tissue, which have no frame


@dataclass(frozen=True, eq=False)
class Frames:
    """The outer rings of pictures.

    Attributes:
        values: (pictures, numbers) float32, grey in 0..1 and the logarithm of width over height; NaN without
            a picture.
    """

    values: np.ndarray

    @classmethod
    def empty(cls, count: int) -> Self:
        """Returns room for so many pictures, none of which is there yet."""
        return cls(np.full((count, 4 * _RING * (_SIDE - _RING) + 1), np.nan, np.float32))

    def put(self, row: int, pixels: np.ndarray) -> None:
        """Reads the frame of the picture of a row, pixels (height, width, 3) uint8."""
        self.values[row] = frame(pixels)


def frame(pixels: np.ndarray) -> np.ndarray:
    """Returns the numbers (numbers,) float32 of the outer ring of pixels (height, width, 3) uint8."""
    small = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    grey = np.asarray(small, np.float32) / 255
    inside = slice(_RING, _SIDE - _RING)
    outer = np.ones((_SIDE, _SIDE), bool)
    outer[inside, inside] = False
    shape = np.log(pixels.shape[1] / pixels.shape[0])
    return np.append(grey[outer], np.float32(shape)).astype(np.float32)


def predicted(features: np.ndarray, positive: np.ndarray, groups: np.ndarray) -> float:
    """Returns the AUROC with which numbers predict a label in patients that were not fitted on.

    By trees, as a hospital shows in how its borders and markers go together: in covid_cxr, whose classes are
    of different hospitals, a linear model reads .81 from the frame where trees read .94.

    Args:
        features: (cases, numbers).
        positive: mask (cases,) of the cases with the label.
        groups: (cases,) of patients, which are never on both sides.
    """
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    scores = np.zeros(len(positive))
    for train, test in folds.split(features, positive, groups):
        if len(np.unique(positive[train])) == 2:
            model = ExtraTreesClassifier(_TREES, random_state=0)
            scores[test] = model.fit(features[train], positive[train]).predict_proba(features[test])[:, 1]
    return _auroc(positive, scores)


def check_confounding(collection: Collection, frames: Frames | None, most: int) -> CheckResult:
    """Ranks labels by how well the source, the likeness to other sources, or the frame predicts them."""
    records = collection.records
    suspects = list(_stated(collection))
    judged = {suspect.details["set"] for suspect in suspects}
    words = label_words(collection)
    groups, random = patients(records), np.random.default_rng(0)
    for name, rows, codes, names in label_sets(records):
        rows = rows[codes[rows] >= 0]
        rows = np.sort(random.choice(rows, min(len(rows), _MOST), replace=False))
        likeness = _likeness(collection, rows)
        source, modality = (str(records[column].iat[rows[0]]) for column in ("source", "modality"))
        where = (collection.source(source).title, MODALITIES[modality].name)
        outer = None
        if frames is not None and modality not in _TILES:
            outer = frames.values[rows]
        for code, label in enumerate(names):
            positive = codes[rows] == code
            if min(len(np.unique(groups[rows][side])) for side in (positive, ~positive)) < _FEWEST:
                continue
            ids = tuple(map(str, records["case_id"].loc[rows[positive][:3]]))
            for trace, features in (("likeness", likeness), ("frame", outer)):
                if features is None or (known := np.isfinite(features).all(axis=1)).mean() < 0.9:
                    continue
                auroc = predicted(features[known], positive[known], groups[rows][known])
                details = {"set": name, "label": label, "trace": trace}
                suspects.append(_suspect((words(label), *where), details, auroc, ids))
                judged.add(modality)
    notes = [
        "An AUROC says that source and label go together here, not which of the two a model reads.",
        "Tiles of tissue have no frame; of them the frame is not asked.",
    ]
    if frames is None:
        notes.append("There are no pictures, so their frames were not asked.")
    notes += grouping_notes(records, records["modality"].isin(list(judged)).to_numpy())
    return CheckResult(
        NAME,
        "Labels that the source alone predicts",
        "AUROC with which a label follows from the stated source, from which other sources the image looks "
        "like, or from the frame of the picture alone, in patients that were not fitted on (0.5 is chance).",
        "Of chest X-rays whose classes are of different hospitals the frame alone tells the classes with "
        "AUROC 0.94. A list to look through, not a verdict.",
        ranked(suspects, most),
        _PREDICTED,
        tuple(notes),
    )


_SENTENCES = {
    "source": "{} in {} follows from the stated source (AUROC {})",
    "likeness": "{} in {} ({}) follows from which other sources the image looks like (AUROC {})",
    "frame": "{} in {} ({}) follows from the frame of the picture, where the finding is not (AUROC {})",
}


def _suspect(said: Sequence[str], details: dict[str, str], auroc: float, ids: tuple[str, ...]) -> Suspect:
    reason = _SENTENCES[details["trace"]].format(*said, f"{auroc:.2f}")
    return Suspect(auroc, reason, ids, bool(auroc >= _PREDICTED), details)


def _stated(collection: Collection) -> Iterator[Suspect]:
    """Yields the labels that occur in several sources' modality, with how the source alone predicts them."""
    records, words = collection.records, label_words(collection)
    for modality, part in records[records["labels"].notna()].groupby("modality", sort=True):
        if part["source"].nunique() < 2:
            continue
        present = part["labels"].explode()
        for label in sorted(present.dropna().unique()):
            rows = present.index[present == label].unique()
            positive = np.asarray(part.index.isin(rows))
            if min(positive.sum(), (~positive).sum()) < _FEWEST:
                continue
            rates = pd.Series(positive, part.index).groupby(part["source"]).transform("mean")
            ids = tuple(map(str, part["case_id"].loc[rows[:3]]))
            said = (words(str(label)), MODALITIES[str(modality)].name)
            details = {"set": str(modality), "label": str(label), "trace": "source"}
            yield _suspect(said, details, _auroc(positive, rates.to_numpy()), ids)


def _likeness(collection: Collection, rows: np.ndarray) -> np.ndarray | None:
    """Returns (cases, sources): how much more alike cases are to each other source of their modality.

    The mean cosine to the five nearest cases of a source, minus the mean over the sources: how unusual an
    image is does not count. None where there are not two other sources.
    """
    records = collection.records
    own, modality = records["source"].iat[rows[0]], records["modality"].iat[rows[0]]
    others = records[(records["modality"] == modality) & (records["source"] != own)]
    similar = []
    for _, part in others.groupby("source", sort=True):
        if len(part) >= _FEWEST:
            places = np.asarray(part.index)[:: max(1, len(part) // _GALLERY)]
            values, _ = nearest(collection.vectors[rows], collection.vectors[places], _NEAREST)
            similar.append(values.mean(axis=1))
    if len(similar) < 2:
        return None
    stacked = np.stack(similar, axis=1)
    return stacked - stacked.mean(axis=1, keepdims=True)


def _auroc(positive: np.ndarray, scores: np.ndarray) -> float:
    def first(targets: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return auroc_by_class(targets, values, weights)[:, 0]

    return unweighted(first, positive[:, None].astype(float), scores[:, None])
