"""Measures predictions: every metric that suits the kind of task with its interval, by class and subgroup."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.predictions import Predictions
from mermed_core.evaluation.results import Result
from mermed_core.metrics.bootstrap import MIN_GROUPS, interval, resample
from mermed_core.metrics.catalogue import SCORES, SCORES_BY_CLASS
from mermed_core.metrics.scores import auroc, over_classes

# Appended to the name of a metric: its spread over the values of a column.
GAP = "_gap"
# The values of a column that fewer images have are not measured.
MIN_IMAGES = 10

# A column of numbers with more distinct values than this is cut into bands.
_MAX_VALUES = 8
_BANDS = 4


def measure(predictions: Predictions, *, resamples: int = 1000, seed: int = 0) -> list[Result]:
    """Measures every metric that suits the kind of task, and AUROC, average precision and F1 of each class.

    The 95 % intervals are percentiles of a bootstrap over groups; with fewer than five groups there are none.

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

    columns = [(metric, "") for metric in scores]
    columns += [(metric, label) for metric in by_class for label in predictions.classes]
    values = score(np.ones((1, len(predictions))))[0]
    drawn = resample(score, predictions.groups, resamples, seed)
    blank = _blank(predictions, np.arange(len(predictions)))
    return [
        replace(_with_value(blank, metric, value, draws), label=label)
        for (metric, label), value, draws in zip(columns, values, drawn.T, strict=True)
    ]


def measure_subgroups(
    predictions: Predictions, column: str, *, resamples: int = 1000, seed: int = 0
) -> list[Result]:
    """Measures every metric for each value of a column, and how far apart the subgroups lie.

    A column of numbers, or of texts that are all numbers (a CSV has no others), is cut at its quartiles where
    it has more than eight distinct values; images without a value are left out. A subgroup with fewer than
    ten images, or in which AUROC is not defined, is NaN; one with fewer than five groups has no interval.
    Classes that do not occur in a subgroup are left out of its means, so subgroups of different composition
    differ for that reason too.

    The gap of a metric (its name with `GAP`) is the largest minus the smallest value over the subgroups where
    it is defined. It is never below 0, and chance alone makes it larger the smaller the subgroups are: read
    it beside their intervals. Its own interval comes from the same draws, without those where a subgroup is
    not defined.

    Args:
        predictions: of test images.
        column: one of the further columns of the predictions.
        resamples: draws of the bootstrap over all groups, 1 or more.
        seed: of the draws.

    Raises:
        EvaluationError: there is no image, no such column, or the column is empty.
    """
    check_filled(predictions)
    subgroups = _subgroups(predictions.columns, column)

    def score(weights: np.ndarray) -> np.ndarray:
        return np.stack([_overall(predictions, rows, weights) for rows in subgroups.values()], axis=2)

    values = score(np.ones((1, len(predictions))))[0]  # (metrics, subgroups)
    drawn = resample(score, predictions.groups, resamples, seed)  # (draws, metrics, subgroups)
    results = []
    for index, (name, rows) in enumerate(subgroups.items()):
        blank = replace(_blank(predictions, rows), subgroup_column=column, subgroup=name)
        if blank.groups < MIN_GROUPS:
            drawn[:, :, index] = np.nan
        results += [
            _with_value(blank, metric, *of_metric)
            for metric, *of_metric in zip(
                SCORES[predictions.kind], values[:, index], drawn[:, :, index].T, strict=True
            )
        ]
    return results + _gaps(predictions, column, subgroups, values, drawn)


def _gaps(
    predictions: Predictions,
    column: str,
    subgroups: dict[str, np.ndarray],
    values: np.ndarray,
    drawn: np.ndarray,
) -> list[Result]:
    """Returns how far apart values (metrics, subgroups) and draws (draws, metrics, subgroups) lie."""
    divided = np.concatenate(list(subgroups.values()))
    blank = replace(_blank(predictions, divided), subgroup_column=column)
    results = []
    for index, metric in enumerate(SCORES[predictions.kind]):
        defined = ~np.isnan(values[index])
        if defined.sum() < 2:
            results.append(replace(blank, metric=metric + GAP))
        else:
            gaps = np.ptp(drawn[:, index, defined], axis=1)
            results.append(_with_value(blank, metric + GAP, np.ptp(values[index, defined]), gaps))
    return results


def check_filled(predictions: Predictions) -> None:
    """Checks that there is something to measure.

    Raises:
        EvaluationError: there is no image.
    """
    if not len(predictions):
        raise EvaluationError(f"Task '{predictions.task}' has no test image; put some into its test split.")


def _blank(predictions: Predictions, rows: np.ndarray) -> Result:
    """Returns a result of some of the images that still lacks metric and value."""
    return Result(
        encoder=predictions.encoder,
        modality=predictions.modality,
        task=predictions.task,
        protocol=predictions.protocol,
        metric="",
        value=float("nan"),
        images=len(rows),
        groups=len(np.unique(predictions.groups[rows])),
    )


def _with_value(blank: Result, metric: str, value: float, drawn: np.ndarray) -> Result:
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
    # As text first: booleans and dates, which pandas would take as numbers too, stay what they are.
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
