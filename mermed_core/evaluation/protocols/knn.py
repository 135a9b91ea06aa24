"""Nearest neighbours: what an encoder's similarities tell without fitting anything."""

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import GroupKFold

from mermed_core.evaluation.predictions import Predictions, predictions_on
from mermed_core.evaluation.protocols.linear_probe import measured_split
from mermed_core.evaluation.task import Task
from mermed_core.metrics.scores import auroc, unweighted

NEIGHBOURS = (1, 5, 10, 20, 50)
_TEMPERATURE = 0.07
# Queries compared at once: bounds the memory where there are many training images.
_QUERIES = 256


def knn(task: Task, *, encoder: str) -> Predictions:
    """Lets the nearest training images of each test image vote (as in DINO, Caron et al. 2021).

    A vote weighs exp(cosine similarity / 0.07). The probability of a class is its share of the votes, so a
    multi-label image gives its vote to each class that it shows. See `choose_neighbours` for how many vote.

    Args:
        task: vectors with what they show.
        encoder: name for the predictions.

    Raises:
        EvaluationError: the task has no test image.
    """
    test, train = measured_split(task), task.split("train")
    neighbours = choose_neighbours(train, task.split("val"))
    (shares,) = vote_shares(train, test.vectors, (neighbours,))
    return predictions_on(test, shares, encoder=encoder, protocol="knn")


def choose_neighbours(train: Task, val: Task) -> int:
    """Returns the number of `NEIGHBOURS` whose votes reach the highest AUROC on val, of equals the largest.

    Without val images each fifth of the groups of train is judged by the others; where no AUROC is defined
    the largest number is taken.
    """
    if len(val):
        votes, targets = vote_shares(train, val.vectors, NEIGHBOURS), val.targets
    else:
        votes, targets = _left_out_votes(train)
    scores = [unweighted(auroc, targets, shares) for shares in votes]
    return max(zip(np.nan_to_num(scores), NEIGHBOURS, strict=True))[1]


def vote_shares(train: Task, queries: np.ndarray, neighbours: Sequence[int]) -> np.ndarray:
    """Returns each class's share of the votes, (numbers of neighbours, queries, classes) in 0..1.

    Args:
        train: the images that vote.
        queries: (queries, dim) unit vectors.
        neighbours: how many vote; all images where there are fewer.
    """
    blocks = [
        _block_shares(train, queries[start : start + _QUERIES], neighbours)
        for start in range(0, len(queries), _QUERIES)
    ]
    return np.concatenate(blocks, axis=1)


def _block_shares(train: Task, queries: np.ndarray, neighbours: Sequence[int]) -> np.ndarray:
    similarity = queries @ train.vectors.T
    others = max(0, len(train) - max(neighbours))
    nearest = np.argpartition(similarity, others, axis=1)[:, others:]
    near = np.take_along_axis(similarity, nearest, axis=1).astype(np.float64)
    order = np.argsort(-near, axis=1, kind="stable")
    weights = np.exp(np.take_along_axis(near, order, axis=1) / _TEMPERATURE)
    shown = train.targets[np.take_along_axis(nearest, order, axis=1)]
    votes = weights[:, :, None] * shown
    return np.stack(
        [votes[:, :k].sum(axis=1) / weights[:, :k].sum(axis=1, keepdims=True) for k in neighbours]
    )


def _left_out_votes(train: Task) -> tuple[np.ndarray, np.ndarray]:
    """Returns the votes on images whose groups do not vote, and what they show."""
    folds = min(5, len(np.unique(train.groups)))
    if folds < 2:
        nobody = np.empty((0, len(train.classes)))
        return np.stack([nobody] * len(NEIGHBOURS)), nobody
    votes, targets = [], []
    for voting, left in GroupKFold(folds).split(train.vectors, groups=train.groups):
        votes.append(vote_shares(train.rows(voting), train.vectors[left], NEIGHBOURS))
        targets.append(train.targets[left])
    return np.concatenate(votes, axis=1), np.concatenate(targets)
