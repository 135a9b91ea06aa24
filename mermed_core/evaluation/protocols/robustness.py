"""Robustness: how much AUROC is left when a head that was fitted on clean images meets corrupted ones."""

import zlib
from dataclasses import dataclass, replace

import numpy as np

from mermed_core.data.manifest import Manifest
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.corruptions import SEVERITIES, corrupt, proper_to
from mermed_core.evaluation.protocols.linear_probe import predict
from mermed_core.evaluation.results import Result
from mermed_core.evaluation.task import Task, images_of
from mermed_core.metrics.bootstrap import interval, resample
from mermed_core.metrics.catalogue import AUROC
from mermed_core.metrics.scores import auroc
from mermed_core.models.embedder import Embedder, embed_manifest
from mermed_core.models.heads import Head

# In the place of a corruption: the mean over all corruptions and severities.
ALL = "all"


def robustness(
    embedder: Embedder,
    manifest: Manifest,
    task: Task,
    head: Head,
    *,
    encoder: str,
    severities: tuple[int, ...] = (1, 3, 5),
    resamples: int = 1000,
    seed: int = 0,
    workers: int = 0,
    limit: int | None = None,
) -> list[Result]:
    """Measures a linear head, fitted on clean images, on corrupted test images (Hendrycks & Dietterich 2019).

    The corruptions are those that occur in the task's modality. They depend on nothing but `seed` and the
    case id of an image, so that every encoder gets the same pixels.

    Args:
        embedder: the encoder that made the task's vectors.
        manifest: where the task's images are.
        task: its test split is used.
        head: fitted on the task's train split.
        encoder: name for the results.
        severities: one or more of 1 to 5.
        resamples: draws of the bootstrap, 1 or more.
        seed: of the corruptions, of the bootstrap, and of the selection where there is a limit.
        workers: processes that read images ahead.
        limit: at most this many test images, selected at random.

    Returns:
        Macro AUROC of the uncorrupted images, which is that of the linear probe on them; of each corruption
        and severity; and the mean over these, with the corruption `ALL`. The 95 % intervals are percentiles
        of a bootstrap over groups, with the same draws for all; with fewer than five groups there are none.

    Raises:
        EvaluationError: there is no such severity, the task has no test image, the head has other classes,
            or an image is not in the manifest or cannot be read.
    """
    if not severities or not set(severities) <= set(SEVERITIES):
        raise EvaluationError(f"severities must be one or more of {SEVERITIES}, not {severities}.")
    test = _test_images(task, limit, seed)
    if head.classes != task.classes:
        raise EvaluationError(
            f"the head '{head.task}' does not have the classes of '{task.name}'; fit one on that task."
        )
    images = images_of(manifest, test)
    names = {"encoder": encoder, "protocol": "robustness"}
    probabilities = {("", 0): predict(head, test, **names).probabilities}
    for name in proper_to(task.modality):
        for severity in severities:
            augment = _Corruption(name, severity, seed, tuple(test.case_ids))
            embeddings = embed_manifest(embedder, images, augment=augment, workers=workers)
            if embeddings.broken:
                gone = next(iter(embeddings.broken))
                raise EvaluationError(f"{gone} can no longer be read; run the evaluation again.")
            corrupted = replace(test, vectors=embeddings.vectors)
            probabilities[name, severity] = predict(head, corrupted, **names).probabilities
    return _results(test, probabilities, encoder, resamples, seed)


def _results(
    test: Task, probabilities: dict[tuple[str, int], np.ndarray], encoder: str, resamples: int, seed: int
) -> list[Result]:
    """Measures probabilities (images, classes) by corruption and severity, the uncorrupted ones first."""

    def score(weights: np.ndarray) -> np.ndarray:  # (draws, corruptions · severities), the mean last
        values = np.stack([auroc(test.targets, each, weights) for each in probabilities.values()], axis=1)
        return np.column_stack([values, values[:, 1:].mean(axis=1)])

    values = score(np.ones((1, len(test))))[0]
    drawn = resample(score, test.groups, resamples, seed)
    return [
        Result(
            encoder,
            test.modality,
            test.name,
            "robustness",
            AUROC,
            float(value),
            *interval(column),
            images=len(test),
            groups=len(np.unique(test.groups)),
            corruption=corruption,
            severity=severity,
        )
        for (corruption, severity), value, column in zip(
            (*probabilities, (ALL, 0)), values, drawn.T, strict=True
        )
    ]


@dataclass(frozen=True)
class _Corruption:
    """One corruption for the images of a manifest; a class, because it is sent to worker processes."""

    name: str
    severity: int
    seed: int
    case_ids: tuple[str, ...]

    def __call__(self, pixels: np.ndarray, position: int) -> np.ndarray:
        case = zlib.crc32(self.case_ids[position].encode())
        return corrupt(pixels, self.name, self.severity, (self.seed, case))


def _test_images(task: Task, limit: int | None, seed: int) -> Task:
    test = np.flatnonzero(task.splits == "test")
    if not len(test):
        raise EvaluationError(f"task '{task.name}' has no image in the test split to corrupt.")
    return task.rows(np.sort(np.random.default_rng(seed).permutation(test)[:limit]))
