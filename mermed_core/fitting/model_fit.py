"""Fits everything on a frozen encoder: modality head, label-set heads, heads of findings, OOD detector."""

import logging
from dataclasses import dataclass

import numpy as np

from mermed_core.data.manifest import LabelSet, Manifest
from mermed_core.errors import ManifestError
from mermed_core.fitting.linear_heads import Labelled, fit_head, one_hot
from mermed_core.metrics.bootstrap import interval, resample
from mermed_core.metrics.catalogue import AUROC, ECE, SCORES
from mermed_core.metrics.scores import unweighted
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.models.embedder import Embedder, Embeddings, embed_manifest
from mermed_core.models.embedding_cache import EmbeddingCache
from mermed_core.models.heads import MODALITY_TASK, Head, HeadSet, label_set_task
from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics, WholeModelMetrics
from mermed_core.models.ood import OODDetector, fit_detector

logger = logging.getLogger(__name__)

# The heads that only sort images learn nothing new from more of one kind, and take minutes.
SORTING_IMAGES = 1500


@dataclass(frozen=True)
class FittedModel:
    """What was fitted, and how good it is on the test split.

    Attributes:
        heads: every head.
        detector: of images that are out of distribution.
        metrics: of every label set that has test images, and of the model as a whole.
    """

    heads: HeadSet
    detector: OODDetector
    metrics: ModelMetrics


def fit_model(
    embedder: Embedder,
    manifest: Manifest,
    *,
    cache: EmbeddingCache | None = None,
    workers: int = 0,
    seed: int = 0,
) -> FittedModel:
    """Embeds a manifest once and fits on its train split; val chooses and calibrates, test measures.

    Args:
        embedder: the encoder.
        manifest: the images with their labels and splits.
        cache: keeps the vectors; those of an earlier fit or evaluation are reused.
        workers: processes that read images ahead.
        seed: of the sample that the heads that only sort are fitted on.

    Raises:
        ManifestError: there are no training images.
    """
    if not (manifest.frame["split"] == "train").any():
        raise ManifestError("no image belongs to the train split.", column="split")
    embed = cache.embed if cache else embed_manifest
    by_modality = embed(embedder, manifest, workers=workers)
    neutral = by_modality
    if not embedder.preprocessing_is_shared:
        neutral = embed(embedder, manifest, neutral=True, workers=workers)
    generator = np.random.default_rng(seed)
    findings = [_fit_task(label_set, by_modality) for label_set in by_modality.manifest.label_sets()]
    heads = HeadSet(
        (
            _fit_sorting(MODALITY_TASK, "", "modality", neutral, generator),
            *_fit_label_set_heads(findings, by_modality, generator),
            *findings,
        )
    )
    detector = _fit_detector(by_modality)
    return FittedModel(heads, detector, _measure(heads, detector, by_modality, neutral))


def _fit_task(label_set: LabelSet, embeddings: Embeddings) -> Head:
    frame = embeddings.manifest.frame
    rows = ((frame["task"] == label_set.task) & frame["labels"].notna()).to_numpy()
    modalities = frame.loc[rows, "modality"].unique()
    if len(modalities) != 1:
        raise ManifestError(
            f"task '{label_set.task}' mixes the modalities {', '.join(modalities)}.", column="task"
        )
    training_rows = rows & (frame["split"] == "train").to_numpy()
    in_training = {name for labels in frame.loc[training_rows, "labels"] for name in labels}
    classes = tuple(name for name in label_set.classes if name in in_training)
    if len(classes) < (1 if label_set.kind == "multilabel" else 2):
        raise ManifestError(
            f"task '{label_set.task}' has fewer than two classes to train on.", column="labels"
        )
    known = LabelSet(label_set.task, label_set.kind, classes)
    logger.info("fitting %s (%s)", label_set.task, ", ".join(classes))
    train, held_out = (_labelled(known, embeddings, rows, split) for split in ("train", "val"))
    return fit_head(known, str(modalities[0]), train, held_out)


