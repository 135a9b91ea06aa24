"""A task: one label set of a manifest with the vectors that an encoder made of its images."""

import logging
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd

from mermed_core.data.manifest import COLUMNS, LabelSet, Manifest
from mermed_core.data.splits import divided_groups, split_by_group
from mermed_core.errors import EvaluationError, ManifestError
from mermed_core.fitting.linear_heads import Labelled, one_hot
from mermed_core.models.embedder import Embeddings

logger = logging.getLogger(__name__)

# Of train, val and test, where a data set has no splits of its own.
_FRACTIONS = (0.7, 0.1, 0.2)
_TOGETHER = "tables that belong to one label set need the same name in a column 'task' (or 'source')"
# Groups or classes that a log message lists.
_LISTED = 5


@dataclass(frozen=True)
class Task:
    """What a probe is fitted and measured on.

    Attributes:
        name: of the label set, such as "busi".
        modality: key; all images of the task are of it.
        kind: multiclass, multilabel or ordinal.
        classes: names, the columns of the targets; each occurs in the train split, if that has images.
        vectors: (images, dim) unit vectors.
        targets: (images, classes) of 0 and 1.
        groups: (images,) patients, lesions or tiles of origin; a group is never divided.
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
    """Returns every label set of the embedded images that has at least two classes in the train split.

    Classes that no training image shows are left out, and so are the images that show nothing else; one class
    is enough for a multi-label set. A label set without any splits is divided by its groups, the same way
    each time. A label set without training images keeps all its classes, for cross-validation. The log names
    all of that, as well as label sets that are left out and groups that lie in several splits.

    Raises:
        ManifestError: a label set mixes modalities, or there is none.
    """
    candidates = [_task(label_set, embeddings) for label_set in embeddings.manifest.label_sets()]
    tasks = tuple(task for task in candidates if task is not None)
    if not tasks:
        raise ManifestError(
            "no label set has two classes in the train split, so there is nothing to measure; label images "
            f"of two classes. Note that {_TOGETHER}.",
            column="labels",
        )
    return tasks


def _task(label_set: LabelSet, embeddings: Embeddings) -> Task | None:
    rows = task_rows(embeddings.manifest, label_set.task)
    images = embeddings.manifest.select(rows)
    modalities = sorted(images.frame["modality"].unique())
    if len(modalities) != 1:
        raise ManifestError(
            f"task '{label_set.task}' mixes the modalities {', '.join(modalities)}.", column="task"
        )
    images = _with_splits(label_set.task, images)
    frame = images.frame
    classes = _classes(label_set, frame)
    if not classes:
        return None
    task = Task(
        label_set.task,
        modalities[0],
        label_set.kind,
        classes,
        embeddings.vectors[rows],
        one_hot([list(labels) for labels in frame["labels"]], classes),
        images.patients(),
        frame["split"].to_numpy(),
        frame["case_id"].to_numpy(),
        frame.drop(columns=[name for name in COLUMNS if name != "source"]).reset_index(drop=True),
    )
    shown = task.targets.any(axis=1) | (label_set.kind == "multilabel")
    _log_left_out(label_set, task, int((~shown).sum()))
    return task.rows(np.flatnonzero(shown))


def _with_splits(name: str, images: Manifest) -> Manifest:
    """Returns the images with splits, divided by group where they have none; warns of divided groups."""
    if (images.frame["split"] == "").all():
        images = split_by_group(images, fractions=_FRACTIONS)
        counts = images.frame["split"].value_counts()
        sizes = ", ".join(f"{split} {counts.get(split, 0)}" for split in ("train", "val", "test"))
        logger.warning("task '%s' has no splits; its groups were divided into %s images.", name, sizes)
    elif groups := divided_groups(images):
        logger.warning(
            "task '%s': %d groups (%s) lie in several splits; all images of a patient belong in one split.",
            name,
            len(groups),
            _listed(groups),
        )
    return images


def _classes(label_set: LabelSet, frame: pd.DataFrame) -> tuple[str, ...]:
    """Returns the classes that can be learned, none where they are too few."""
    learned = frame["labels"][frame["split"] == "train"]
    where = "the train split"
    if not len(learned):
        problem = "has no labelled image in the train split, so it can only be cross-validated"
        logger.warning("task '%s' %s; %s.", label_set.task, problem, _TOGETHER)
        learned, where = frame["labels"], "its images"
    shown = {name for labels in learned for name in labels}
    classes = tuple(name for name in label_set.classes if name in shown)
    if len(classes) >= (1 if label_set.kind == "multilabel" else 2):
        return classes
    shown_classes = f"only one class ({classes[0]})" if classes else "no class"
    logger.warning("task '%s' is left out: %s shows %s; %s.", label_set.task, where, shown_classes, _TOGETHER)
    return ()


def _log_left_out(label_set: LabelSet, task: Task, images: int) -> None:
    if unknown := [name for name in label_set.classes if name not in task.classes]:
        count = f"{images} of {len(task)} images"
        logger.warning(
            "task '%s': no training image shows %s: %s are left out.", task.name, _listed(unknown), count
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_LISTED] + ["…"] * (len(names) > _LISTED))
