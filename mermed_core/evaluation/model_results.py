"""The metrics of a model, taken from a table of results."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.results import of_tasks
from mermed_core.metrics.catalogue import AUROC, ECE
from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics, WholeModelMetrics


def model_metrics(
    results: pd.DataFrame, encoder: str, *, start: str = "", averaged: Collection[str] = ()
) -> ModelMetrics:
    """Returns the metrics of every task with its linear probe, and the mean AUROC over some of them.

    Args:
        results: with the columns of `results.COLUMNS`.
        encoder: name of the model in them.
        start: name of the encoder that it was trained from, if that was measured too.
        averaged: tasks whose AUROC is averaged; the means are None unless all of them were measured.

    Raises:
        EvaluationError: the encoder, or its start, has no linear probe in the table.
    """
    probed = of_tasks(results[results["encoder"] == encoder], "linear_probe")
    if probed.empty:
        raise EvaluationError(f"the report has no linear probe of '{encoder}'; evaluate it first.")
    of_start = of_tasks(results[results["encoder"] == start], "linear_probe")
    if start and of_start.empty:
        raise EvaluationError(f"the report has no linear probe of '{start}'; evaluate it too.")
    cross_validated = of_tasks(results[results["encoder"] == encoder], "cross_validation")
    tasks = {
        task: _task_metrics(task, probed, of_start, cross_validated)
        for task in sorted(probed["task"].unique())
    }
    chosen = [tasks.get(task) for task in averaged]
    model = WholeModelMetrics(
        mean_auroc=_mean([each and each.auroc for each in chosen]),
        start_mean_auroc=_mean([each and each.start_auroc for each in chosen]),
    )
    return ModelMetrics(tasks=tasks, model=model)


def _task_metrics(
    task: str, probed: pd.DataFrame, of_start: pd.DataFrame, cross_validated: pd.DataFrame
) -> TaskMetrics:
    auroc = _row(probed, task, AUROC)
    metrics = TaskMetrics(
        modality=auroc["modality"],
        n_test=int(auroc["images"]),
        n_groups=int(auroc["groups"]),
        auroc=auroc["value"],
        auroc_low=auroc["low"],
        auroc_high=auroc["high"],
        ece=_row(probed, task, ECE)["value"],
        start_auroc=None if of_start.empty else _row(of_start, task, AUROC)["value"],
    )
    if not (cross_validated["task"] == task).any():
        return metrics
    row = _row(cross_validated, task, AUROC)
    names = {"auroc": "value", "low": "low", "high": "high"}
    crossed = {f"cross_validated_{name}": row[column] for name, column in names.items()}
    return TaskMetrics.model_validate(metrics.model_dump() | crossed)


def _row(results: pd.DataFrame, task: str, metric: str) -> pd.Series:
    rows = results[(results["task"] == task) & (results["metric"] == metric)]
    if len(rows) != 1:
        raise EvaluationError(f"the report has {len(rows)} results of {metric} on '{task}'; one is expected.")
    return rows.iloc[0]


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined and len(defined) == len(values) else None
