"""A look at the embeddings while they are learned: neighbours, rank, spread. Nothing learns from it."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from mermed_core.data.manifest import LabelSet, Manifest
from mermed_core.fitting.linear_heads import one_hot
from mermed_core.metrics.scores import auroc, unweighted
from mermed_core.models.backbone import Backbone
from mermed_core.models.embedder import Embedder, embed_manifest
from mermed_core.models.model_folder import ModelConfig
from mermed_core.pretraining.export import preprocessing_of
from mermed_core.pretraining.kernels import without_compiling
from mermed_core.pretraining.random_streams import Stream, derive_seed
from mermed_core.pretraining.recipe import Recipe

# The protocol of DINO (arXiv 2104.14294, appendix F): k and the temperature of the votes.
_NEIGHBOURS = 20
# With fewer images nearly all others are neighbours; an image's own class, lacking it, then loses the vote.
_FEWEST_IMAGES = 2 * _NEIGHBOURS
_TEMPERATURE = 0.07
# Below one of these the images of a modality all look the same to the encoder.
_LEAST_SPREAD = 0.05
_LEAST_RANK = 2.0


@dataclass(frozen=True)
class Sight:
    """What the embeddings are like at a step.

    Attributes:
        knn_auroc: modality → task → macro AUROC of the votes of the nearest neighbours.
        embedding_rank: modality → effective rank, exp of the entropy of the variances by principal axis.
        embedding_std: modality → root of the summed variances of the unit vectors, 0..1.
        collapsed: modalities whose embeddings have (nearly) become one point or one line.
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
    """Holds the val images that are looked at.

    Args:
        recipe: of the run.
        manifest: all images; of the val split so many as the recipe says are taken of each task, at random.
    """

    def __init__(self, recipe: Recipe, manifest: Manifest) -> None:
        self._config = ModelConfig("monitor", recipe.encoder.architecture, preprocessing_of(recipe.encoder))
        self._workers = recipe.run.workers
        self._compiled = recipe.compute.compile
        chance = np.random.default_rng(derive_seed(recipe.compute.seed, Stream.MONITOR))
        val = manifest.frame.index[manifest.frame["split"] == "val"].to_numpy()
        kind = (manifest.frame["modality"] + "/" + manifest.frame["task"]).to_numpy(str)[val]
        most = recipe.run.monitor_images
        some = [chance.permutation(val[kind == name])[:most] for name in np.unique(kind)]
        self.images = manifest.select(np.sort(np.concatenate(some)) if some else [])

    def look(self, teacher: Backbone) -> Sight:
        """Embeds the images with the teacher's encoder and describes them, modality by modality."""
        if not len(self.images):
            return Sight()
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
        flat = [key for key in keys if spread[key] < _LEAST_SPREAD or rank[key] < _LEAST_RANK]
        # One image has no spread, two lie on a line, whatever the encoder does.
        collapsed = tuple(key for key in flat if len(vectors[key]) > 2)
        return Sight({key: each for key, each in tasks.items() if each}, rank, spread, collapsed)


def effective_rank(vectors: np.ndarray) -> float:
    """Returns over how many directions vectors (images, dim) spread, 1..dim; 0 if they are all the same."""
    centred = vectors - vectors.mean(axis=0)
    variances = np.linalg.svd(centred.astype(np.float64), compute_uv=False) ** 2
    if variances.sum() < 1e-9:
        return 0.0
    shares = variances[variances > 0] / variances.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def knn_votes(vectors: np.ndarray, targets: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns for each image the votes of its neighbours of other groups.

    Args:
        vectors: (images, dim), unit norm.
        targets: (images, classes) of 0 and 1.
        groups: (images,) names of patients.

    Returns:
        (images, classes): sums of exp(cosine / temperature) over the 20 nearest, as shares of their total; 0
        where every image is of the same group.
    """
    similarity = vectors @ vectors.T
    similarity[groups[:, None] == groups[None, :]] = -np.inf
    count = min(_NEIGHBOURS, len(vectors))
    nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    weights = np.exp((np.take_along_axis(similarity, nearest, axis=1) - 1) / _TEMPERATURE)
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    return np.einsum("ik,ikc->ic", weights, targets[nearest]) / total


def _knn_by_task(vectors: np.ndarray, images: Manifest) -> dict[str, float]:
    scores = {label_set.task: _knn_auroc(label_set, vectors, images) for label_set in images.label_sets()}
    return {task: score for task, score in scores.items() if not np.isnan(score)}


def _knn_auroc(label_set: LabelSet, vectors: np.ndarray, images: Manifest) -> float:
    frame = images.frame
    rows = np.flatnonzero((frame["task"] == label_set.task) & frame["labels"].notna())
    if len(rows) < _FEWEST_IMAGES:
        return float("nan")
    targets = one_hot([list(labels) for labels in frame["labels"].iloc[rows]], label_set.classes)
    groups = frame["group"].to_numpy()[rows]
    return unweighted(auroc, targets, knn_votes(vectors[rows], targets, groups))


@contextlib.contextmanager
def _evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Switches a network to evaluation, and afterwards each of its modules back to what it was."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
