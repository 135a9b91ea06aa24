"""Retrieval spaces: what is lost and won where images are compared by fewer numbers than an embedding has.

The same queries search the same images by the full embedding, in the model folder's own space and in spaces
of other sizes. Each space is asked twice: fitted on all sources, and fitted without the source of the query.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.protocols.retrieval import modality_task
from mermed_core.evaluation.task import Task, tasks_of
from mermed_core.fitting.principal_axes import PrincipalAxes, balanced_weights, principal_axes
from mermed_core.metrics.bootstrap import interval, resample
from mermed_core.models.embedder import Embeddings
from mermed_core.models.retrieval_space import RetrievalSpace
from mermed_core.search.quantised import QuantisedVectors

FULL, OWN = "full embedding", "the model's own space"
# Whether the space was fitted on the query's source.
GIVEN, UNSEEN = "given", "unseen source"
NEIGHBOURS = 10
METRICS = ("recall_of_neighbours", "precision_5", "precision_10", "map")
COLUMNS = (
    "encoder",
    "asked",
    "modality",
    "task",
    "space",
    "bytes",
    "metric",
    "value",
    "low",
    "high",
    "against_full",
    "against_full_low",
    "against_full_high",
    "images",
    "groups",
)


@dataclass(frozen=True)
class Variant:
    """A space to try.

    Attributes:
        rank: numbers of a vector.
        whitening: the power of its standard deviation that each axis is divided by.
        bits: 16 for float16, or 8.
    """

    rank: int
    whitening: float
    bits: int

    def __str__(self) -> str:
        """Returns its name in reports."""
        return f"{self.rank} numbers, power {self.whitening:g}, {self.bits} bits"


VARIANTS = tuple(
    Variant(rank, whitening, bits)
    for rank in (64, 128, 256, 384)
    for whitening in (0.0, 0.25, 0.5)
    for bits in (16, 8)
)


@dataclass(frozen=True)
class SpacePlan:
    """How much is asked.

    Attributes:
        images: of a source that are searched in and that spaces are fitted on, at most.
        queries: of a label set, at most.
        variants: spaces beside the full embedding and the model's own.
        resamples: draws of whole groups of queries.
        seed: of the samples and the draws.
    """

    images: int = 400
    queries: int = 100
    variants: tuple[Variant, ...] = VARIANTS
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class _Gallery:
    """The images of one modality, with the label set and the source of each."""

    task: Task
    names: np.ndarray
    sources: np.ndarray

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> Self:
        names = np.concatenate([np.repeat(each.name, len(each)) for each in tasks])
        sources = np.concatenate([each.columns["source"].to_numpy(str) for each in tasks])
        return cls(modality_task(tasks), names, sources)


def measure_retrieval_spaces(
    embeddings: Embeddings, own: RetrievalSpace | None, plan: SpacePlan, *, encoder: str
) -> pd.DataFrame:
    """Measures the full embedding, a model's own space and every variant on the same queries.

    A query searches the labelled images of its modality outside the test split, without those of its own
    group (patient). A hit has its label where it is of the same label set and class. Queries of "given" are
    test images; those of "unseen source" are any images of a source, and the spaces were fitted without that
    source. To fit few of them, one source of each modality is left out at a time.

    Args:
        embeddings: images of all sources with their labels.
        own: the space of the model folder; None, or the identity, for a model without one.
        plan: how much is asked.
        encoder: name for the table.

    Returns:
        A table with the columns of `COLUMNS`: a row for every space, metric and label set; with an empty task
        the mean over the label sets of a modality, with an empty modality too the mean over modalities.
        `recall_of_neighbours` is the share of the full embedding's ten neighbours that are among the space's.
        `bytes` counts those of one vector. Intervals are 95 % intervals from whole groups of queries.

    Raises:
        EvaluationError: no label set has images to ask about and to search in.
        ManifestError: no label set has two classes.
    """
    sample = _sample(embeddings, plan)
    modalities: dict[str, list[Task]] = {}
    for task in tasks_of(sample):
        modalities.setdefault(task.modality, []).append(task)
    galleries = [_Gallery.of(tasks) for _, tasks in sorted(modalities.items())]
    scores = list(_scores(sample, galleries, own, plan))
    if not scores:
        raise EvaluationError("no label set has an image to ask about and another one to find.")
    return pd.DataFrame(_summary(scores, plan, encoder), columns=list(COLUMNS))


def _sample(embeddings: Embeddings, plan: SpacePlan) -> Embeddings:
    """Returns at most so many images of each source and of each test split as are needed."""
    random = np.random.default_rng(plan.seed)
    frame = embeddings.manifest.frame
    test = (frame["split"] == "test").to_numpy()
    kept = []
    for _, found in sorted(frame.groupby("source", sort=True).indices.items()):
        rows = np.asarray(found)
        for part, most in ((rows[~test[rows]], plan.images), (rows[test[rows]], plan.queries)):
            kept.append(random.permutation(part)[:most])
    positions = np.sort(np.concatenate(kept))
    return Embeddings(embeddings.vectors[positions], embeddings.manifest.select(positions), (), {})


@dataclass(frozen=True)
class _Scores:
    """What the queries of one label set found.

    Attributes:
        asked: GIVEN or UNSEEN.
        modality: key.
        task: the label set.
        groups: (queries,).
        values: by space, (queries, len(METRICS)).
        sizes: bytes of a vector, by space.
    """

    asked: str
    modality: str
    task: str
    groups: np.ndarray
    values: dict[str, np.ndarray]
    sizes: dict[str, int]


def _scores(
    sample: Embeddings, galleries: Sequence[_Gallery], own: RetrievalSpace | None, plan: SpacePlan
) -> Iterator[_Scores]:
    sources = sample.manifest.frame["source"].to_numpy(str)
    spaces = _Spaces.fitted(sample, np.ones(len(sources), bool), plan.variants)
    for gallery in galleries:
        yield from _asked(GIVEN, gallery, gallery.task.splits == "test", replace(spaces, own=own), plan)
    for left_out in left_out_together(_sources_of(galleries)):
        spaces = _Spaces.fitted(sample, ~np.isin(sources, list(left_out)), plan.variants)
        for gallery in galleries:
            yield from _asked(UNSEEN, gallery, np.isin(gallery.sources, list(left_out)), spaces, plan)


def _sources_of(galleries: Iterable[_Gallery]) -> list[list[str]]:
    """Returns the sources of each modality in the order of their names."""
    return [sorted(set(gallery.sources)) for gallery in galleries]


def left_out_together(sources: Sequence[Sequence[str]]) -> list[set[str]]:
    """Returns sets of sources that hold every source once, and of each modality one at most.

    Args:
        sources: those of each modality.
    """
    rounds = max(map(len, sources), default=0)
    return [{names[turn] for names in sources if turn < len(names)} for turn in range(rounds)]


@dataclass(frozen=True)
class _Spaces:
    """The spaces of one round, of which the variants share their axes."""

    axes: PrincipalAxes | None
    variants: Sequence[Variant]
    own: RetrievalSpace | None = None

    @classmethod
    def fitted(cls, sample: Embeddings, fit: np.ndarray, variants: Sequence[Variant]) -> Self:
        """Fits the axes of all variants once, on the images of `fit` (images,) outside the test split."""
        frame = sample.manifest.frame
        rows = np.flatnonzero(fit & (frame["split"] != "test").to_numpy())
        if len(rows) < 2 or not variants:
            return cls(None, ())
        weights = balanced_weights(frame["modality"].to_numpy(str)[rows], frame["source"].to_numpy(str)[rows])
        rank = max(each.rank for each in variants)
        # In float32 the decomposition takes half the time.
        return cls(principal_axes(sample.vectors[rows], weights.astype(np.float32), rank), variants)

    def vectors(self, full: np.ndarray) -> Iterator[tuple[str, np.ndarray, int]]:
        """Yields the name of each space, the vectors in it as they are stored, and the bytes of one."""
        yield FULL, full, full.shape[1] * full.itemsize
        if self.own is not None and self.own.basis is not None:
            yield OWN, stored(self.own.project(full), 8), self.own.dim
        if self.axes is None:
            return
        along = (full - self.axes.mean) @ self.axes.basis.T
        for each in self.variants:
            scales = (self.axes.deviations[: each.rank] / self.axes.deviations[0]) ** each.whitening
            projected = along[:, : each.rank] / scales
            projected /= np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
            yield str(each), stored(projected, each.bits), projected.shape[1] * each.bits // 8


def stored(vectors: np.ndarray, bits: int) -> np.ndarray:
    """Returns vectors (images, dim) float32 as they come back from storage with 16 or 8 bits a number."""
    if bits == 8:
        return QuantisedVectors.encode(vectors).decode()
    return vectors.astype(np.float16).astype(np.float32)


def _asked(
    asked: str, gallery: _Gallery, queries: np.ndarray, spaces: _Spaces, plan: SpacePlan
) -> Iterator[_Scores]:
    """Yields the scores of each label set that has queries (images,) with a hit to find."""
    task = gallery.task
    found = np.flatnonzero(task.splits != "test")
    chosen = _chosen(gallery, queries, found, plan)
    if not len(chosen):
        return
    own = task.groups[chosen][:, None] == task.groups[found][None]
    relevant = (task.targets[chosen] @ task.targets[found].T > 0) & ~own
    values, sizes = {}, {}
    nearest = np.empty(0)
    for name, vectors, size in spaces.vectors(task.vectors):
        order = _order(vectors[chosen], vectors[found], own)
        nearest = order[:, :NEIGHBOURS] if name == FULL else nearest
        values[name] = _metrics(order, relevant, own, nearest)
        sizes[name] = size
    for name in sorted(set(gallery.names[chosen])):
        rows = np.flatnonzero(gallery.names[chosen] == name)
        of_task = {space: each[rows] for space, each in values.items()}
        yield _Scores(asked, task.modality, str(name), task.groups[chosen][rows], of_task, sizes)


def _chosen(gallery: _Gallery, queries: np.ndarray, found: np.ndarray, plan: SpacePlan) -> np.ndarray:
    """Returns the positions of queries that have something to find, at most so many of each label set."""
    random = np.random.default_rng(plan.seed)
    task = gallery.task
    chosen = []
    for name in sorted(set(gallery.names[queries])):
        rows = random.permutation(np.flatnonzero(queries & (gallery.names == name)))[: plan.queries]
        other = task.groups[rows][:, None] != task.groups[found][None]
        findable = ((task.targets[rows] @ task.targets[found].T > 0) & other).any(axis=1)
        chosen.append(rows[findable])
    return np.concatenate(chosen) if chosen else np.empty(0, np.int64)


def _order(queries: np.ndarray, gallery: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Returns (queries, gallery) positions, the most similar first and a query's own group last."""
    similarity = np.where(own, -np.inf, queries @ gallery.T)
    return np.argsort(-similarity, axis=1, kind="stable")


