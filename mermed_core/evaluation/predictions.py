"""The predictions of one encoder for the test images of one task."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mermed_core.evaluation.task import Task


@dataclass(frozen=True)
class Predictions:
    """Probabilities beside the truth; two encoders on one task have the same images in the same rows.

    Attributes:
        encoder: name of the encoder.
        protocol: how they were made, such as "linear_probe".
        task: name of the label set.
        modality: key.
        kind: multiclass, multilabel or ordinal.
        classes: names of the columns.
        case_ids: (images,).
        groups: (images,) patients, lesions or tiles of origin.
        targets: (images, classes) of 0 and 1.
        probabilities: (images, classes) in 0..1.
        columns: further columns of the manifest, one row an image.
    """

    encoder: str
    protocol: str
    task: str
    modality: str
    kind: str
    classes: tuple[str, ...]
    case_ids: np.ndarray
    groups: np.ndarray
    targets: np.ndarray
    probabilities: np.ndarray
    columns: pd.DataFrame

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.targets)


def predictions_on(task: Task, probabilities: np.ndarray, *, encoder: str, protocol: str) -> Predictions:
    """Returns predictions from probabilities (images, classes) for the images of a task, in its order."""
    return Predictions(
        encoder,
        protocol,
        task.name,
        task.modality,
        task.kind,
        task.classes,
        task.case_ids,
        task.groups,
        task.targets,
        probabilities,
        task.columns,
    )


def to_long(predictions: Predictions, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Returns a row for each image and class, image by image: the table that charts are drawn from.

    Args:
        predictions: of one encoder on one task.
        columns: further columns to add as text, such as sex, so that subgroups can be measured again; an
            underscore is appended to names that the table already has.
    """
    images, classes = predictions.targets.shape
    table = pd.DataFrame(
        {
            "encoder": predictions.encoder,
            "protocol": predictions.protocol,
            "task": predictions.task,
            "modality": predictions.modality,
            "kind": predictions.kind,
            "case_id": np.repeat(predictions.case_ids, classes),
            "group": np.repeat(predictions.groups, classes),
            "label": np.tile(np.array(predictions.classes, object), images),
            "target": predictions.targets.astype(np.int8).ravel(),
            "probability": predictions.probabilities.astype(np.float64).ravel(),
        }
    )
    for name in columns:
        # One of several tables may have numbers and another words, which a parquet column cannot hold.
        texts = predictions.columns[name].astype(object).map(str, na_action="ignore")
        table[f"{name}_" if name in table else name] = np.repeat(texts.to_numpy(), classes)
    return table


def from_long(frame: pd.DataFrame, task: Task) -> Predictions:
    """Returns the predictions that `to_long` wrote into a table, with the images of their task."""
    case_ids = frame["case_id"].to_numpy()[:: len(task.classes)]
    images = task.rows(pd.Index(task.case_ids).get_indexer(pd.Index(case_ids)))
    probabilities = frame["probability"].to_numpy().reshape(len(case_ids), -1)
    names = {name: str(frame[name].iat[0]) for name in ("encoder", "protocol")}
    return predictions_on(images, probabilities, **names)
