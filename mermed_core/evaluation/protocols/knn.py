"""k nearest neighbours: what an encoder's similarities are worth without fitting anything."""

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import GroupKFold

from mermed_core.evaluation.predictions import Predictions, predictions_on
from mermed_core.evaluation.protocols.linear_probe import measured_split
from mermed_core.evaluation.task import Task
from mermed_core.fitting.knn_votes import vote_shares
from mermed_core.metrics.scores import auroc, unweighted
from mermed_core.search.neighbours import nearest

NEIGHBOURS = (1, 5, 10, 20, 50)


def knn(task: Task, *, encoder: str) -> Predictions:
    """Lets the nearest training images of each test image vote (as in DINO, Caron et al. 2021).

    The probability of a class is its share of the votes, see `knn_votes`; `choose_neighbours` decides how
    many images vote.

    Args:
        task: vectors with what they show.
        encoder: name for the predictions.

    Raises:
        EvaluationError: the task has no test image.
    """
    test, train = measured_split(task), task.split("train")
    neighbours = choose_neighbours(train, task.split("val"))
    (shares,) = neighbour_votes(train, test.vectors, (neighbours,))
    return predictions_on(test, shares, encoder=encoder, protocol="knn")


def choose_neighbours(train: Task, val: Task) -> int:
    """Returns the number of `NEIGHBOURS` whose votes reach the highest AUROC on val; on a tie the largest.

    Without val images each fifth of the groups of train is judged by the others; where AUROC is not defined
    the largest number is taken.
    """
    if len(val):
        votes, targets = neighbour_votes(train, val.vectors, NEIGHBOURS), val.targets
    else:
        votes, targets = _left_out_votes(train)
    scores = [unweighted(auroc, targets, shares) if len(targets) else np.nan for shares in votes]
    return max(zip(np.nan_to_num(scores), NEIGHBOURS, strict=True))[1]


def neighbour_votes(train: Task, queries: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Returns each class's share of the votes, (counts, queries, classes) in 0..1.

    Args:
        train: the images that vote.
        queries: (queries, dim) unit vectors.
        counts: how many of the nearest vote; all images where there are fewer.
    """
    similarities, positions = nearest(queries, train.vectors, max(counts))
    return vote_shares(similarities, positions, train.targets, counts)


def _left_out_votes(train: Task) -> tuple[np.ndarray, np.ndarray]:
    """Returns the votes for images by those of other groups, and the targets of these images."""
    folds = min(5, len(np.unique(train.groups)))
    if folds < 2:
        nobody = np.empty((0, len(train.classes)))
        return np.stack([nobody] * len(NEIGHBOURS)), nobody
    votes, targets = [], []
    for voting, left_out in GroupKFold(folds).split(train.vectors, groups=train.groups):
        votes.append(neighbour_votes(train.rows(voting), train.vectors[left_out], NEIGHBOURS))
        targets.append(train.targets[left_out])
    return np.concatenate(votes, axis=1), np.concatenate(targets)
