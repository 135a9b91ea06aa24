"""Cross-validation of the linear probe, for sets too small to spare a test split."""

import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from mermed_core.data.manifest import LabelSet
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.predictions import Predictions, predictions_on
from mermed_core.evaluation.task import Task
from mermed_core.fitting.linear_heads import Labelled, fit_head


def cross_validation(task: Task, *, encoder: str, folds: int = 5, seed: int = 0) -> Predictions:
    """Predicts every image of a task, whatever its split, with a linear head fitted on other groups.

    Penalty and temperature of a fold are chosen inside its training part, by cross-validation over the groups
    there. The probabilities of all folds are pooled, although they come from different heads.

    A class that only one group has cannot be in both parts of a fold. Where the training part lacks a class,
    its probability is 0: its images count as missed, and its one-versus-rest AUROC has no meaning.

    Args:
        task: vectors with what they show.
        encoder: name for the predictions.
        folds: 2 or more; fewer where there are fewer groups, or fewer images of the largest class.
        seed: of the division.

    Returns:
        Predictions for all images, in the order of the task.

    Raises:
        EvaluationError: the images cannot be divided in two.
    """
    probabilities = np.zeros(task.targets.shape)
    for fitted, left_out in _divisions(task, folds, seed):
        present = np.flatnonzero(task.targets[fitted].any(axis=0))
        if not len(present):  # images of a multi-label set that show no class
            continue
        label_set = LabelSet(task.name, task.kind, tuple(task.classes[index] for index in present))
        train = Labelled(task.vectors[fitted], task.targets[np.ix_(fitted, present)], task.groups[fitted])
        head = fit_head(label_set, task.modality, train, train.rows(np.empty(0, np.int64)))
        vectors = task.vectors[left_out].astype(np.float64)
        probabilities[np.ix_(left_out, present)] = head.probabilities(vectors)
    return predictions_on(task, probabilities, encoder=encoder, protocol="cross_validation")


def _divisions(task: Task, folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the positions to fit on and those left out; every image is left out once."""
    strata = _strata(task.targets)
    folds = min(folds, len(np.unique(task.groups)), int(np.bincount(strata).max()))
    if folds < 2:
        raise EvaluationError(
            f"task '{task.name}' cannot be cross-validated: that takes two folds, images of two patients "
            "(column 'group') and a class with two images."
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes with fewer images than folds are expected
        for fitted, left_out in splitter.split(task.vectors, strata, task.groups):
            if len(left_out):  # a fold stays empty where one group is larger than many together
                yield fitted, left_out


def _strata(targets: np.ndarray) -> np.ndarray:
    """Returns for each image the rarest class that it shows; images without a class are one more stratum."""
    frequency = np.where(targets > 0, targets.sum(axis=0), np.inf)
    return np.where(targets.any(axis=1), frequency.argmin(axis=1), targets.shape[1])
