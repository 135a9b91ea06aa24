"""Retrieval: how many of the images that an encoder finds nearest show the same class."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.results import MEAN_AVERAGE_PRECISION, RECALL, Figure
from mermed_core.evaluation.task import Task
from mermed_core.metrics.bootstrap import MIN_GROUPS, interval, resample

PRECISION = "precision"
# Pairs of query and gallery image compared at once: bounds the memory to some 200 MB.
_PAIRS = 4_000_000


def retrieval(
    task: Task,
    *,
    encoder: str,
    ks: tuple[int, ...] = (1, 5, 10),
    resamples: int = 1000,
    seed: int = 0,
) -> list[Figure]:
    """Searches for every test image among the other labelled images of its task, by cosine, exactly.

    The gallery is every labelled image outside the test split (train and val, and those of no split), less
    the images of the query's own group. Relevant is what shows the same class, or in a multi-label set shares
    one. Queries without any class or without anything relevant to find are left out.

    Args:
        task: with vectors of unit length.
        encoder: name for the figures.
        ks: how many of the first hits are looked at.
        resamples: draws of whole groups of queries for the 95 % intervals.
        seed: of the draws, and of the order in which equally near images stand.

    Returns:
        For each k ("k=5") recall, the share of queries with a relevant image among the first k, and
        precision, the share of the first k that is relevant; and the mean average precision ("map") of the
        whole ranking. Each as the mean over classes, label "", and by class of the query.

    Raises:
        EvaluationError: there is nothing to search with, or nothing to find.
    """
    queries, gallery = task.split("test"), task.rows(np.flatnonzero(task.splits != "test"))
    # An encoder that sees no difference must not gain from a manifest that is sorted by class.
    gallery = gallery.rows(np.random.default_rng(seed).permutation(len(gallery)))
    scores = np.concatenate([np.empty((0, 2 * len(ks) + 1)), *_scores(queries, gallery, ks)])
    found = np.flatnonzero(~np.isnan(scores[:, -1]))
    if not len(found):
        raise EvaluationError(
            f"task '{task.name}' has no test image for which there is another group's image of the same "
            "class outside the test split."
        )
    metrics = [*((metric, f"k={k}") for metric in (RECALL, PRECISION) for k in ks)]
    metrics.append((MEAN_AVERAGE_PRECISION, ""))
    return _figures(queries.rows(found), scores[found], metrics, encoder, resamples, seed)


def modality_task(tasks: Sequence[Task]) -> Task:
    """Returns the tasks of one modality as one without a name, for `retrieval` among all of them together.

    Its classes are "task/class", so that a hit is of the same task and class; its groups are told apart by
    source, so that patient 1 of two data sets is two, and a patient in two label sets of one source is still
    one.

    Args:
        tasks: with the column source.

    Raises:
        EvaluationError: the tasks are of several modalities or none.
    """
    modalities = sorted({task.modality for task in tasks})
    if len(modalities) != 1:
        raise EvaluationError(
            f"give the tasks of one modality at a time, not of {', '.join(modalities) or 'none'}."
        )
    return Task(
        name="",
        modality=modalities[0],
        kind="multilabel",
        classes=tuple(f"{task.name}/{name}" for task in tasks for name in task.classes),
        vectors=np.concatenate([task.vectors for task in tasks]),
        targets=np.asarray(block_diag(*(task.targets for task in tasks))),
        groups=np.concatenate([_groups_by_source(task) for task in tasks]),
        splits=np.concatenate([task.splits for task in tasks]),
        case_ids=np.concatenate([task.case_ids for task in tasks]),
        columns=pd.DataFrame(index=range(sum(map(len, tasks)))),
    )


def _groups_by_source(task: Task) -> np.ndarray:
    pairs = zip(task.columns["source"], task.groups, strict=True)
    return np.array([f"{source}/{group}" for source, group in pairs])


def _scores(queries: Task, gallery: Task, ks: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yields blocks (some queries, 2 · ks + 1): recall and precision at each k, and average precision.

    A row is NaN where nothing relevant can be found.
    """
    rows = max(1, _PAIRS // max(1, len(gallery)))
    for start in range(0, len(queries) if len(gallery) else 0, rows):
        asked = queries.rows(np.arange(start, min(start + rows, len(queries))))
        own = asked.groups[:, None] == gallery.groups[None]
        similarity = np.where(own, -np.inf, asked.vectors @ gallery.vectors.T)
        order = np.argsort(-similarity, axis=1, kind="stable")
        relevant = np.take_along_axis((asked.targets @ gallery.targets.T > 0) & ~own, order, axis=1)
        count = relevant.sum(axis=1, keepdims=True)
        so_far = relevant.cumsum(axis=1)
        precision = so_far / np.arange(1, len(gallery) + 1)
        # Where the gallery is smaller than k, what is missing counts as not relevant.
        hits = np.stack([so_far[:, min(k, len(gallery)) - 1] for k in ks], axis=1)
        average = (precision * relevant).sum(axis=1, keepdims=True) / np.maximum(count, 1)
        yield np.where(count > 0, np.concatenate([hits > 0, hits / np.array(ks), average], axis=1), np.nan)


def _class_means(weights: np.ndarray, targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns (draws, 1 + classes, metrics): the mean over classes, then the weighted mean in each.

    Args:
        weights: (draws, queries) how often each counts.
        targets: (queries, classes) of 0 and 1.
        scores: (queries, metrics).
    """
    products = (targets[:, :, None] * scores[:, None, :]).reshape(len(scores), -1)
    sums = (weights @ products).reshape(len(weights), targets.shape[1], -1)
    count = (weights @ targets)[:, :, None]
    means = np.divide(sums, count, out=np.full_like(sums, np.nan), where=count > 0)
    # Every query has a class, so that in no draw all are missing.
    return np.concatenate([np.nanmean(means, axis=1, keepdims=True), means], axis=1)


def _figures(
    queries: Task,
    scores: np.ndarray,
    metrics: list[tuple[str, str]],
    encoder: str,
    resamples: int,
    seed: int,
) -> list[Figure]:
    def means(weights: np.ndarray) -> np.ndarray:
        return _class_means(weights, queries.targets, scores)

    values = means(np.ones((1, len(queries))))[0]
    sampled = resample(means, queries.groups, resamples, seed)
    shown = np.concatenate([np.ones((len(queries), 1), bool), queries.targets > 0], axis=1)
    figures = []
    for row, label in enumerate(("", *queries.classes)):
        groups = len(np.unique(queries.groups[shown[:, row]]))
        for column, (metric, setting) in enumerate(metrics):
            figures.append(
                Figure(
                    encoder,
                    queries.modality,
                    queries.name,
                    "retrieval",
                    metric,
                    float(values[row, column]),
                    *(interval(sampled[:, row, column]) if groups >= MIN_GROUPS else ()),
                    images=int(shown[:, row].sum()),
                    groups=groups,
                    setting=setting,
                    label=label,
                )
            )
    return figures
