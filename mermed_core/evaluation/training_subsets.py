"""Seeded draws of training images; a smaller draw is part of every larger one with the same seed."""

import numpy as np

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.task import Task


def few_shot_rows(task: Task, shots: int, seed: int) -> np.ndarray:
    """Draws `shots` training images of each class, or all of a class that has fewer.

    Of a multi-label set an image is taken when it shows a class that was not yet taken `shots` times, so
    that frequent classes get more; images that show none count as one more class, because there would be no
    counter-examples otherwise.

    Args:
        task: the train split is drawn from.
        shots: 1 or more.
        seed: of the order in which images are looked at.

    Returns:
        Positions in the task, rising.

    Raises:
        EvaluationError: less than one shot.
    """
    if shots < 1:
        raise EvaluationError(f"{shots} shots leave nothing to learn from; take 1 or more.")
    order = _shuffled(task, seed)
    targets = task.targets[order]
    shown = np.column_stack([targets, ~targets.any(axis=1)])
    return np.sort(order[_first(shown, np.array(shots))])


def share_rows(task: Task, share: float, seed: int) -> np.ndarray:
    """Draws a share of the training images, stratified by class: two images of each at least, or all.

    Of a multi-label set the share is drawn at random, with one image at least that shows each class.

    Args:
        task: the train split is drawn from.
        share: above 0, at most 1.
        seed: of the order in which images are looked at.

    Returns:
        Positions in the task, rising.

    Raises:
        EvaluationError: the share is out of range.
    """
    if not 0 < share <= 1:
        raise EvaluationError(f"a share of {share} cannot be drawn; it is above 0 and at most 1.")
    order = _shuffled(task, seed)
    shown = task.targets[order]
    if task.kind == "multilabel":
        taken = np.arange(len(order)) < round(share * len(order))
        return np.sort(order[taken | _first(shown, np.array(1))])
    quota = np.maximum(2, np.rint(share * shown.sum(axis=0)))
    return np.sort(order[_first(shown, quota)])


def _shuffled(task: Task, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.flatnonzero(task.splits == "train"))


def _first(shown: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Tells which images (images,) are among the first `counts` that show one of their classes."""
    rank = np.cumsum(shown, axis=0)
    return np.any((shown > 0) & (rank <= counts), axis=1)
