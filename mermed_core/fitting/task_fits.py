"""Fits what belongs to one label set: its head, its scope, its figures; and the heads of regions."""

import logging
from dataclasses import replace

import numpy as np

from mermed_core.data.manifest import LabelSet
from mermed_core.fitting.label_sets import LabelledImages, LabelSets
from mermed_core.fitting.linear_heads import Labelled, fit_head, one_hot
from mermed_core.fitting.principal_axes import balanced_weights
from mermed_core.fitting.scope_fit import SourceVectors, fit_scope
from mermed_core.fitting.training_vectors import TrainingVectors
from mermed_core.fitting.unseen_source import CONFIDENT, findings_elsewhere
from mermed_core.metrics.conformal import calibration_scores
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.models.fitted_parts import FittedParts
from mermed_core.models.heads import UNNAMED_REGION, Head, HeadSet, region_task
from mermed_core.models.model_metrics import FindingMetrics
from mermed_core.models.ood import OODDetector
from mermed_core.models.scopes import WITHIN, Scope
from mermed_core.records import SYNTHETIC_PREFIX

logger = logging.getLogger(__name__)

# The region heads learn nothing new from more images of one source, and take minutes.
_REGION_IMAGES = 400
# Inverse penalties that a head chooses from, a decade apart: each takes minutes with thousands of images.
_PENALTIES = (0.3, 3.0, 30.0)


