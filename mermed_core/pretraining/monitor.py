"""The quality of the embeddings during a run: neighbours, rank, spread. Nothing learns from it."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from mermed_core.data.manifest import LabelSet, Manifest
from mermed_core.fitting.knn_votes import vote_shares
from mermed_core.fitting.linear_heads import one_hot
from mermed_core.metrics.scores import auroc, unweighted
from mermed_core.models.backbone import Backbone
from mermed_core.models.embedder import Embedder, embed_manifest
from mermed_core.models.model_folder import ModelConfig
from mermed_core.pretraining.export import preprocessing_of
from mermed_core.pretraining.random_streams import Stream, derive_seed
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.speedups import without_compiling
from mermed_core.search.neighbours import nearest

# As in DINO (arXiv 2104.14294, appendix F).
_NEIGHBOURS = 20
# With fewer images nearly all others are neighbours, among which an image's own class is one short and loses.
_MIN_IMAGES = 2 * _NEIGHBOURS
# Below one of these, all images of a modality look the same to the encoder.
_MIN_SPREAD = 0.05
_MIN_RANK = 2.0


@dataclass(frozen=True)
class EmbeddingQuality:
    """The quality of the embeddings at one step.

    Attributes:
        knn_auroc: modality → task → macro AUROC of the nearest neighbours' votes.
        embedding_rank: modality → effective rank, exp of the entropy of the variances along principal axes.
        embedding_std: modality → square root of the summed variances of the unit vectors, 0..1.
        collapsed: modalities whose embeddings have become (nearly) one point or one line.
    """

    knn_auroc: dict[str, dict[str, float]] = field(default_factory=dict)
    embedding_rank: dict[str, float] = field(default_factory=dict)
    embedding_std: dict[str, float] = field(default_factory=dict)
    collapsed: tuple[str, ...] = ()

    @property
    def score(self) -> float | None:
        """The mean AUROC: over tasks, then over modalities; None without labels."""
        means = [float(np.mean(list(tasks.values()))) for tasks in self.knn_auroc.values()]
        return float(np.mean(means)) if means else None

    def values(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {**asdict(self), "collapsed": list(self.collapsed)}


class Monitor:
    """Evaluates the embeddings of a fixed random sample of the val split.

    Args:
        recipe: of the run; says how many images of each task are sampled.
        manifest: all images.
    """

    def __init__(self, recipe: Recipe, manifest: Manifest) -> None:
        self._config = ModelConfig("monitor", recipe.encoder.architecture, preprocessing_of(recipe.encoder))
        self._workers = recipe.run.workers
        self._compiled = recipe.compute.compile
        chance = np.random.default_rng(derive_seed(recipe.compute.seed, Stream.MONITOR))
        val = manifest.frame.index[manifest.frame["split"] == "val"].to_numpy()
        kind = (manifest.frame["modality"] + "/" + manifest.frame["task"]).to_numpy(str)[val]
        limit = recipe.run.monitor_images
        chosen = [chance.permutation(val[kind == name])[:limit] for name in np.unique(kind)]
        self.images = manifest.select(np.sort(np.concatenate(chosen)) if chosen else [])

    def evaluate(self, teacher: Backbone) -> EmbeddingQuality:
        """Embeds the images with the teacher's encoder and evaluates each modality."""
        if not len(self.images):
            return EmbeddingQuality()
        device = next(teacher.parameters()).device
        with _evaluating(teacher), without_compiling(self._compiled):
            seen = embed_manifest(
                Embedder(teacher, self._config, "", device), self.images, workers=self._workers
            )
        modality = seen.manifest.frame["modality"].to_numpy()
        keys = [str(key) for key in np.unique(modality)]
        vectors = {key: seen.vectors[modality == key] for key in keys}
        rank = {key: effective_rank(vectors[key]) for key in keys}
        spread = {key: float(np.sqrt(vectors[key].var(axis=0).sum())) for key in keys}
        tasks = {key: _knn_by_task(vectors[key], seen.manifest.select(modality == key)) for key in keys}
        flat = [key for key in keys if spread[key] < _MIN_SPREAD or rank[key] < _MIN_RANK]
        # One image has no spread and two lie on a line, whatever the encoder does.
        collapsed = tuple(key for key in flat if len(vectors[key]) > 2)
        return EmbeddingQuality({key: each for key, each in tasks.items() if each}, rank, spread, collapsed)


def effective_rank(vectors: np.ndarray) -> float:
    """Returns the number of directions in which vectors (images, dim) spread, 1..dim; 0 if all are equal."""
    centred = vectors - vectors.mean(axis=0)
    variances = np.linalg.svd(centred.astype(np.float64), compute_uv=False) ** 2
    if variances.sum() < 1e-9:
        return 0.0
    shares = variances[variances > 0] / variances.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def knn_votes(vectors: np.ndarray, targets: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns the votes of each image's nearest neighbours in other groups.

    Args:
        vectors: (images, dim), unit norm.
        targets: (images, classes) of 0 and 1.
        groups: (images,) names of patients.

    Returns:
        (images, classes): sums of exp(cosine / temperature) over the 20 nearest images, as fractions of their
        total; 0 where there is no other group.
    """
    similarity, positions = nearest(vectors, vectors, _NEIGHBOURS, query_groups=groups, gallery_groups=groups)
    return vote_shares(similarity, positions, targets, (_NEIGHBOURS,))[0]


def _knn_by_task(vectors: np.ndarray, images: Manifest) -> dict[str, float]:
    scores = {label_set.task: _knn_auroc(label_set, vectors, images) for label_set in images.label_sets()}
    return {task: score for task, score in scores.items() if not np.isnan(score)}


def _knn_auroc(label_set: LabelSet, vectors: np.ndarray, images: Manifest) -> float:
    frame = images.frame
    rows = np.flatnonzero((frame["task"] == label_set.task) & frame["labels"].notna())
    if len(rows) < _MIN_IMAGES:
        return float("nan")
    targets = one_hot([list(labels) for labels in frame["labels"].iloc[rows]], label_set.classes)
    groups = images.patients()[rows]
    return unweighted(auroc, targets, knn_votes(vectors[rows], targets, groups))


@contextlib.contextmanager
def _evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Switches a network to evaluation mode, and afterwards each of its modules back to its own."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
