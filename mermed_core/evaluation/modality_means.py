"""The mean AUROC over the tasks of a modality, with an interval of its own."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from mermed_core.evaluation.predictions import Predictions
from mermed_core.evaluation.results import Result
from mermed_core.metrics.bootstrap import interval, resample
from mermed_core.metrics.catalogue import AUROC
from mermed_core.metrics.scores import auroc, unweighted


def modality_means(
    predictions: Sequence[Predictions], *, resamples: int = 1000, seed: int = 0
) -> list[Result]:
    """Averages macro AUROC over the tasks of each modality, by protocol and encoder.

    Every task counts the same. The groups of each task are drawn with replacement, independently of the other
    tasks, and the draws of the tasks are averaged; the percentiles of these means are the 95 % interval. The
    tasks themselves are taken as given: the interval does not cover what other tasks would have shown.

    All encoders are averaged over the same tasks, those where AUROC is defined for any of them; the mean of
    an encoder that was not measured on all of these is NaN. With fewer than five groups in one of the tasks
    there is no interval.

    Args:
        predictions: of test images; one for each encoder, protocol and task.
        resamples: draws of the bootstrap, 1 or more.
        seed: of the draws.

    Returns:
        Results without a task; images and groups are sums over the tasks.
    """

    def family(one: Predictions) -> tuple[str, str]:
        return one.protocol, one.modality

    means = []
    for _, alike in groupby(sorted(predictions, key=family), family):
        scored = [(one, *_scored(one, resamples, seed)) for one in alike if len(one)]
        tasks = {one.task for one, value, _ in scored if not np.isnan(value)}
        scored = [line for line in scored if line[0].task in tasks]
        means += [
            _mean([line for line in scored if line[0].encoder == encoder], len(tasks))
            for encoder in dict.fromkeys(one.encoder for one, *_ in scored)
        ]
    return means


def _scored(predictions: Predictions, resamples: int, seed: int) -> tuple[float, np.ndarray]:
    """Returns the AUROC of a task and that of every draw."""

    def score(weights: np.ndarray) -> np.ndarray:
        return auroc(predictions.targets, predictions.probabilities, weights)

    # With the same seed, tasks with equally many groups would be drawn alike instead of independently.
    own = seed, *predictions.task.encode()
    value = unweighted(auroc, predictions.targets, predictions.probabilities)
    return value, resample(score, predictions.groups, resamples, own)


def _mean(scored: list[tuple[Predictions, float, np.ndarray]], tasks: int) -> Result:
    """Returns the mean of one encoder over this number of tasks, NaN where it lacks one."""
    first = scored[0][0]
    complete = len(scored) == tasks
    # A task with few groups has a single row of NaN, which makes every draw of the mean NaN.
    draws = np.mean(np.broadcast_arrays(*(drawn for *_, drawn in scored)), axis=0)
    low, high = interval(draws) if complete else (np.nan, np.nan)
    return Result(
        first.encoder,
        first.modality,
        "",
        first.protocol,
        AUROC,
        float(np.mean([value for _, value, _ in scored])) if complete else np.nan,
        low,
        high,
        images=sum(len(one) for one, *_ in scored),
        groups=sum(len(np.unique(one.groups)) for one, *_ in scored),
    )
