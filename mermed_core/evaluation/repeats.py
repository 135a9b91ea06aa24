"""Figures of what depends on a draw of training images: one a seed, and their mean with its interval."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import t

from mermed_core.evaluation.predictions import Predictions
from mermed_core.evaluation.results import Figure
from mermed_core.metrics.scores import SCORES


def seed_figures(
    predictions: Predictions, metrics: Sequence[str], *, setting: str, seed: int
) -> list[Figure]:
    """Returns the metrics of one draw, without intervals.

    Args:
        predictions: of the head that was fitted on the draw.
        metrics: names in `figures`.
        setting: such as "shots=4".
        seed: of the draw.
    """
    once = np.ones((1, len(predictions)))
    scores = SCORES[predictions.kind]
    return [
        Figure(
            predictions.encoder,
            predictions.modality,
            predictions.task,
            predictions.protocol,
            metric,
            float(scores[metric](predictions.targets, predictions.probabilities, once)[0]),
            images=len(predictions),
            groups=len(np.unique(predictions.groups)),
            setting=setting,
            seed=seed,
        )
        for metric in metrics
    ]


def over_seeds(figures: Sequence[Figure]) -> list[Figure]:
    """Returns the mean over seeds of each setting and metric, with the 95 % interval of Student's t.

    The interval tells how much the mean depends on the draw of training images, not on the test images; it
    may pass 0 and 1, and is NaN for a single seed. The seed of a mean is -1.
    """
    alike: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        alike.setdefault((figure.setting, figure.metric), []).append(figure)
    return [_mean(same) for same in alike.values()]


def _mean(same: list[Figure]) -> Figure:
    values = np.array([figure.value for figure in same])
    mean, half = float(values.mean()), float("nan")
    if len(values) > 1:
        error = values.std(ddof=1) / np.sqrt(len(values))
        half = float(t.ppf(0.975, len(values) - 1) * error)
    return replace(same[0], value=mean, low=mean - half, high=mean + half, seed=-1)
