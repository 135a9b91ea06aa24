"""Retrieval: how many of the images that an encoder places nearest to a query show the same class."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.results import Result
from mermed_core.evaluation.task import Task
from mermed_core.metrics.bootstrap import MIN_GROUPS, interval, resample

# Names of metrics, as they stand in the table of results.
RECALL, PRECISION, MEAN_AVERAGE_PRECISION = "recall", "precision", "map"
# Pairs of a query and a gallery image that are compared at once: bounds the memory to about 200 MB.
_PAIRS = 4_000_000


def retrieval(
    task: Task,
    *,
    encoder: str,
    ks: tuple[int, ...] = (1, 5, 10),
    resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """Ranks the other labelled images of a task by cosine similarity to each test image, exactly.

    The gallery holds every labelled image outside the test split (train, val and no split), without the
    images of the query's own group. An image is relevant if it shows the same class, or in a multi-label set
    one of the same classes. Queries without a class or without a relevant image in the gallery are left out.

    Args:
        task: with vectors of unit length.
        encoder: name for the results.
        ks: how many of the first hits are looked at.
        resamples: draws of whole groups of queries for the 95 % intervals.
        seed: of the draws, and of the order of equally similar images.

    Returns:
        For each k recall, the share of queries with a relevant image among the first k, and precision, the
        share of the first k that is relevant; and the mean average precision of the whole ranking (k is 0).
        Each as the mean over classes and for each class of the query.

    Raises:
        EvaluationError: there is nothing to search with, or nothing to find.
    """
    queries, gallery = task.split("test"), task.rows(np.flatnonzero(task.splits != "test"))
    # An encoder that sees no differences must not gain from a manifest that is sorted by class.
    gallery = gallery.rows(np.random.default_rng(seed).permutation(len(gallery)))
    scores = np.concatenate([np.empty((0, 2 * len(ks) + 1)), *_scores(queries, gallery, ks)])
    answerable = np.flatnonzero(~np.isnan(scores[:, -1]))
    if not len(answerable):
        raise EvaluationError(
            f"task '{task.name}' has no test image for which there is an image of the same class and of "
            "another group outside the test split."
        )
    metrics = [*((metric, k) for metric in (RECALL, PRECISION) for k in ks), (MEAN_AVERAGE_PRECISION, 0)]
    return _results(queries.rows(answerable), scores[answerable], metrics, encoder, resamples, seed)


def modality_task(tasks: Sequence[Task]) -> Task:
    """Returns the tasks of one modality as a single nameless task, for `retrieval` among all of their images.

    Its classes are "task/class", so that a hit has the same task and class. Its groups carry the source:
    patient 1 of two data sets is two patients, and a patient in two label sets of one source is still one.

    Args:
        tasks: each with the column source.

    Raises:
        EvaluationError: the tasks are of several modalities or none.
    """
    modalities = sorted({task.modality for task in tasks})
    if len(modalities) != 1:
        raise EvaluationError(f"the tasks must be of one modality, not of {', '.join(modalities) or 'none'}.")
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

    A row is NaN where the gallery holds nothing relevant.
    """
    rows = max(1, _PAIRS // max(1, len(gallery)))
    for start in range(0, len(queries) if len(gallery) else 0, rows):
        block = queries.rows(np.arange(start, min(start + rows, len(queries))))
        own = block.groups[:, None] == gallery.groups[None]
        similarity = np.where(own, -np.inf, block.vectors @ gallery.vectors.T)
        order = np.argsort(-similarity, axis=1, kind="stable")
        relevant = np.take_along_axis((block.targets @ gallery.targets.T > 0) & ~own, order, axis=1)
        count = relevant.sum(axis=1, keepdims=True)
        so_far = relevant.cumsum(axis=1)
        precision = so_far / np.arange(1, len(gallery) + 1)
        # Where the gallery is smaller than k, the missing hits count as not relevant.
        hits = np.stack([so_far[:, min(k, len(gallery)) - 1] for k in ks], axis=1)
        average = (precision * relevant).sum(axis=1, keepdims=True) / np.maximum(count, 1)
        yield np.where(count > 0, np.concatenate([hits > 0, hits / np.array(ks), average], axis=1), np.nan)


def _class_means(weights: np.ndarray, targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns (draws, 1 + classes, metrics): the mean over classes, then the weighted mean of each class.

    Args:
        weights: (draws, queries), how often each query counts.
        targets: (queries, classes) of 0 and 1.
        scores: (queries, metrics).
    """
    products = (targets[:, :, None] * scores[:, None, :]).reshape(len(scores), -1)
    sums = (weights @ products).reshape(len(weights), targets.shape[1], -1)
    count = (weights @ targets)[:, :, None]
    means = np.divide(sums, count, out=np.full_like(sums, np.nan), where=count > 0)
    # Every query has a class, so that no draw lacks all classes.
    return np.concatenate([np.nanmean(means, axis=1, keepdims=True), means], axis=1)


def _results(
    queries: Task,
    scores: np.ndarray,
    metrics: list[tuple[str, int]],
    encoder: str,
    resamples: int,
    seed: int,
) -> list[Result]:
    def means(weights: np.ndarray) -> np.ndarray:
        return _class_means(weights, queries.targets, scores)

    values = means(np.ones((1, len(queries))))[0]
    sampled = resample(means, queries.groups, resamples, seed)
    shown = np.concatenate([np.ones((len(queries), 1), bool), queries.targets > 0], axis=1)
    results = []
    for row, label in enumerate(("", *queries.classes)):
        groups = len(np.unique(queries.groups[shown[:, row]]))
        for column, (metric, k) in enumerate(metrics):
            results.append(
                Result(
                    encoder,
                    queries.modality,
                    queries.name,
                    "retrieval",
                    metric,
                    float(values[row, column]),
                    *(interval(sampled[:, row, column]) if groups >= MIN_GROUPS else ()),
                    images=int(shown[:, row].sum()),
                    groups=groups,
                    k=k,
                    label=label,
                )
            )
    return results
