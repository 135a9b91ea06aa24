"""Picks rows out of a table of figures."""

import pandas as pd

from mermed_core.modalities import MODALITY_KEYS


def by_modality(figures: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows in the order of the modalities, otherwise in their own."""
    rank = {key: position for position, key in enumerate(MODALITY_KEYS)}
    return figures.sort_values("modality", key=lambda keys: keys.map(rank), kind="stable")


def overall(figures: pd.DataFrame, protocol: str, metric: str | None = None) -> pd.DataFrame:
    """Returns the rows of a protocol over all classes, images and draws of a task, of a metric or of all."""
    rows = _whole(figures, protocol, metric)
    return rows[rows["task"].ne("")]


def over_tasks(figures: pd.DataFrame, protocol: str, metric: str | None = None) -> pd.DataFrame:
    """Returns the same over all tasks of a modality together."""
    rows = _whole(figures, protocol, metric)
    return rows[rows["task"].eq("")]


def _whole(figures: pd.DataFrame, protocol: str, metric: str | None) -> pd.DataFrame:
    rows = figures[figures["protocol"].eq(protocol) & figures["seed"].eq(-1)]
    rows = rows[rows["label"].eq("") & rows["subgroup"].eq("")]
    return rows if metric is None else rows[rows["metric"].eq(metric)]
