"""Two selections of a collection beside each other: what differs, and whether vectors tell them apart."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from mermed_core.collections.collection import CHECKSUM, FRAME, LABEL, Collection
from mermed_core.collections.ordered_values import days, numbers
from mermed_core.collections.quality.neighbourhood import patients
from mermed_core.data.validation import FILE
from mermed_core.errors import CollectionError
from mermed_core.metrics.scores import auroc_by_class, unweighted

_NAMES_A_CASE = ("case_id", "labels", "group", FILE, FRAME, CHECKSUM)
_MOST_VALUES = 12  # of a column that are listed; numbers and dates of more are counted by tenths
_TENTHS = 10
_MOST_CASES = 3000  # of a side that the classifier sees
_MOST_PICTURES = 400  # of a side that are averaged
_MEAN_SIDE = 128  # px
_FOLDS = 5
_SEED = 0


@dataclass(frozen=True)
class ColumnDifference:
    """How the values of one column spread over two selections.

    Attributes:
        name: of the column; "label" stands for the labels, of which a case may have several.
        distance: 0..1, half the sum over values of how far the shares lie apart (total variation); of labels
            the greatest difference of one label's share.
        values: value → shares of the first and of the second selection, the most different first; tenths of
            numbers and dates in their order.
    """

    name: str
    distance: float
    values: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Comparison:
    """What tells two selections apart.

    Attributes:
        cases: of the first and of the second.
        columns: the most different first; columns of one value alone are left out.
        auroc: of a linear classifier of the vectors that tells the first from the second, cross-validated by
            patient; 0.5 is chance. None where there are too few patients.
        pictures: the mean picture of each side as PNG bytes; None where it has no picture.
    """

    cases: tuple[int, int]
    columns: tuple[ColumnDifference, ...]
    auroc: float | None
    pictures: tuple[bytes | None, bytes | None]


def compare(collection: Collection, first: np.ndarray, second: np.ndarray) -> Comparison:
    """Compares the cases in some rows of a collection with those in others.

    Args:
        collection: whose cases they are.
        first: (cases,) positions.
        second: (cases,) positions; a case may be in both.

    Raises:
        CollectionError: one of the selections is empty.
    """
    if not len(first) or not len(second):
        raise CollectionError("Each of the two selections needs a case.")
    columns = [_difference(collection, name, first, second) for name in _compared(collection)]
    different = sorted((column for column in columns if column), key=lambda column: -column.distance)
    return Comparison(
        (len(first), len(second)),
        tuple(different),
        separability(collection, first, second),
        (mean_picture(collection, first), mean_picture(collection, second)),
    )


def separability(collection: Collection, first: np.ndarray, second: np.ndarray) -> float | None:
    """Returns the AUROC of a linear classifier between two selections, in patients it was not fitted on.

    Cases that are in both are left out. None where a side has fewer than two patients.
    """
    random = np.random.default_rng(_SEED)
    sides = []
    for own, other in ((first, second), (second, first)):
        alone = np.setdiff1d(own, other)
        sides.append(np.sort(random.choice(alone, min(len(alone), _MOST_CASES), replace=False)))
    rows = np.concatenate(sides)
    positive = np.repeat([True, False], [len(side) for side in sides])
    groups = patients(collection.records.iloc[rows].reset_index(drop=True))
    folds = min(_FOLDS, *(len(np.unique(groups[side])) for side in (positive, ~positive)))
    if folds < 2:
        return None
    scores = np.full(len(rows), np.nan)
    features = np.asarray(collection.vectors[rows], np.float32)
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=_SEED)
    for train, test in splits.split(features, positive, groups):
        if len(np.unique(positive[train])) == 2:
            model = LogisticRegression(C=1.0, max_iter=300, class_weight="balanced")
            scores[test] = model.fit(features[train], positive[train]).decision_function(features[test])
    known = np.isfinite(scores)
    if len(np.unique(positive[known])) < 2:
        return None
    return unweighted(_auroc, positive[known, None].astype(float), scores[known, None])


def mean_picture(collection: Collection, positions: np.ndarray) -> bytes | None:
    """Returns the mean of at most 400 of the cases' pictures, each fitted into a square, as PNG bytes."""
    if not collection.has_pictures:
        return None
    chosen = np.unique(np.linspace(0, len(positions) - 1, min(len(positions), _MOST_PICTURES)).astype(int))
    total, found = np.zeros((_MEAN_SIDE, _MEAN_SIDE, 3)), 0
    for case_id in collection.records["case_id"].iloc[positions[chosen]]:
        if (encoded := collection.thumbnail(str(case_id))) is None:
            continue
        with Image.open(io.BytesIO(encoded)) as image:
            total += np.asarray(image.convert("RGB").resize((_MEAN_SIDE, _MEAN_SIDE)))
        found += 1
    if not found:
        return None
    buffer = io.BytesIO()
    Image.fromarray((total / found).round().astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _compared(collection: Collection) -> list[str]:
    others = [str(name) for name in collection.records if name not in _NAMES_A_CASE]
    return [LABEL, *others]


def _difference(
    collection: Collection, name: str, first: np.ndarray, second: np.ndarray
) -> ColumnDifference | None:
    """Returns how a column differs, None where all cases of both have one value."""
    values = _grouped(collection.records["labels" if name == LABEL else name])
    shares = pd.DataFrame({side: _shares(values.iloc[rows]) for side, rows in enumerate((first, second))})
    shares = shares.fillna(0.0)
    if len(shares) < 2:
        return None
    gaps = (shares[0] - shares[1]).abs()
    distance = float(gaps.max() if name == LABEL else gaps.sum() / 2)
    if isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered:
        order = [name for name in values.cat.categories if name in shares.index]
    else:
        order = gaps.sort_values(ascending=False, kind="stable").index[:_MOST_VALUES]
    listed = shares.loc[order]
    pairs = zip(listed[0].tolist(), listed[1].tolist(), strict=True)
    return ColumnDifference(name, distance, dict(zip(map(str, listed.index), pairs, strict=True)))


def _grouped(values: pd.Series) -> pd.Series:
    """Returns the values as names; of many numbers or dates the tenth of all cases that each is in."""
    if values.name == "labels":
        lists = [list(names) if names is not None and len(names) else [""] for names in values]
        return pd.Series(lists, values.index, name="labels")
    counted, written = numbers(values), _written_number
    if counted is None:
        counted, written = days(values), _written_day
    if counted is not None and counted.nunique() > _MOST_VALUES:
        return _tenths(counted, written)
    return values.astype("string").fillna("")


def _tenths(counted: pd.Series, written: Callable[[float], str]) -> pd.Series:
    """Returns the tenth of all cases that each number lies in, called by its least and greatest number."""
    tenths = pd.qcut(counted, _TENTHS, labels=False, duplicates="drop")
    ends = counted.groupby(tenths).agg(["min", "max"])
    names = {number: f"{written(low)} – {written(high)}" for number, low, high in ends.itertuples()}
    categories = [*dict.fromkeys(names.values()), ""]  # those that are written alike are one
    return pd.Series(pd.Categorical(tenths.map(names).fillna(""), categories, ordered=True), counted.index)


def _written_number(value: float) -> str:
    return f"{value:.4g}"


def _written_day(value: float) -> str:
    return (pd.Timestamp(0) + pd.Timedelta(days=value)).date().isoformat()


def _shares(values: pd.Series) -> pd.Series:
    """Returns the share of cases with each value; a case with several labels counts for each of them."""
    named = values.explode() if values.name == "labels" else values
    counts = named.value_counts()
    return counts[counts > 0] / len(values)


def _auroc(targets: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return auroc_by_class(targets, values, weights)[:, 0]
