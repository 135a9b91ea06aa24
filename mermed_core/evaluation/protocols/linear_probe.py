"""The linear probe: logistic regression on frozen vectors, the main result of an encoder."""

import numpy as np

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.predictions import Predictions, predictions_on
from mermed_core.evaluation.task import Task
from mermed_core.fitting.linear_heads import Labelled, fit_head
from mermed_core.models.heads import Head


def linear_probe(task: Task, *, encoder: str) -> Predictions:
    """Fits a linear head on the train split and applies it to the test split.

    Penalty and temperature are chosen on val; without val images, by cross-validation over the groups of
    train.

    Args:
        task: vectors with what they show.
        encoder: name for the predictions.

    Raises:
        EvaluationError: the task has no test image, or no training image.
    """
    test = measured_split(task)
    return predict(fit_probe(task), test, encoder=encoder, protocol="linear_probe")


def fit_probe(task: Task) -> Head:
    """Fits a linear head on the train split of a task; val chooses penalty and temperature.

    Raises:
        EvaluationError: the task has no training image.
    """
    _refuse_without(task, "train", "to learn from")
    train, val = (task.split(name).labelled() for name in ("train", "val"))
    return fit_head(task.label_set, task.modality, train, val)


def fit_few(train: Task) -> Head:
    """Fits a head on so few images that nothing can be chosen by them: the middle penalty, no calibration.

    In cross-validation over a few images a fold often lacks some class, and what the other folds choose
    depends on single images; a few-shot learner has no further images to choose with.

    Args:
        train: the images; every class occurs.
    """
    # Nothing can be held out of a single group, so that `fit_head` takes the middle penalty.
    one_group = np.zeros(len(train), np.int64)
    images = Labelled(train.vectors, train.targets, one_group)
    nothing = images.rows(np.empty(0, np.int64))
    return fit_head(train.label_set, train.modality, images, nothing)


def predict(head: Head, images: Task, *, encoder: str, protocol: str) -> Predictions:
    """Applies a head to the images of a task that has the same classes."""
    # In single precision confident answers would round to ties at 1, and AUROC counts ties half.
    probabilities = head.probabilities(images.vectors.astype(np.float64))
    return predictions_on(images, probabilities, encoder=encoder, protocol=protocol)


def measured_split(task: Task) -> Task:
    """Returns the test images of a task, which also has training images.

    Raises:
        EvaluationError: there is no test image, or no training image.
    """
    _refuse_without(task, "test", "to measure on")
    _refuse_without(task, "train", "to learn from")
    return task.split("test")


def _refuse_without(task: Task, split: str, purpose: str) -> None:
    if split not in task.splits:
        raise EvaluationError(
            f"task '{task.name}' has no image in the {split} split {purpose}; write '{split}' into the "
            "column 'split' for some patients, or leave the column out to have the images divided. Tables "
            "that belong together need the same name in a column 'task'; cross_validation needs no splits."
        )
