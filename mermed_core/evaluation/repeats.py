"""Results that depend on a random subset of the training images: one per subset, and their mean."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import t

from mermed_core.evaluation.predictions import Predictions
from mermed_core.evaluation.results import Result
from mermed_core.metrics.catalogue import SCORES
from mermed_core.metrics.scores import unweighted


def measure_repeat(
    predictions: Predictions, metrics: Sequence[str], *, seed: int, shots: int = 0, share: float = 0.0
) -> list[Result]:
    """Measures a head that was fitted on one training subset, without intervals.

    Args:
        predictions: of that head on the test images.
        metrics: names in `metrics.catalogue`.
        seed: of the subset.
        shots: training images per class, where the subset is defined by them.
        share: share of the training images, where the subset is defined by it.
    """
    scores = SCORES[predictions.kind]
    return [
        Result(
            predictions.encoder,
            predictions.modality,
            predictions.task,
            predictions.protocol,
            metric,
            unweighted(scores[metric], predictions.targets, predictions.probabilities),
            images=len(predictions),
            groups=len(np.unique(predictions.groups)),
            shots=shots,
            share=share,
            seed=seed,
        )
        for metric in metrics
    ]


def mean_over_repeats(results: Sequence[Result]) -> list[Result]:
    """Returns the mean over seeds for every size of subset and metric, with the 95 % interval of Student's t.

    The interval shows how much the mean depends on which training images are taken, not on the test images;
    it may reach beyond 0 and 1, and is NaN for a single seed. The seed of a mean is -1.
    """
    by_size: dict[tuple[int, float, str], list[Result]] = {}
    for result in results:
        by_size.setdefault((result.shots, result.share, result.metric), []).append(result)
    return [_mean(repeats) for repeats in by_size.values()]


def _mean(repeats: list[Result]) -> Result:
    values = np.array([result.value for result in repeats])
    mean, half = float(values.mean()), float("nan")
    if len(values) > 1:
        error = values.std(ddof=1) / np.sqrt(len(values))
        half = float(t.ppf(0.975, len(values) - 1) * error)
    return replace(repeats[0], value=mean, low=mean - half, high=mean + half, seed=-1)
