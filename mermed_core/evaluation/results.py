"""Results: every number of an evaluation, one row each, as a parquet table."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from mermed_core.errors import EvaluationError
from mermed_core.files import write_file
from mermed_core.modalities import MODALITY_KEYS

_NAN = float("nan")


@dataclass(frozen=True)
class Result:
    """One number with its 95 % interval.

    Attributes:
        encoder: name of the encoder.
        modality: key.
        task: name of the label set; "" where all label sets of a modality are taken together (searched at
            once in retrieval, averaged otherwise).
        protocol: linear_probe, knn, few_shot, label_efficiency, fine_tuning, cross_validation, retrieval or
            robustness.
        metric: see `metrics.catalogue`; for a spread over subgroups, with `measurement.GAP` appended.
        value: NaN where it is not defined.
        low: lower end; NaN where there is no interval.
        high: upper end.
        images: number of images it was measured on.
        groups: number of patients, lesions or tiles of origin.
        shots: few_shot: training images per class; 0 elsewhere.
        share: label_efficiency: share of the training images, above 0 to 1; 0 elsewhere.
        k: retrieval: number of hits that are looked at; 0 for the whole ranking and elsewhere.
        corruption: robustness: name of the corruption, or `robustness.ALL` for the mean over all; "" for
            uncorrupted images and elsewhere.
        severity: robustness: 1 to 5; 0 for uncorrupted images, for the mean and elsewhere.
        seed: of the random training subset; -1 for the mean over subsets and where nothing is random.
        label: the class; "" for the mean over classes.
        subgroup_column: the column that divides the images; "" where they are not divided.
        subgroup: the value or band of that column; "" for the spread over its values.
    """

    encoder: str
    modality: str
    task: str
    protocol: str
    metric: str
    value: float
    low: float = _NAN
    high: float = _NAN
    images: int = 0
    groups: int = 0
    shots: int = 0
    share: float = 0.0
    k: int = 0
    corruption: str = ""
    severity: int = 0
    seed: int = -1
    label: str = ""
    subgroup_column: str = ""
    subgroup: str = ""


COLUMNS = tuple(field.name for field in fields(Result))


def to_frame(results: Iterable[Result]) -> pd.DataFrame:
    """Returns the results as a table with the columns of `COLUMNS`."""
    return pd.DataFrame([asdict(result) for result in results], columns=list(COLUMNS))


def save_results(path: Path, frame: pd.DataFrame) -> None:
    """Writes a table of results as parquet, the whole file or nothing."""
    with write_file(path) as staging:
        frame.to_parquet(staging, index=False)


def load_results(path: Path) -> pd.DataFrame:
    """Reads a table of results.

    Raises:
        EvaluationError: the file is missing, damaged or another table.
    """
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"'{path}' is not a table of results: {error}") from error
    if missing := [name for name in COLUMNS if name not in frame]:
        raise EvaluationError(
            f"'{path}' is not a table of results: it has no column '{missing[0]}'; evaluate again."
        )
    return frame[list(COLUMNS)]


def by_modality(results: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows in the order of the modalities, otherwise in their own."""
    rank = {key: position for position, key in enumerate(MODALITY_KEYS)}
    return results.sort_values("modality", key=lambda keys: keys.map(rank), kind="stable")


def of_tasks(results: pd.DataFrame, protocol: str, metric: str | None = None) -> pd.DataFrame:
    """Returns the rows of a protocol that cover a whole task: all classes, test images and training subsets.

    Args:
        results: a table with the columns of `COLUMNS`.
        protocol: its name.
        metric: its name; None for all.
    """
    rows = _undivided(results, protocol, metric)
    return rows[rows["task"].ne("")]


def of_modalities(results: pd.DataFrame, protocol: str, metric: str | None = None) -> pd.DataFrame:
    """Returns the rows that cover all tasks of a modality together; arguments as in `of_tasks`."""
    rows = _undivided(results, protocol, metric)
    return rows[rows["task"].eq("")]


def _undivided(results: pd.DataFrame, protocol: str, metric: str | None) -> pd.DataFrame:
    rows = results[results["protocol"].eq(protocol) & results["seed"].eq(-1)]
    rows = rows[rows["label"].eq("") & rows["subgroup_column"].eq("")]
    return rows if metric is None else rows[rows["metric"].eq(metric)]
