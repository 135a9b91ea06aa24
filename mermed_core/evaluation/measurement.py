"""Measures predictions: every metric of the kind of task with its interval, by class and by subgroup."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.predictions import Predictions
from mermed_core.evaluation.results import Figure
from mermed_core.metrics.bootstrap import MIN_GROUPS, interval, resample
from mermed_core.metrics.scores import SCORES, SCORES_BY_CLASS, auroc, over_classes

# Ends the name of a metric whose figure is its spread over the values of a column.
GAP = "_gap"
# A value of a column with fewer images is not measured.
MIN_IMAGES = 10

# A column of numbers with more distinct values than this is cut into bands.
_MAX_VALUES = 8
_BANDS = 4


def measure(predictions: Predictions, *, resamples: int = 1000, seed: int = 0) -> list[Figure]:
    """Measures every metric of the kind of task, and AUROC, average precision and F1 of each class.

    The 95 % intervals are percentiles of a bootstrap by group; with fewer than five groups there are none.

    Args:
        predictions: of test images.
        resamples: draws of the bootstrap, 1 or more.
        seed: of the draws.

    Raises:
        EvaluationError: there is no image.
    """
    check_filled(predictions)
    scores, by_class = SCORES[predictions.kind], SCORES_BY_CLASS[predictions.kind]

    def score(weights: np.ndarray) -> np.ndarray:
        data = predictions.targets, predictions.probabilities, weights
        classes = {metric: function(*data) for metric, function in by_class.items()}
        overall = [
            over_classes(classes[metric]) if metric in classes else function(*data)
            for metric, function in scores.items()
        ]
        return np.column_stack([*overall, *classes.values()])

    named = [(metric, "") for metric in scores]
    named += [(metric, label) for metric in by_class for label in predictions.classes]
    values = score(np.ones((1, len(predictions))))[0]
    drawn = resample(score, predictions.groups, resamples, seed)
    blank = _blank(predictions, np.arange(len(predictions)))
    return [
        replace(_filled(blank, metric, value, column), label=label)
        for (metric, label), value, column in zip(named, values, drawn.T, strict=True)
    ]


def measure_subgroups(
    predictions: Predictions, column: str, *, resamples: int = 1000, seed: int = 0
) -> list[Figure]:
    """Measures every metric for each value of a further column, and how far the values lie apart.

    A column of numbers, or of texts that all are numbers (a CSV has no others), is cut at its quartiles where
    it has more than eight distinct values; images without a value are left out. A value with fewer than ten
    images, or in which AUROC is not defined, is NaN; one with fewer than five groups has no interval. The
    classes that a value does not show are left out of its means, so values of unlike make-up differ for that
    reason too.

    The gap of a metric, `GAP` behind its name, is the largest minus the smallest of the values where it is
    defined. It is never below 0, and chance alone makes it larger the smaller the values are: read it beside
    their intervals. Its own interval is of the same draws, without those where a value is not defined.

    Args:
        predictions: of test images.
        column: one of their further columns.
        resamples: draws of the bootstrap over all groups, 1 or more.
        seed: of the draws.

    Raises:
        EvaluationError: there is no image, no such column, or nothing in it.
    """
    check_filled(predictions)
    subgroups = _subgroups(predictions.columns, column)

    def score(weights: np.ndarray) -> np.ndarray:
        return np.stack([_overall(predictions, rows, weights) for rows in subgroups.values()], axis=2)

    values = score(np.ones((1, len(predictions))))[0]  # (metrics, values)
    drawn = resample(score, predictions.groups, resamples, seed)  # (draws, metrics, values)
    figures = []
    for index, (name, rows) in enumerate(subgroups.items()):
        blank = replace(_blank(predictions, rows), subgroup=f"{column}={name}")
        if blank.groups < MIN_GROUPS:
            drawn[:, :, index] = np.nan
        figures += [
            _filled(blank, metric, *of_metric)
            for metric, *of_metric in zip(
                SCORES[predictions.kind], values[:, index], drawn[:, :, index].T, strict=True
            )
        ]
    blank = replace(_blank(predictions, np.concatenate(list(subgroups.values()))), subgroup=column)
    for index, metric in enumerate(SCORES[predictions.kind]):
        defined = ~np.isnan(values[index])
        if defined.sum() < 2:
            figures.append(replace(blank, metric=metric + GAP))
        else:
            gaps = np.ptp(drawn[:, index, defined], axis=1)
            figures.append(_filled(blank, metric + GAP, np.ptp(values[index, defined]), gaps))
    return figures


def check_filled(predictions: Predictions) -> None:
    """Makes sure that there is something to measure.

    Raises:
        EvaluationError: there is no image.
    """
    if not len(predictions):
        raise EvaluationError(f"Task '{predictions.task}' has no test image; put some into its test split.")


def _blank(predictions: Predictions, rows: np.ndarray) -> Figure:
    """Returns the figure that every one measured on some of the images starts from."""
    return Figure(
        encoder=predictions.encoder,
        modality=predictions.modality,
        task=predictions.task,
        protocol=predictions.protocol,
        metric="",
        value=float("nan"),
        images=len(rows),
        groups=len(np.unique(predictions.groups[rows])),
    )


def _filled(blank: Figure, metric: str, value: float, drawn: np.ndarray) -> Figure:
    low, high = interval(drawn)
    return replace(blank, metric=metric, value=float(value), low=low, high=high)


def _overall(predictions: Predictions, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns every metric (draws, metrics) of some of the images; NaN of all where AUROC is not defined."""
    scores = SCORES[predictions.kind].values()
    if len(rows) < MIN_IMAGES:
        return np.full((len(weights), len(scores)), np.nan)
    data = predictions.targets[rows], predictions.probabilities[rows], weights[:, rows]
    values = np.stack([score(*data) for score in scores], axis=1)
    values[np.isnan(auroc(*data))] = np.nan
    return values


def _subgroups(columns: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    """Returns the rows of each value of a column, or of each band of its numbers, in rising order."""
    if column not in columns:
        known = ", ".join(map(str, columns)) or "none"
        raise EvaluationError(f"There is no column '{column}' to divide by; the manifest has: {known}.")
    # As text first: truths and dates, which pandas would take as numbers too, stay what they are.
    texts = columns[column].reset_index(drop=True).dropna().astype(object).map(str)
    texts = texts[texts.str.strip() != ""]
    if texts.empty:
        raise EvaluationError(f"The column '{column}' is empty; fill it in for the test images.")
    values = pd.to_numeric(texts, errors="coerce")
    if not np.isfinite(values).all():
        return {str(name): part.index.to_numpy() for name, part in texts.groupby(texts)}
    if values.nunique() <= _MAX_VALUES:
        return {f"{name:.10g}": part.index.to_numpy() for name, part in values.groupby(values)}
    bands = values.groupby(pd.qcut(values, _BANDS, labels=False, duplicates="drop"))
    return {f"{band.min():.10g}–{band.max():.10g}": band.index.to_numpy() for _, band in bands}