class TaskFits:
    """Every label set with the vectors that its head is fitted and measured on.

    Args:
        label_sets: which labels of several sources mean the same.
        vectors: of all images.

    Attributes:
        labelled: the label sets that a head can be fitted for, with their images.
        splits: (images,) split of each image.
    """

    def __init__(self, label_sets: LabelSets, vectors: TrainingVectors) -> None:
        self.vectors = vectors
        self.manifest = vectors.by_modality.manifest
        self.frame = self.manifest.frame
        self.splits = self.frame["split"].to_numpy()
        self.sources = self.frame["source"].to_numpy(str)
        self.patients = self.manifest.patients()
        self.labelled = tuple(each for each in label_sets.labelled(self.manifest) if self._learnable(each))
        self._copied = label_sets.labelled(vectors.copies.manifest)
        self._sets = label_sets
        self._regions = label_sets.regions_of(self.manifest)

    def _classes(self, images: LabelledImages) -> tuple[str, ...]:
        """Returns the classes of a label set that training images show."""
        rows = zip(images.rows, images.labels, strict=True)
        shown = {name for row, labels in rows if self.splits[row] == "train" for name in labels}
        return tuple(name for name in images.label_set.classes if name in shown)

    def _learnable(self, images: LabelledImages) -> bool:
        """Returns whether there is something to tell apart; the log says where there is not."""
        task, kind = images.label_set.task, images.label_set.kind
        enough = len(self._classes(images)) >= (1 if kind == "multilabel" else 2)
        if not enough:
            logger.warning(
                "%s has fewer than two classes in the train split: its images teach the modality, the region "
                "and the detector, but it gets no head",
                task,
            )
        return enough

    def modality(self, images: LabelledImages) -> str:
        """Returns the modality of a label set's images."""
        return str(self.frame["modality"].iloc[images.rows[0]])

    def fit(self, images: LabelledImages) -> Head:
        """Fits the head of a label set on its training images and their changed copies."""
        task, kind = images.label_set.task, images.label_set.kind
        classes = self._classes(images)
        logger.info("fitting %s (%s)", task, ", ".join(classes))
        label_set = LabelSet(task, kind, classes)
        train, held_out = (self.part(images, label_set, split) for split in ("train", "val"))
        train = self._with_copies(label_set, train, images)
        head = fit_head(label_set, self.modality(images), train, held_out, penalties=_PENALTIES)
        return self.calibrated(head, images)

    def calibrated(self, head: Head, images: LabelledImages) -> Head:
        """Returns a head with its calibration cases from the val split, and with what its classes mean."""
        held_out = self.part(images, LabelSet(head.task, head.kind, head.classes), "val")
        probabilities = head.probabilities(held_out.vectors)
        return replace(
            head,
            calibration=calibration_scores(probabilities, held_out.targets, held_out.groups),
            meanings=self._sets.meanings(images.label_set, self.sources[images.rows].tolist()),
        )

    def part(self, images: LabelledImages, label_set: LabelSet, split: str = "") -> Labelled:
        """Returns the images of one split, or of all."""
        chosen = np.flatnonzero((self.splits[images.rows] == split) | (split == ""))
        rows = images.rows[chosen]
        targets = one_hot([images.labels[index] for index in chosen], label_set.classes)
        shown = targets.any(axis=1) | (label_set.kind == "multilabel")
        rows, targets = rows[shown], targets[shown]
        weights = _within_classes(targets, self.sources[rows])
        return Labelled(self.vectors.by_modality.vectors[rows], targets, self.patients[rows], weights)

    def _with_copies(self, label_set: LabelSet, train: Labelled, images: LabelledImages) -> Labelled:
        copies, copied_sources = self._copies(label_set)
        if copies is None:
            return train
        weights = None
        if train.weights is not None:
            sources = self.sources[images.rows][self.splits[images.rows] == "train"]
            both = np.concatenate([sources, copied_sources])
            weights = _within_classes(np.concatenate([train.targets, copies.targets]), both)
        return train.joined(copies, weights)

    def _copies(self, label_set: LabelSet) -> tuple[Labelled | None, np.ndarray]:
        """Returns the changed copies of a label set's images, and the sources (copies,) of them."""
        copies = next((each for each in self._copied if each.label_set.task == label_set.task), None)
        if copies is None:
            return None, np.empty(0, str)
        manifest = self.vectors.copies.manifest
        data = Labelled(
            self.vectors.copies.vectors[copies.rows],
            one_hot(copies.labels, label_set.classes),
            manifest.patients()[copies.rows],
        )
        return data, manifest.frame["source"].to_numpy(str)[copies.rows]

    def fit_regions(self) -> list[Head]:
        """Fits a head for every modality whose images show several parts of the body."""
        frame, random = self.frame, np.random.default_rng(0)
        regions = self._named_regions()
        heads = []
        for modality in MODALITY_KEYS:
            own = ((frame["modality"] == modality) & (regions != "")).to_numpy()
            classes = tuple(sorted(set(regions[own & (self.splits == "train")])))
            if len(classes) < 2:
                continue
            parts = []
            for split in ("train", "val"):
                chosen = [
                    random.permutation(
                        np.flatnonzero(own & (self.splits == split) & (self.sources == source))
                    )
                    for source in sorted(set(self.sources[own]))
                ]
                rows = np.concatenate([each[:_REGION_IMAGES] for each in chosen])
                targets = one_hot([[name] for name in regions[rows]], classes)
                vectors = self.vectors.by_modality.vectors[rows]
                weights = (
                    balanced_weights(regions[rows].astype(str), self.sources[rows]) if len(rows) else None
                )
                parts.append(Labelled(vectors, targets, self.patients[rows], weights))
            task = LabelSet(region_task(modality), "multiclass", classes)
            logger.info("fitting %s (%s)", task.task, ", ".join(classes))
            heads.append(fit_head(task, modality, *parts, penalties=_PENALTIES))
        return heads

    def _named_regions(self) -> np.ndarray:
        """Returns what each image (images,) shows; a source without a stated region is one by itself."""
        return np.where(self._regions == "", UNNAMED_REGION + self.sources.astype(object), self._regions)

    def fit_scope(self, images: LabelledImages, heads: HeadSet, detector: OODDetector) -> Scope:
        """Fits the scope of a label set."""
        rows, regions = images.rows, self._named_regions()
        train, held_out = (rows[self.splits[rows] == split] for split in ("train", "val"))
        modality, region = self.modality(images), str(regions[rows[0]])
        others = (self.frame["modality"].to_numpy() == modality) & (regions == region)
        others &= (self.splits == "train") & ~np.isin(self.sources, self.sources[rows])
        named = (head.classes for head in heads.heads if head.task == region_task(modality))
        random = np.random.default_rng(0)
        return fit_scope(
            images.label_set.task,
            region if region in next(named, ()) else "",
            detector,
            self._neutral(random.permutation(train)),
            self._neutral(held_out),
            self._neutral(random.permutation(np.flatnonzero(others))),
        )

    def _neutral(self, rows: np.ndarray) -> SourceVectors:
        """Returns the embeddings of some images, made without assuming a modality."""
        return SourceVectors(self.vectors.neutral.vectors[rows], self.sources[rows])

    def confident_outside(self, parts: FittedParts) -> float | None:
        """Returns how often a label set is confident about test images that it has no label for.

        For every label set, and every source of its modality of which it has no label, the share of the
        source's test images that are within its scope and get a probability above 0.9; the mean over these
        pairs, None without one. Drawn images do not count: they look like nothing else.

        Args:
            parts: the heads and scopes of all label sets.
        """
        scopes = {scope.task: scope for scope in parts.scopes}
        modalities = self.frame["modality"].to_numpy()
        test = (self.splits == "test") & ~np.char.startswith(self.sources, SYNTHETIC_PREFIX)
        shares = []
        for images in self.labelled:
            if images.label_set.task.startswith(SYNTHETIC_PREFIX):
                continue
            head, scope = parts.heads.get(images.label_set.task), scopes[images.label_set.task]
            foreign = test & (modalities == head.modality)
            foreign &= ~np.isin(self.sources, self.sources[images.rows])
            for source in sorted(set(self.sources[foreign])):
                rows = np.flatnonzero(foreign & (self.sources == source))
                vectors = self.vectors.by_modality.vectors[rows]
                sure = head.probabilities(vectors).max(axis=1) > CONFIDENT
                near = parts.detector.near(self.vectors.neutral.vectors[rows])
                regions = [parts.heads.regions(head.modality, vector) for vector in vectors]
                relevance = np.array([scope.relevance(*each) for each in zip(near, regions, strict=True)])
                shares.append(np.mean(sure & (relevance >= WITHIN)))
        return float(np.mean(shares)) if shares else None

    def elsewhere(self) -> dict[str, dict[str, FindingMetrics]]:
        """Returns how well each finding holds in sources that its head was not fitted on."""
        return {images.label_set.task: self._elsewhere(images) for images in self.labelled}

    def _elsewhere(self, images: LabelledImages) -> dict[str, FindingMetrics]:
        data, sources = self.part(images, images.label_set), self.sources[images.rows]
        copies, copied_sources = self._copies(images.label_set)
        original = np.ones(len(data), bool)
        if copies is not None:
            sources = np.concatenate([sources, copied_sources])
            original = np.concatenate([original, np.zeros(len(copies), bool)])
            data = data.joined(copies)
            data = replace(data, weights=_within_classes(data.targets, sources))
        return findings_elsewhere(images.label_set, data, sources, original=original)


def _within_classes(targets: np.ndarray, sources: np.ndarray) -> np.ndarray | None:
    """Returns weights (images,) that let the sources of a class speak; a class stays as frequent.

    None where there is a single source.
    """
    if len(set(sources)) < 2:
        return None
    classes = targets.argmax(axis=1)
    weights = np.empty(len(classes))
    for name in set(classes):
        rows = classes == name
        weights[rows] = balanced_weights(np.zeros(rows.sum(), int), sources[rows])
    return weights
