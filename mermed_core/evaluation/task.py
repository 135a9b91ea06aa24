"""A task: one label set of a manifest with the vectors that an encoder made of its images."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd

from mermed_core.data.manifest import COLUMNS, LabelSet, Manifest
from mermed_core.embed import Embeddings
from mermed_core.errors import EvaluationError, ManifestError
from mermed_core.fitting import Labelled, one_hot


@dataclass(frozen=True)
class Task:
    """What a probe is fitted and measured on.

    Attributes:
        name: of the label set, such as "busi".
        modality: key; the task's images are all of it.
        kind: multiclass, multilabel or ordinal.
        classes: names, the columns of the targets; each occurs in the train split.
        vectors: (images, dim) unit vectors.
        targets: (images, classes) of 0 and 1.
        groups: (images,) patients, lesions or tiles of origin; one is never divided.
        splits: (images,) train, val, test or "".
        case_ids: (images,).
        columns: further columns of the manifest (site, sex, age band …), one row an image.
    """

    name: str
    modality: str
    kind: str
    classes: tuple[str, ...]
    vectors: np.ndarray
    targets: np.ndarray
    groups: np.ndarray
    splits: np.ndarray
    case_ids: np.ndarray
    columns: pd.DataFrame

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.vectors)

    @property
    def label_set(self) -> LabelSet:
        """Task, kind and classes, as `fitting.fit_head` takes them."""
        return LabelSet(self.name, self.kind, self.classes)

    def rows(self, positions: np.ndarray) -> Self:
        """Returns some of the images, by their positions."""
        return replace(
            self,
            vectors=self.vectors[positions],
            targets=self.targets[positions],
            groups=self.groups[positions],
            splits=self.splits[positions],
            case_ids=self.case_ids[positions],
            columns=self.columns.iloc[positions].reset_index(drop=True),
        )

    def split(self, name: str) -> Self:
        """Returns the images of one split."""
        return self.rows(np.flatnonzero(self.splits == name))

    def labelled(self) -> Labelled:
        """Returns vectors, targets and groups, as `fitting.fit_head` takes them."""
        return Labelled(self.vectors, self.targets, self.groups)


def task_rows(manifest: Manifest, name: str) -> np.ndarray:
    """Returns the positions of a task's labelled images, as its `Task` holds them."""
    frame = manifest.frame
    return np.flatnonzero((frame["task"] == name) & frame["labels"].notna())


def images_of(manifest: Manifest, task: Task) -> Manifest:
    """Returns the rows of a task's images, in the task's order.

    Raises:
        EvaluationError: one of them is not in the manifest.
    """
    positions = pd.Index(manifest.frame["case_id"]).get_indexer(pd.Index(task.case_ids))
    if (positions < 0).any():
        missing = task.case_ids[positions < 0][0]
        raise EvaluationError(f"image '{missing}' of task '{task.name}' is not in the manifest given.")
    return manifest.select(positions)


def tasks_of(embeddings: Embeddings) -> tuple[Task, ...]:
    """Returns every label set of the embedded images that has two classes in the train split.

    Classes that are in no training image are left out, and with them the images that show nothing else;
    of a multi-label set one class is enough.

    Raises:
        ManifestError: a label set mixes modalities, or there is none.
    """
    tasks = [_task(label_set, embeddings) for label_set in embeddings.manifest.label_sets()]
    found = tuple(task for task in tasks if task is not None)
    if not found:
        raise ManifestError(
            "no label set has two classes in the train split, so there is nothing to measure.",
            column="labels",
        )
    return found


def _task(label_set: LabelSet, embeddings: Embeddings) -> Task | None:
    rows = task_rows(embeddings.manifest, label_set.task)
    frame = embeddings.manifest.frame.iloc[rows]
    modalities = sorted(frame["modality"].unique())
    if len(modalities) != 1:
        raise ManifestError(
            f"task '{label_set.task}' mixes the modalities {', '.join(modalities)}.", column="task"
        )
    taught = {name for labels in frame.loc[frame["split"] == "train", "labels"] for name in labels}
    classes = tuple(name for name in label_set.classes if name in taught)
    if len(classes) < (1 if label_set.kind == "multilabel" else 2):
        return None
    task = Task(
        label_set.task,
        modalities[0],
        label_set.kind,
        classes,
        embeddings.vectors[rows],
        one_hot([list(labels) for labels in frame["labels"]], classes),
        frame["group"].to_numpy(),
        frame["split"].to_numpy(),
        frame["case_id"].to_numpy(),
        frame.drop(columns=list(COLUMNS)).reset_index(drop=True),
    )
    return task if label_set.kind == "multilabel" else task.rows(np.flatnonzero(task.targets.any(axis=1)))