def _labelled(label_set: LabelSet, embeddings: Embeddings, rows: np.ndarray, split: str) -> Labelled:
    frame = embeddings.manifest.frame
    chosen = np.flatnonzero(rows & (frame["split"] == split).to_numpy())
    labels = [list(value) for value in frame["labels"].iloc[chosen]]
    return Labelled(
        embeddings.vectors[chosen], one_hot(labels, label_set.classes), embeddings.manifest.patients()[chosen]
    )


def _fit_label_set_heads(
    findings: list[Head], embeddings: Embeddings, generator: np.random.Generator
) -> list[Head]:
    return [
        _fit_sorting(label_set_task(modality), modality, "task", embeddings, generator)
        for modality in MODALITY_KEYS
        if sum(head.modality == modality for head in findings) > 1
    ]


def _fit_sorting(
    task: str, modality: str, column: str, embeddings: Embeddings, generator: np.random.Generator
) -> Head:
    """Fits a head that sorts images by a column of the manifest, on a balanced sample."""
    frame = embeddings.manifest.frame
    eligible = frame["labels"].notna() if modality else frame["modality"].notna()
    if modality:
        eligible &= frame["modality"] == modality
    names = frame[column].to_numpy()
    classes = tuple(sorted(set(names[eligible & (frame["split"] == "train")])))
    chosen = []
    for name in classes:
        for split in ("train", "val"):
            rows = np.flatnonzero(eligible & (frame["split"] == split) & (names == name))
            chosen.append(generator.permutation(rows)[:SORTING_IMAGES])
    sample = np.concatenate(chosen)
    everything = Labelled(
        embeddings.vectors[sample],
        one_hot([[names[row]] for row in sample], classes),
        embeddings.manifest.patients()[sample],
    )
    splits = frame["split"].to_numpy()[sample]
    logger.info("fitting %s (%s)", task, ", ".join(classes))
    return fit_head(
        LabelSet(task, "multiclass", classes),
        modality,
        everything.rows(np.flatnonzero(splits == "train")),
        everything.rows(np.flatnonzero(splits == "val")),
    )


def _fit_detector(embeddings: Embeddings) -> OODDetector:
    frame = embeddings.manifest.frame
    shown = np.array(
        [
            f"{task}/{'' if labels is None else '|'.join(labels)}"
            for task, labels in zip(frame["task"], frame["labels"], strict=True)
        ]
    )
    train, val = ((frame["split"] == split).to_numpy() for split in ("train", "val"))
    held_out = val if val.any() else train
    modalities = frame["modality"].to_numpy()
    return fit_detector(
        embeddings.vectors[train],
        shown[train],
        modalities[train],
        embeddings.vectors[held_out],
        modalities[held_out],
    )


def _measure(
    heads: HeadSet, detector: OODDetector, by_modality: Embeddings, neutral: Embeddings
) -> ModelMetrics:
    frame = by_modality.manifest.frame
    test = (frame["split"] == "test").to_numpy()
    if not test.any():
        return ModelMetrics()
    tasks: dict[str, TaskMetrics] = {}
    for head in heads.findings:
        rows = ((frame["task"] == head.task) & frame["labels"].notna()).to_numpy()
        label_set = LabelSet(head.task, head.kind, head.classes)
        if (rows & test).any():
            tasks[head.task] = _measure_head(head, _labelled(label_set, by_modality, rows, "test"))
    head = heads.get(MODALITY_TASK)
    best = head.probabilities(neutral.vectors[test]).argmax(axis=1)
    truth = frame["modality"].to_numpy()[test]
    accepted = detector.scores(by_modality.vectors[test]) <= detector.threshold
    model = WholeModelMetrics(
        modality_accuracy=float(np.mean(np.array(head.classes)[best] == truth)),
        known_accepted=float(np.mean(accepted)),
    )
    return ModelMetrics(tasks=tasks, model=model)


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
    )
