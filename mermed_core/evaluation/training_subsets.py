"""Random subsets of the training images; a smaller subset is part of every larger one with the same seed."""

import numpy as np

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.task import Task


def few_shot_rows(task: Task, shots: int, seed: int) -> np.ndarray:
    """Picks `shots` training images of each class, or all images of a class that has fewer.

    In a multi-label set an image is picked when it shows a class that has not yet been picked `shots` times,
    so that frequent classes get more. Images without any class count as one more class, because there would
    be no counter-examples otherwise.

    Args:
        task: its train split is picked from.
        shots: 1 or more.
        seed: of the order in which images are considered.

    Returns:
        Positions in the task, rising.

    Raises:
        EvaluationError: less than one shot.
    """
    if shots < 1:
        raise EvaluationError(f"{shots} shots leave nothing to learn from; take 1 or more.")
    order = _shuffled(task, seed)
    targets = task.targets[order]
    classes = np.column_stack([targets, ~targets.any(axis=1)])
    return np.sort(order[_among_first(classes, np.array(shots))])


def share_rows(task: Task, share: float, seed: int) -> np.ndarray:
    """Picks a share of the training images, stratified by class: at least two images of each, or all.

    In a multi-label set the share is picked at random, with at least one image that shows each class.

    Args:
        task: its train split is picked from.
        share: above 0, at most 1.
        seed: of the order in which images are considered.

    Returns:
        Positions in the task, rising.

    Raises:
        EvaluationError: the share is out of range.
    """
    if not 0 < share <= 1:
        raise EvaluationError(f"a share of {share} is out of range; take one above 0 and at most 1.")
    order = _shuffled(task, seed)
    targets = task.targets[order]
    if task.kind == "multilabel":
        taken = np.arange(len(order)) < round(share * len(order))
        return np.sort(order[taken | _among_first(targets, np.array(1))])
    quota = np.maximum(2, np.rint(share * targets.sum(axis=0)))
    return np.sort(order[_among_first(targets, quota)])


def _shuffled(task: Task, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.flatnonzero(task.splits == "train"))


def _among_first(targets: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns a mask (images,) of those among the first `counts` that show one of their classes."""
    rank = np.cumsum(targets, axis=0)
    return np.any((targets > 0) & (rank <= counts), axis=1)
