"""Compares two encoders on the same test images: difference, interval and p-value, corrected by Holm."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import pandas as pd
from scipy.stats import norm

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.delong import delong
from mermed_core.evaluation.figures import AUPRC, AUROC, BALANCED_ACCURACY, ECE
from mermed_core.evaluation.measuring import check_filled
from mermed_core.evaluation.predictions import Predictions
from mermed_core.evaluation.resampling import interval, resample, two_sided_p_value
from mermed_core.evaluation.scores import SCORES

BOOTSTRAP, DELONG = "bootstrap", "delong"
METRICS = (AUROC, AUPRC, BALANCED_ACCURACY, ECE)


@dataclass(frozen=True)
class Comparison:
    """How two encoders differ in one metric; NaN where it is not defined.

    Attributes:
        protocol: how the predictions came about.
        task: name of the label set.
        modality: key.
        metric: its name; of ECE less is better, of the others more.
        first: name of one encoder.
        second: name of the other.
        difference: first minus second.
        low: lower end of the 95 % interval of the difference.
        high: upper end.
        p_value: two-sided, of no difference.
        p_corrected: the same after `corrected`, NaN before.
        method: bootstrap or delong.
        images: how many images both were measured on.
        groups: how many patients, lesions or tiles of origin.
    """

    protocol: str
    task: str
    modality: str
    metric: str
    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    p_corrected: float
    method: str
    images: int
    groups: int


def compare(
    first: Predictions, second: Predictions, *, resamples: int = 1000, seed: int = 0
) -> list[Comparison]:
    """Compares two encoders by a paired bootstrap: both are measured on the same draws of groups.

    Where the task has two classes and every group one image, AUROC is also compared by DeLong's test; images
    of one patient are not independent, as that test needs. With fewer than five groups the bootstrap gives
    neither interval nor p-value.

    Args:
        first: predictions of one encoder.
        second: of another, of the same protocol, task and images in the same order.
        resamples: draws of the bootstrap, 1 or more; no p-value falls below 2 / (1 + resamples).
        seed: of the draws.

    Raises:
        EvaluationError: the two are not of the same protocol, task or images, or there is none.
    """
    _check_alike(first, second)
    scores = [SCORES[first.kind][metric] for metric in METRICS]

    def score(weights: np.ndarray) -> np.ndarray:
        ours, theirs = (
            np.stack([function(each.targets, each.probabilities, weights) for function in scores], axis=1)
            for each in (first, second)
        )
        return ours - theirs

    differences = score(np.ones((1, len(first))))[0]
    drawn = resample(score, first.groups, resamples, seed)
    blank = _blank(first, second)
    found = [
        _bootstrapped(blank, metric, float(difference), column)
        for metric, difference, column in zip(METRICS, differences, drawn.T, strict=True)
    ]
    positive = _positive_column(first)
    if positive is not None and blank.groups == blank.images:
        found.append(_by_delong(blank, first, second, positive))
    return found


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Returns comparisons, in their order, with p-values corrected by Holm's step-down method (1979).

    All comparisons of one metric and method are one family: the chance that any of them is found different
    by accident stays below the level. Those without p-value do not count.
    """
    families: dict[tuple[str, str], list[int]] = {}
    for position, comparison in enumerate(comparisons):
        if not np.isnan(comparison.p_value):
            families.setdefault((comparison.metric, comparison.method), []).append(position)
    found = list(comparisons)
    for positions in families.values():
        p_values = holm(np.array([comparisons[position].p_value for position in positions]))
        for position, p_value in zip(positions, p_values, strict=True):
            found[position] = replace(comparisons[position], p_corrected=float(p_value))
    return found


def holm(p_values: np.ndarray) -> np.ndarray:
    """Returns p-values (tests,) corrected for their number: the smallest is multiplied by all of them."""
    order = np.argsort(p_values, kind="stable")
    stepped = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted


def to_frame(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """Returns the comparisons as a table, one row each, with the fields of `Comparison` as columns."""
    names = [field.name for field in fields(Comparison)]
    return pd.DataFrame([asdict(comparison) for comparison in comparisons], columns=names)


def _check_alike(first: Predictions, second: Predictions) -> None:
    for name in ("protocol", "task", "modality", "kind", "classes"):
        if getattr(first, name) != getattr(second, name):
            raise EvaluationError(
                f"'{first.encoder}' and '{second.encoder}' cannot be compared: their {name} is not the same."
            )
    arrays = "case_ids", "groups", "targets"
    if not all(np.array_equal(getattr(first, name), getattr(second, name)) for name in arrays):
        raise EvaluationError(
            f"'{first.encoder}' and '{second.encoder}' cannot be compared on '{first.task}': they were not "
            "tested on the same images in the same order; evaluate both on one manifest."
        )
    check_filled(first)


def _blank(first: Predictions, second: Predictions) -> Comparison:
    """Returns the comparison that every one of these two starts from."""
    unknown = float("nan")
    return Comparison(
        protocol=first.protocol,
        task=first.task,
        modality=first.modality,
        metric="",
        first=first.encoder,
        second=second.encoder,
        difference=unknown,
        low=unknown,
        high=unknown,
        p_value=unknown,
        p_corrected=unknown,
        method="",
        images=len(first),
        groups=len(np.unique(first.groups)),
    )


def _bootstrapped(blank: Comparison, metric: str, difference: float, drawn: np.ndarray) -> Comparison:
    low, high = interval(drawn)
    p_value = two_sided_p_value(drawn)
    return replace(
        blank, metric=metric, method=BOOTSTRAP, difference=difference, low=low, high=high, p_value=p_value
    )


def _by_delong(blank: Comparison, first: Predictions, second: Predictions, positive: int) -> Comparison:
    target = first.targets[:, positive]
    test = delong(target, first.probabilities[:, positive], second.probabilities[:, positive])
    half = float(norm.ppf(0.975)) * test.standard_error
    return replace(
        blank,
        metric=AUROC,
        method=DELONG,
        difference=test.difference,
        low=test.difference - half,
        high=test.difference + half,
        p_value=test.p_value,
    )


def _positive_column(predictions: Predictions) -> int | None:
    """Returns which column alone tells the two classes of a task apart, None where there are not two."""
    exclusive = predictions.kind != "multilabel"
    if len(predictions.classes) != (2 if exclusive else 1):
        return None
    return 1 if exclusive else 0
