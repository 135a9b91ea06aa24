"""What a model folder says of itself, taken from a table of figures."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.results import AUROC, ECE
from mermed_core.reports.selection import overall


def model_figures(
    figures: pd.DataFrame, encoder: str, *, start: str = "", averaged: Collection[str] = ()
) -> dict[str, Any]:
    """Returns an entry for each task with its linear probe, and the mean AUROC over some of them.

    Args:
        figures: with the columns of `figures.COLUMNS`.
        encoder: name of the model in them.
        start: name of the encoder that it was trained from, if it was measured too.
        averaged: tasks whose AUROC is averaged.

    Returns:
        For each task modality, n_test, n_groups, auroc, auroc_low, auroc_high and ece, with start_auroc where
        there is a start and crossed_auroc, crossed_low and crossed_high where the task was cross-validated;
        beside them mean_auroc, and start_mean_auroc, where every task to average was measured. None stands
        for what is not defined.

    Raises:
        EvaluationError: the encoder has no linear probe in the table, or the start is not in it.
    """
    ours = overall(figures[figures["encoder"] == encoder], "linear_probe")
    if ours.empty:
        raise EvaluationError(f"the report has no linear probe of '{encoder}'; evaluate it first.")
    theirs = overall(figures[figures["encoder"] == start], "linear_probe")
    if start and theirs.empty:
        raise EvaluationError(f"the report has no linear probe of '{start}'; evaluate it too.")
    crossed = overall(figures[figures["encoder"] == encoder], "cross_validation")
    entries: dict[str, Any] = {}
    for task in sorted(ours["task"].unique()):
        auroc, ece = (_row(ours, task, metric) for metric in (AUROC, ECE))
        entries[task] = {
            "modality": auroc["modality"],
            "n_test": int(auroc["images"]),
            "n_groups": int(auroc["groups"]),
            **_interval("auroc", auroc),
            "ece": _defined(ece["value"]),
        }
        if start:
            entries[task]["start_auroc"] = _defined(_row(theirs, task, AUROC)["value"])
        if (crossed["task"] == task).any():
            entries[task] |= _interval("crossed", _row(crossed, task, AUROC))
    return entries | _means(entries, averaged)


def _row(figures: pd.DataFrame, task: str, metric: str) -> pd.Series:
    found = figures[(figures["task"] == task) & (figures["metric"] == metric)]
    if len(found) != 1:
        raise EvaluationError(
            f"the report has {len(found)} figures of {metric} on '{task}'; one is expected."
        )
    return found.iloc[0]


def _interval(name: str, row: pd.Series) -> dict[str, float | None]:
    value = name if name == AUROC else f"{name}_{AUROC}"
    return {
        value: _defined(row["value"]),
        f"{name}_low": _defined(row["low"]),
        f"{name}_high": _defined(row["high"]),
    }


def _means(entries: dict[str, Any], averaged: Collection[str]) -> dict[str, float]:
    means = {}
    for name, mean in (("auroc", "mean_auroc"), ("start_auroc", "start_mean_auroc")):
        values = [entries.get(task, {}).get(name) for task in averaged]
        if values and all(value is not None for value in values):
            means[mean] = float(np.mean(values))
    return means


def _defined(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
