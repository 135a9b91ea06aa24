"""How much of an AUROC is left when the test images are corrupted and the head is not told."""

import zlib
from dataclasses import dataclass, replace

import numpy as np

from mermed_core.data.manifest import Manifest
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.corruptions import SEVERITIES, corrupt, proper_to
from mermed_core.evaluation.protocols.linear_probe import predict
from mermed_core.evaluation.results import AUROC, Figure
from mermed_core.evaluation.task import Task, images_of
from mermed_core.metrics.bootstrap import interval, resample
from mermed_core.metrics.scores import auroc
from mermed_core.models.embedder import Embedder, embed_manifest
from mermed_core.models.heads import Head

CLEAN, MEAN = "clean", "mean"


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
) -> list[Figure]:
    """Measures a linear head, fitted on clean images, on corrupted test images (Hendrycks & Dietterich 2019).

    The corruptions are those proper to the task's modality. An image's corruption depends on `seed` and its
    case id alone, so that every encoder meets the same pixels.

    Args:
        embedder: the encoder that made the task's vectors.
        manifest: where the task's images are.
        task: its test split is used.
        head: fitted on the task's train split.
        encoder: name for the figures.
        severities: of 1 to 5, one or more.
        resamples: draws of the bootstrap, 1 or more.
        seed: of the corruptions, of the bootstrap, and of the draw where there is a limit.
        workers: processes that read images ahead.
        limit: at most so many test images, drawn by chance.

    Returns:
        Macro AUROC: one figure with the setting "clean", which is the linear probe's on these images, one for
        each corruption and severity ("noise=3"), and the mean of these ("mean"). The 95 % intervals are
        percentiles of a bootstrap by group, the same draws for all settings; with fewer than five groups
        there are none.

    Raises:
        EvaluationError: there is no such severity, the task has no test image, the head is of other classes,
            or an image is not in the manifest or cannot be read.
    """
    if not severities or not set(severities) <= set(SEVERITIES):
        raise EvaluationError(f"severities are some of {SEVERITIES}, not {severities}.")
    test = _drawn(task, limit, seed)
    if head.classes != task.classes:
        raise EvaluationError(
            f"the head '{head.task}' does not name the classes of '{task.name}'; fit it on it."
        )
    images = images_of(manifest, test)
    named = {"encoder": encoder, "protocol": "robustness"}
    said = {CLEAN: predict(head, test, **named).probabilities}
    for name in proper_to(task.modality):
        for severity in severities:
            alter = _Alter(name, severity, seed, tuple(test.case_ids))
            made = embed_manifest(embedder, images, alter=alter, workers=workers)
            if made.broken:
                raise EvaluationError(f"{next(iter(made.broken))} cannot be read any more; embed again.")
            spoilt = replace(test, vectors=made.vectors)
            said[f"{name}={severity}"] = predict(head, spoilt, **named).probabilities
    return _figures(test, said, encoder, resamples, seed)


def _figures(
    test: Task, said: dict[str, np.ndarray], encoder: str, resamples: int, seed: int
) -> list[Figure]:
    def score(weights: np.ndarray) -> np.ndarray:  # (draws, settings), the mean over corruptions last
        values = np.stack([auroc(test.targets, each, weights) for each in said.values()], axis=1)
        return np.column_stack([values, values[:, 1:].mean(axis=1)])

    values = score(np.ones((1, len(test))))[0]
    drawn = resample(score, test.groups, resamples, seed)
    return [
        Figure(
            encoder,
            test.modality,
            test.name,
            "robustness",
            AUROC,
            float(value),
            *interval(column),
            images=len(test),
            groups=len(np.unique(test.groups)),
            setting=setting,
        )
        for setting, value, column in zip((*said, MEAN), values, drawn.T, strict=True)
    ]


@dataclass(frozen=True)
class _Alter:
    """One corruption for the images of a manifest; a class, because worker processes are sent it."""

    name: str
    severity: int
    seed: int
    case_ids: tuple[str, ...]

    def __call__(self, pixels: np.ndarray, position: int) -> np.ndarray:
        case = zlib.crc32(self.case_ids[position].encode())
        return corrupt(pixels, self.name, self.severity, (self.seed, case))


def _drawn(task: Task, limit: int | None, seed: int) -> Task:
    test = np.flatnonzero(task.splits == "test")
    if not len(test):
        raise EvaluationError(f"task '{task.name}' has no image in the test split to corrupt.")
    return task.rows(np.sort(np.random.default_rng(seed).permutation(test)[:limit]))
