"""Figures: every number of an evaluation, one row each, as a parquet table."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from mermed_core.errors import EvaluationError
from mermed_core.files import write_file

# Metric names, as they stand in the table.
AUROC, AUPRC = "auroc", "auprc"
BALANCED_ACCURACY, F1, KAPPA = "balanced_accuracy", "f1", "quadratic_kappa"
ECE, BRIER = "ece", "brier"
RECALL, MEAN_AVERAGE_PRECISION = "recall", "map"

_NAN = float("nan")


@dataclass(frozen=True)
class Figure:
    """One number with its 95 % interval.

    Attributes:
        encoder: name of the encoder.
        modality: key.
        task: name of the label set; "" over all tasks of a modality: searched together in retrieval, a mean
            otherwise.
        protocol: linear_probe, knn, few_shot, label_efficiency, fine_tuning, cross_validation, retrieval or
            robustness.
        metric: see the names above.
        value: NaN where it is not defined.
        low: lower end; NaN where there is no interval.
        high: upper end.
        images: how many images it was measured on.
        groups: how many patients, lesions or tiles of origin.
        setting: what the protocol varies, such as "shots=4", "share=0.1", "k=5" or "noise=3"; "" for none.
        seed: of the draw of training images; -1 where nothing is drawn.
        label: the class, "" over all of them.
        subgroup: column and value, such as "sex=F"; "" for all images.
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
    setting: str = ""
    seed: int = -1
    label: str = ""
    subgroup: str = ""


COLUMNS = tuple(field.name for field in fields(Figure))


def to_frame(figures: Iterable[Figure]) -> pd.DataFrame:
    """Returns the figures as a table with the columns of `COLUMNS`."""
    return pd.DataFrame([asdict(figure) for figure in figures], columns=list(COLUMNS))


def save_figures(path: Path, frame: pd.DataFrame) -> None:
    """Writes a table of figures as parquet, the whole file or nothing."""
    with write_file(path) as staging:
        frame.to_parquet(staging, index=False)


def load_figures(path: Path) -> pd.DataFrame:
    """Reads a table of figures.

    Raises:
        EvaluationError: the file is missing, damaged or another table.
    """
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"'{path}' is no table of figures: {error}") from error
    if missing := [name for name in COLUMNS if name not in frame]:
        raise EvaluationError(f"'{path}' is no table of figures: it has no column '{missing[0]}'.")
    return frame[list(COLUMNS)]
