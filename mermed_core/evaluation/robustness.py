"""How much of an AUROC is left when the test images are corrupted and the head is not told."""

import zlib
from dataclasses import dataclass

import numpy as np

from mermed_core.data.manifest import Manifest
from mermed_core.embed import Embedder, embed_manifest
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.corruptions import corrupt, proper_to
from mermed_core.evaluation.figures import AUROC, Figure
from mermed_core.evaluation.task import Task, images_of
from mermed_core.heads import Head
from mermed_core.metrics import auroc

CLEAN, MEAN = "clean", "mean"


def robustness(
    embedder: Embedder,
    manifest: Manifest,
    task: Task,
    head: Head,
    *,
    encoder: str,
    severities: tuple[int, ...] = (1, 3, 5),
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
        severities: of 1 to 5.
        seed: of the corruptions, and of the draw where there is a limit.
        workers: processes that read images ahead.
        limit: at most so many test images, drawn by chance.

    Returns:
        Macro AUROC without interval: one figure with the setting "clean", one for each corruption and
        severity ("noise=3"), and the mean of these ("mean").

    Raises:
        EvaluationError: the task has no test image, the head is of other classes, or an image is not in the
            manifest or cannot be read.
    """
    test = _drawn(task, limit, seed)
    if head.classes != task.classes:
        raise EvaluationError(
            f"the head '{head.task}' does not name the classes of '{task.name}'; fit it on it."
        )
    images = images_of(manifest, test)
    values = {CLEAN: auroc(test.targets, head.probabilities(test.vectors))}
    for name in proper_to(task.modality):
        for severity in severities:
            alter = _Alter(name, severity, seed, tuple(test.case_ids))
            made = embed_manifest(embedder, images, alter=alter, workers=workers)
            if made.broken:
                raise EvaluationError(f"{next(iter(made.broken))} cannot be read any more; embed again.")
            values[f"{name}={severity}"] = auroc(test.targets, head.probabilities(made.vectors))
    values[MEAN] = float(np.mean([value for setting, value in values.items() if setting != CLEAN]))
    groups = len(np.unique(test.groups))
    return [
        Figure(
            encoder,
            task.modality,
            task.name,
            "robustness",
            AUROC,
            value,
            images=len(test),
            groups=groups,
            setting=setting,
        )
        for setting, value in values.items()
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
