"""A made-up evaluation, as a report takes it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mermed_core.evaluation.protocols.robustness import ALL
from mermed_core.evaluation.published_results import Published, load_published
from mermed_core.evaluation.results import Result, to_frame
from mermed_core.evaluation.runner import Evaluation
from mermed_core.fitting import linear_heads
from mermed_core.metrics.catalogue import AUPRC, AUROC, BALANCED_ACCURACY, BRIER, ECE, F1

TASKS = {
    "head_ct": ("ct", ("haemorrhage", "healthy")),
    "busi": ("ultrasound", ("benign", "malignant", "normal")),
}
ENCODERS = ("random", "better")


def make_evaluation(
    tasks: dict[str, tuple[str, tuple[str, ...]]], encoders: tuple[str, ...], images: int = 60
) -> Evaluation:
    """Returns tables of every protocol; AUROC of task t and encoder e is 0.7 + 0.02 t + 0.04 e."""
    random = np.random.default_rng(0)
    results: list[Result] = []
    predictions, comparisons = [], []
    for position, (task, (modality, classes)) in enumerate(tasks.items()):
        for rank, encoder in enumerate(encoders):
            blank = Result(encoder, modality, task, "", AUROC, 0.0, images=images, groups=images // 2)
            value = 0.7 + 0.02 * position + 0.04 * rank
            results += results_of(blank, classes, value)
            mean = replace(blank, task="", protocol="linear_probe", value=value)  # each modality has one task
            results.append(replace(mean, low=value - 0.03, high=value + 0.02))
            predictions.append(predictions_of(blank, classes, 1 + rank, random))
        for first, second in pairwise(encoders):
            comparisons += [compared(task, modality, metric, first, second) for metric in (AUROC, ECE)]
    table = pd.concat(predictions, ignore_index=True)
    return Evaluation(to_frame(results), pd.DataFrame(comparisons), table, left_out={}, unreadable={})


def results_of(blank: Result, classes: tuple[str, ...], value: float) -> Iterator[Result]:
    """Yields one encoder's results on one task."""
    around = {"low": value - 0.05, "high": value + 0.04}
    for protocol in ("linear_probe", "knn", "cross_validation", "fine_tuning"):
        for metric in (AUROC, AUPRC, BALANCED_ACCURACY, F1):
            yield replace(blank, protocol=protocol, metric=metric, value=value, **around)
        for metric in (ECE, BRIER):
            yield replace(blank, protocol=protocol, metric=metric, value=1 - value)
    probe = replace(blank, protocol="linear_probe")
    for label in classes:
        yield replace(probe, label=label, value=value, **around)
    for name, shift in (("F", 0.0), ("M", -0.1)):
        part = replace(probe, subgroup_column="sex", subgroup=name)
        yield replace(part, value=value + shift, images=blank.images // 2)
    yield replace(probe, subgroup_column="sex", metric="auroc_gap", value=0.1, low=0.02, high=0.2)
    for shots in (1, 4, 16):
        mean = value - 0.2 / shots
        shot = replace(blank, protocol="few_shot", shots=shots)
        for seed in range(3):
            yield replace(shot, seed=seed, value=mean + 0.01 * (seed - 1))
        yield replace(shot, value=mean, low=mean - 0.02, high=mean + 0.02)
    for share in (0.01, 0.1, 1.0):
        interval = {} if share == 1 else {"low": value - 0.04, "high": value}
        part = replace(blank, protocol="label_efficiency", share=share)
        yield replace(part, value=value - 0.02 * (share < 1), **interval)
    for k in (1, 10):
        hits = replace(blank, protocol="retrieval", k=k)
        yield replace(hits, metric="recall", value=value + k / 100, **around)
        yield replace(hits, metric="precision", value=value - k / 100, **around)
    average = replace(blank, protocol="retrieval", metric="map")
    yield replace(average, value=value - 0.2, **around)
    for label in classes:
        yield replace(average, label=label, value=value - 0.2, images=blank.images // len(classes), **around)
    noise, blur = {("noise", 1): 0.01, ("noise", 5): 0.05}, {("blur", 1): 0.03, ("blur", 5): 0.09}
    for (corruption, severity), loss in ({("", 0): 0.0} | noise | blur | {(ALL, 0): 0.045}).items():
        corrupted = replace(blank, protocol="robustness", corruption=corruption, severity=severity)
        yield replace(corrupted, value=value - loss)


def predictions_of(
    blank: Result, classes: tuple[str, ...], skill: float, random: np.random.Generator
) -> pd.DataFrame:
    """Returns softmax probabilities that are the righter the higher the skill, a row an image and class."""
    shown = np.arange(blank.images) % len(classes)
    targets = np.eye(len(classes), dtype=int)[shown]
    logits = np.exp(random.normal(size=targets.shape) + skill * targets)
    return pd.DataFrame(
        {
            "encoder": blank.encoder,
            "protocol": "linear_probe",
            "task": blank.task,
            "modality": blank.modality,
            "kind": "multiclass",
            "case_id": np.repeat([f"case {row}" for row in range(blank.images)], len(classes)),
            "label": np.tile(classes, blank.images),
            "target": targets.ravel(),
            "probability": (logits / logits.sum(axis=1, keepdims=True)).ravel(),
        }
    )


def compared(task: str, modality: str, metric: str, first: str, second: str) -> dict[str, Any]:
    """Returns a row of the table of comparisons."""
    return {
        "protocol": "linear_probe",
        "task": task,
        "modality": modality,
        "metric": metric,
        "first": first,
        "second": second,
        "difference": -0.06,
        "low": -0.1,
        "high": -0.012,
        "p_value": 0.0004,
        "p_corrected": 0.004,
        "method": "bootstrap",
        "images": 60,
        "groups": 30,
    }


@pytest.fixture(scope="module")
def few_penalties() -> Iterator[None]:
    """Lets heads choose among three penalties instead of nine, for tests of something else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_heads, "PENALTIES", (0.1, 1.0, 10.0))
        yield


@pytest.fixture(scope="session")
def evaluation() -> Evaluation:
    return make_evaluation(TASKS, ENCODERS)


@pytest.fixture(scope="session")
def evaluation_of() -> Callable[..., Evaluation]:
    return make_evaluation


@pytest.fixture(scope="session")
def published() -> Published:
    return load_published()
