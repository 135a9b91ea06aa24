"""Fits everything on a frozen encoder: modality, regions, findings, detector, scopes and retrieval space."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mermed_core.data.manifest import LabelSet, Manifest
from mermed_core.errors import ManifestError
from mermed_core.fitting.detector_fit import FittedDetector, fit_detector
from mermed_core.fitting.label_sets import LabelSets
from mermed_core.fitting.linear_heads import Labelled
from mermed_core.fitting.negative_fit import fit_negative_head
from mermed_core.fitting.principal_axes import balanced_weights, fit_retrieval_space
from mermed_core.fitting.task_fits import TaskFits
from mermed_core.fitting.training_vectors import embed_training
from mermed_core.fitting.unseen_source import unseen_source_metrics
from mermed_core.metrics.bootstrap import interval, resample
from mermed_core.metrics.catalogue import AUROC, ECE, SCORES
from mermed_core.metrics.scores import unweighted
from mermed_core.models.embedder import Embedder
from mermed_core.models.embedding_cache import EmbeddingCache
from mermed_core.models.fitted_parts import FittedParts
from mermed_core.models.heads import Head, HeadSet
from mermed_core.models.model_metrics import (
    ClassMetrics,
    ModelMetrics,
    TaskMetrics,
    UnseenSourceMetrics,
    WholeModelMetrics,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FittedModel:
    """What was fitted, and how good it is.

    Attributes:
        parts: what serving needs beside the encoder.
        metrics: on sources left out, on the test split of every label set, and of the model as a whole.
    """

    parts: FittedParts
    metrics: ModelMetrics


def fit_model(
    embedder: Embedder,
    manifest: Manifest,
    *,
    unknown: Mapping[str, Sequence[np.ndarray]] | None = None,
    label_sets: LabelSets | None = None,
    cache: EmbeddingCache | None = None,
    workers: int = 0,
) -> FittedModel:
    """Embeds a manifest once and fits on its train split; val chooses and calibrates, test measures.

    Args:
        embedder: the encoder.
        manifest: the images with their labels and splits.
        unknown: images of none of the seven modalities as pixels by kind; those that come with packages or
            can be drawn are added.
        label_sets: which labels of several sources mean the same; without it every source is by itself.
        cache: keeps the vectors; those of an earlier fit or evaluation are reused.
        workers: processes that read images ahead.

    Raises:
        ManifestError: there are no training images, or a label set cannot be fitted.
    """
    if not (manifest.frame["split"] == "train").any():
        raise ManifestError("no image belongs to the train split.", column="split")
    vectors = embed_training(embedder, manifest, unknown or {}, cache=cache, workers=workers)
    fitted = fit_detector(vectors.known(), vectors.unknown, vectors.held_out())
    tasks = TaskFits(label_sets or LabelSets(), vectors)
    findings = [tasks.fit(images) for images in tasks.labelled]
    negative = fit_negative_head(vectors.taken, vectors.negatives)
    sorting = [fitted.modality_head, *([negative] if negative else []), *tasks.fit_regions()]
    heads = HeadSet((*sorting, *findings))
    scopes = tuple(tasks.fit_scope(images, heads, fitted.detector) for images in tasks.labelled)
    sampled = vectors.sampled()
    frame = vectors.by_modality.manifest.frame.iloc[sampled]
    weights = balanced_weights(frame["modality"].to_numpy(str), frame["source"].to_numpy(str))
    space = fit_retrieval_space(vectors.by_modality.vectors[sampled], weights)
    parts = FittedParts(heads, fitted.detector, scopes, space)
    return FittedModel(parts, _measure(parts, tasks, fitted))


def measure_unseen_sources(
    embedder: Embedder,
    manifest: Manifest,
    *,
    unknown: Mapping[str, Sequence[np.ndarray]] | None = None,
    label_sets: LabelSets | None = None,
    cache: EmbeddingCache | None = None,
    workers: int = 0,
) -> UnseenSourceMetrics:
    """Returns what is answered about sources and kinds that nothing was fitted on; see `fit_model`."""
    vectors = embed_training(embedder, manifest, unknown or {}, cache=cache, workers=workers)
    fitted = fit_detector(vectors.known(), vectors.unknown, vectors.held_out())
    return unseen_source_metrics(fitted, TaskFits(label_sets or LabelSets(), vectors).elsewhere())


def _measure(parts: FittedParts, tasks: TaskFits, fitted: FittedDetector) -> ModelMetrics:
    unseen = unseen_source_metrics(fitted, tasks.elsewhere())
    test = tasks.splits == "test"
    if not test.any():
        return ModelMetrics(unseen_source=unseen)
    measured: dict[str, TaskMetrics] = {}
    for images in tasks.labelled:
        head = parts.heads.get(images.label_set.task)
        data = tasks.part(images, LabelSet(head.task, head.kind, head.classes), "test")
        if len(data):
            measured[head.task] = _measure_head(head, data)
    neutral = tasks.vectors.neutral.vectors[test]
    logits = fitted.modality_head.logits(neutral)
    named = np.array(fitted.modality_head.classes)[logits.argmax(axis=1)]
    model = WholeModelMetrics(
        modality_accuracy=float(np.mean(named == tasks.frame["modality"].to_numpy()[test])),
        known_accepted=float(np.mean(fitted.detector.passes(neutral, logits))),
        confident_outside=tasks.confident_outside(parts),
    )
    return ModelMetrics(tasks=measured, model=model, unseen_source=unseen)


def _measure_head(head: Head, test: Labelled) -> TaskMetrics:
    """Measures a head on test images, with an interval from 1000 draws of whole groups."""
    scores, data = SCORES[head.kind], (test.targets, head.probabilities(test.vectors))
    drawn = resample(lambda weights: scores[AUROC](*data, weights), test.groups, 1000, 0)
    low, high = interval(drawn)
    return TaskMetrics(
        modality=head.modality,
        n_test=len(test),
        n_groups=len(np.unique(test.groups)),
        auroc=unweighted(scores[AUROC], *data),
        auroc_low=low,
        auroc_high=high,
        ece=unweighted(scores[ECE], *data),
        classes=measure_classes(head, test),
    )


def measure_classes(head: Head, test: Labelled) -> dict[str, ClassMetrics]:
    """Returns how often each class of a head is found and ruled out in test images."""
    held = head.prediction_sets(head.probabilities(test.vectors))
    measured = {}
    for column, name in enumerate(head.classes):
        shows = test.targets[:, column] > 0
        measured[name] = ClassMetrics(
            threshold=max(0.0, float(1 - head.limits[column])),
            shown=int(shows.sum()),
            found=int((held[:, column] & shows).sum()),
            absent=int((~shows).sum()),
            ruled_out=int((~held[:, column] & ~shows).sum()),
        )
    return measured