def _metrics(order: np.ndarray, relevant: np.ndarray, own: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Returns (queries, len(METRICS)), in the order of `METRICS`."""
    others = order.shape[1] - own.sum(axis=1)  # those that may be found at all
    hits = np.take_along_axis(relevant, order, axis=1)
    ranks = np.arange(1, order.shape[1] + 1)
    average = (hits.cumsum(axis=1) / ranks * hits).sum(axis=1) / hits.sum(axis=1)
    rows = np.arange(len(order))[:, None]
    among = np.zeros(order.shape, bool)
    among[rows, order[:, :NEIGHBOURS]] = True
    valid = np.arange(nearest.shape[1]) < np.minimum(others, NEIGHBOURS)[:, None]
    recall = (among[rows, nearest] & valid).sum(axis=1) / valid.sum(axis=1)
    return np.stack([recall, hits[:, :5].sum(axis=1) / 5, hits[:, :10].sum(axis=1) / 10, average], axis=1)


def _summary(scores: Sequence[_Scores], plan: SpacePlan, encoder: str) -> Iterator[dict[str, object]]:
    """Yields the rows of the table: by label set, by modality, over all."""
    for asked in (GIVEN, UNSEEN):
        parts = [_Part.of(each, plan) for each in _joined(scores, asked)]
        by_modality = [
            _Part.mean([each for each in parts if each.modality == name], name)
            for name in dict.fromkeys(each.modality for each in parts)
        ]
        whole = [_Part.mean(by_modality, "")] if by_modality else []
        for part in (*whole, *by_modality, *parts):
            yield from part.rows(asked, encoder)


def _joined(scores: Sequence[_Scores], asked: str) -> Iterator[_Scores]:
    """Yields one for each label set; one of several sources was asked about in several rounds."""
    names = dict.fromkeys((each.modality, each.task) for each in scores if each.asked == asked)
    for modality, task in names:
        same = [each for each in scores if (each.asked, each.modality, each.task) == (asked, modality, task)]
        values = {
            space: np.concatenate([each.values[space] for each in same if space in each.values])
            for space in same[0].values
        }
        groups = np.concatenate([each.groups for each in same])
        yield _Scores(asked, modality, task, groups, values, same[0].sizes)


@dataclass(frozen=True)
class _Part:
    """Values (spaces, metrics) with draws (draws, spaces, metrics) of a label set, or their means."""

    modality: str
    task: str
    sizes: dict[str, int]
    values: np.ndarray
    draws: np.ndarray
    images: int
    groups: int

    @classmethod
    def of(cls, scores: _Scores, plan: SpacePlan) -> Self:
        stacked = np.stack(list(scores.values.values()), axis=1)

        def means(weights: np.ndarray) -> np.ndarray:
            total = np.tensordot(weights, stacked, axes=(1, 0))
            return total / weights.sum(axis=1)[:, None, None]

        draws = resample(means, scores.groups, plan.resamples, plan.seed)
        groups = len(np.unique(scores.groups))
        return cls(
            scores.modality, scores.task, scores.sizes, stacked.mean(axis=0), draws, len(stacked), groups
        )

    @classmethod
    def mean(cls, parts: Sequence["_Part"], modality: str) -> Self:
        """Each part counts alike; one of too few groups for draws leaves the mean without an interval."""
        whole = all(len(part.draws) == len(parts[0].draws) for part in parts)
        draws = [part.draws for part in parts] if whole else [np.full((1, *parts[0].values.shape), np.nan)]
        return cls(
            modality,
            "",
            parts[0].sizes,
            np.mean([part.values for part in parts], axis=0),
            np.mean(draws, axis=0),
            sum(part.images for part in parts),
            sum(part.groups for part in parts),
        )

    def rows(self, asked: str, encoder: str) -> Iterator[dict[str, object]]:
        for row, (space, size) in enumerate(self.sizes.items()):
            for column, metric in enumerate(METRICS):
                low, high = interval(self.draws[:, row, column])
                difference = interval(self.draws[:, row, column] - self.draws[:, 0, column])
                yield {
                    "encoder": encoder,
                    "asked": asked,
                    "modality": self.modality,
                    "task": self.task,
                    "space": space,
                    "bytes": size,
                    "metric": metric,
                    "value": float(self.values[row, column]),
                    "low": low,
                    "high": high,
                    "against_full": float(self.values[row, column] - self.values[0, column]),
                    "against_full_low": difference[0],
                    "against_full_high": difference[1],
                    "images": self.images,
                    "groups": self.groups,
                }
