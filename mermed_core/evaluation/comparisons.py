"""Compares encoders in pairs on the same test images: difference, interval, p-value corrected by Holm."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import norm

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.measurement import check_filled
from mermed_core.evaluation.predictions import Predictions
from mermed_core.metrics.bootstrap import interval, resample, two_sided_p_value
from mermed_core.metrics.catalogue import (
    AUPRC,
    AUROC,
    BALANCED_ACCURACY,
    BRIER,
    ECE,
    F1,
    SCORES,
)
from mermed_core.metrics.delong import delong

logger = logging.getLogger(__name__)

BOOTSTRAP, DELONG = "bootstrap", "delong"
METRICS = (AUROC, AUPRC, BALANCED_ACCURACY, F1, ECE, BRIER)

# The smallest p-value of a bootstrap is 2 / (1 + draws), and Holm multiplies it by up to the number of
# comparisons: with 200 draws for each it stays below 0.01. 20,000 draws of 7,000 images of nine classes take
# a few minutes per encoder, so that is the limit; up to 500 comparisons can still pass 0.05.
_DRAWS_EACH, _MAX_DRAWS = 200, 20_000


@dataclass(frozen=True)
class Comparison:
    """How two encoders differ in one metric; NaN where it is not defined.

    Attributes:
        protocol: how the predictions were made.
        task: name of the label set.
        modality: key.
        metric: its name; lower is better for those in `catalogue.LOWER_IS_BETTER`.
        first: name of one encoder.
        second: name of the other.
        difference: first minus second.
        low: lower end of the 95 % interval of the difference.
        high: upper end.
        p_value: two-sided, of no difference.
        p_corrected: the same after `corrected`, NaN before.
        method: bootstrap or delong.
        images: number of images that both were measured on.
        groups: number of patients, lesions or tiles of origin.
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


def enough_draws(comparisons: int, resamples: int) -> int:
    """Returns how many draws a p-value needs to stay low after its correction, at least `resamples`.

    Args:
        comparisons: how many of one metric are corrected together.
        resamples: draws that are taken in any case.
    """
    draws = max(resamples, min(_DRAWS_EACH * comparisons, _MAX_DRAWS))
    if 2 * comparisons / (1 + draws) >= 0.05:
        logger.warning(
            "no bootstrap of %d draws can be significant among %d comparisons; take more resamples, or "
            "evaluate fewer encoders or tasks at a time.",
            draws,
            comparisons,
        )
    return draws


def compare(*alike: Predictions, resamples: int = 1000, seed: int = 0) -> list[Comparison]:
    """Compares each pair of encoders, in the order given, by a paired bootstrap on the same draws of groups.

    Where the task has two classes and every group a single image, AUROC is also compared by DeLong's test,
    which needs independent images. With fewer than five groups the bootstrap gives neither interval nor
    p-value.

    Args:
        alike: predictions of one encoder each, of the same protocol, task and images in the same order.
        resamples: draws of the bootstrap, 1 or more; no p-value falls below 2 / (1 + resamples).
        seed: of the draws.

    Raises:
        EvaluationError: protocol, task or images differ, or there is no image.
    """
    for other in alike[1:]:
        _check_alike(alike[0], other)
    if len(alike) < 2:
        return []
    scores = [SCORES[alike[0].kind][metric] for metric in METRICS]

    def score(weights: np.ndarray) -> np.ndarray:
        each = [[function(one.targets, one.probabilities, weights) for function in scores] for one in alike]
        return np.moveaxis(np.array(each), 2, 0)

    values = score(np.ones((1, len(alike[0]))))[0]  # (encoders, metrics)
    drawn = resample(score, alike[0].groups, resamples, seed)  # (draws, encoders, metrics)
    comparisons = []
    for one, two in combinations(range(len(alike)), 2):
        blank = _blank(alike[one], alike[two])
        differences, draws = values[one] - values[two], (drawn[:, one] - drawn[:, two]).T
        comparisons += [
            _bootstrapped(blank, metric, float(difference), column)
            for metric, difference, column in zip(METRICS, differences, draws, strict=True)
        ]
        comparisons += _by_delong(blank, alike[one], alike[two])
    return comparisons


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Returns the comparisons, in their order, with p-values corrected by Holm's step-down method (1979).

    All comparisons of one metric and method are one family: the probability that any of them is significant
    by chance stays below the level. Comparisons without a p-value do not count.
    """
    families: dict[tuple[str, str], list[int]] = {}
    for position, comparison in enumerate(comparisons):
        if not np.isnan(comparison.p_value):
            families.setdefault((comparison.metric, comparison.method), []).append(position)
    corrected_ones = list(comparisons)
    for positions in families.values():
        p_values = holm(np.array([comparisons[position].p_value for position in positions]))
        for position, p_value in zip(positions, p_values, strict=True):
            corrected_ones[position] = replace(comparisons[position], p_corrected=float(p_value))
    return corrected_ones


def holm(p_values: np.ndarray) -> np.ndarray:
    """Returns p-values (tests,) corrected for their number; the smallest is multiplied by all of it."""
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
                f"'{first.encoder}' and '{second.encoder}' cannot be compared: their {name} differs."
            )
    arrays = "case_ids", "groups", "targets"
    if not all(np.array_equal(getattr(first, name), getattr(second, name)) for name in arrays):
        raise EvaluationError(
            f"'{first.encoder}' and '{second.encoder}' cannot be compared on '{first.task}': they were not "
            "tested on the same images in the same order; evaluate both on the same manifest."
        )
    check_filled(first)


def _blank(first: Predictions, second: Predictions) -> Comparison:
    """Returns a comparison of two encoders that still lacks its metric and numbers."""
    undefined = float("nan")
    return Comparison(
        protocol=first.protocol,
        task=first.task,
        modality=first.modality,
        metric="",
        first=first.encoder,
        second=second.encoder,
        difference=undefined,
        low=undefined,
        high=undefined,
        p_value=undefined,
        p_corrected=undefined,
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


def _by_delong(blank: Comparison, first: Predictions, second: Predictions) -> list[Comparison]:
    """Returns the comparison by DeLong's test, nothing where the test does not apply."""
    positive = _positive_column(first)
    if positive is None or blank.groups != blank.images:
        return []
    target = first.targets[:, positive]
    test = delong(target, first.probabilities[:, positive], second.probabilities[:, positive])
    half = float(norm.ppf(0.975)) * test.standard_error
    comparison = replace(
        blank,
        metric=AUROC,
        method=DELONG,
        difference=test.difference,
        low=test.difference - half,
        high=test.difference + half,
        p_value=test.p_value,
    )
    return [comparison]


def _positive_column(predictions: Predictions) -> int | None:
    """Returns the column that separates the two classes of a task, None where there are not two."""
    exclusive = predictions.kind != "multilabel"
    if len(predictions.classes) != (2 if exclusive else 1):
        return None
    return 1 if exclusive else 0
