"""An evaluation: protocols on encoders and tasks, part by part, and the comparisons between encoders."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from mermed_core.data.manifest import COLUMNS, Manifest
from mermed_core.embed import Embedder
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.comparisons import Comparison, compare, corrected
from mermed_core.evaluation.comparisons import to_frame as comparisons_frame
from mermed_core.evaluation.cross_validation import cross_validation
from mermed_core.evaluation.few_shot import few_shot
from mermed_core.evaluation.figures import Figure, to_frame
from mermed_core.evaluation.fine_tuning import FineTuning, fine_tune
from mermed_core.evaluation.knn import knn
from mermed_core.evaluation.label_efficiency import label_efficiency
from mermed_core.evaluation.linear_probe import fit_probe, linear_probe
from mermed_core.evaluation.measuring import measure, measure_subgroups
from mermed_core.evaluation.parts import Part, PartStore, part_name
from mermed_core.evaluation.predictions import Predictions, from_long, to_long
from mermed_core.evaluation.retrieval import modality_retrieval, retrieval
from mermed_core.evaluation.robustness import robustness
from mermed_core.evaluation.task import Task, tasks_of
from mermed_core.vectors import VectorCache

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        protocols: names of `PROTOCOLS`.
        subgroups: further columns of the manifest, such as sex, whose values are measured side by side.
        resamples: draws of each bootstrap.
        seed: of all draws that do not state theirs.
        severities: of the corruptions, 1..5.
        fine_tuning: its settings.
    """

    protocols: tuple[str, ...]
    subgroups: tuple[str, ...] = ()
    resamples: int = 1000
    seed: int = 0
    severities: tuple[int, ...] = (1, 3, 5)
    fine_tuning: FineTuning = field(default_factory=FineTuning)


@dataclass(frozen=True)
class Evaluation:
    """The three tables that a report is made from."""

    figures: pd.DataFrame
    comparisons: pd.DataFrame
    predictions: pd.DataFrame


@dataclass(frozen=True)
class _Job:
    """One protocol on one task of one encoder."""

    embedder: Embedder
    manifest: Manifest
    task: Task
    plan: Plan
    workers: int

    @property
    def encoder(self) -> str:
        return self.embedder.config.name


def _of_predictions(make: Callable[[_Job], Predictions]) -> Callable[[_Job], Part]:
    return lambda job: Part([], to_long(make(job)))


def _retrieval(job: _Job) -> Part:
    plan = job.plan
    return Part(retrieval(job.task, encoder=job.encoder, resamples=plan.resamples, seed=plan.seed))


def _robustness(job: _Job) -> Part:
    return Part(
        robustness(
            job.embedder,
            job.manifest,
            job.task,
            fit_probe(job.task),
            encoder=job.encoder,
            severities=job.plan.severities,
            seed=job.plan.seed,
            workers=job.workers,
        )
    )


def _fine_tuned(job: _Job) -> Predictions:
    return fine_tune(job.embedder, job.manifest, job.task, settings=job.plan.fine_tuning, encoder=job.encoder)


PROTOCOLS: dict[str, Callable[[_Job], Part]] = {
    "linear_probe": _of_predictions(lambda job: linear_probe(job.task, encoder=job.encoder)),
    "knn": _of_predictions(lambda job: knn(job.task, encoder=job.encoder)),
    "cross_validation": _of_predictions(
        lambda job: cross_validation(job.task, encoder=job.encoder, seed=job.plan.seed)
    ),
    "retrieval": _retrieval,
    "few_shot": lambda job: Part(few_shot(job.task, encoder=job.encoder)),
    "label_efficiency": lambda job: Part(label_efficiency(job.task, encoder=job.encoder)),
    "robustness": _robustness,
    "fine_tuning": _of_predictions(_fine_tuned),
}


def evaluate(
    encoders: Sequence[Embedder], manifest: Manifest, plan: Plan, cache: Path, *, workers: int = 0
) -> Evaluation:
    """Measures encoders on every label set of a manifest; what was done before is taken from the cache.

    The first encoder is compared with each of the others. A protocol that cannot be applied to a task (no
    test images, a single patient) is named in the log and left out.

    Args:
        encoders: what is measured; their names differ.
        manifest: the images with their labels and splits.
        plan: protocols and settings.
        cache: folder of vectors and parts.
        workers: processes that read images ahead.

    Raises:
        EvaluationError: two encoders have one name, a subgroup is no column, or nothing could be measured.
        ManifestError: no image can be read, or no label set has two classes to train on.
    """
    names = [embedder.config.name for embedder in encoders]
    if len(set(names)) < len(names):
        raise EvaluationError(f"two encoders have the same name ({', '.join(names)}); evaluate them apart.")
    further = [str(name) for name in manifest.frame if name not in COLUMNS]
    if missing := [name for name in plan.subgroups if name not in further]:
        there = ", ".join(further) or "none"
        raise EvaluationError(f"the images have no column '{missing[0]}' for subgroups; there are: {there}.")
    figures: list[Figure] = []
    predictions: list[Predictions] = []
    for embedder in encoders:
        embeddings = VectorCache(cache / "vectors").embed(embedder, manifest, workers=workers)
        tasks = tasks_of(embeddings)
        jobs = [_Job(embedder, embeddings.manifest, task, plan, workers) for task in tasks]
        found, said = _measured(jobs, PartStore(cache / "parts"))
        if "retrieval" in plan.protocols:
            found += _over_modalities(tasks, embedder.config.name, plan)
        figures += found
        predictions += said
    if not figures:
        raise EvaluationError("nothing could be measured; the lines above say why.")
    tables = [to_long(each) for each in predictions]
    return Evaluation(
        to_frame(figures),
        comparisons_frame(_compared(predictions, names[0], plan)),
        pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
    )


def _measured(jobs: list[_Job], store: PartStore) -> tuple[list[Figure], list[Predictions]]:
    """Does every part that is not done yet, and measures what the parts predict."""
    figures: list[Figure] = []
    predictions: list[Predictions] = []
    total = sum(len(job.plan.protocols) for job in jobs)
    with tqdm(total=total, desc=jobs[0].encoder, unit="part", disable=None) as bar:
        for job in jobs:
            for protocol in job.plan.protocols:
                bar.set_postfix_str(f"{job.task.name}, {protocol}")
                part = _part(job, protocol, store)
                if part is not None:
                    figures += part.figures
                if part is not None and part.predictions is not None:
                    said = from_long(part.predictions, job.task)
                    figures += _figures_of(said, job.plan)
                    predictions.append(said)
                bar.update()
    return figures, predictions


def _part(job: _Job, protocol: str, store: PartStore) -> Part | None:
    plan = asdict(job.plan)
    settings = {name: plan[name] for name in _SETTINGS.get(protocol, ())}
    name = part_name(job.embedder, job.task, protocol, settings)
    part = store.load(name)
    if part is None:
        try:
            part = PROTOCOLS[protocol](job)
        except EvaluationError as error:
            logger.warning("%s, %s, %s is left out: %s", job.encoder, job.task.name, protocol, error)
            return None
        store.save(name, part)
    return part


# Which settings of a plan change what a protocol finds.
_SETTINGS = {
    "cross_validation": ("seed",),
    "retrieval": ("resamples", "seed"),
    "robustness": ("severities", "seed"),
    "fine_tuning": ("fine_tuning",),
}


def _figures_of(predictions: Predictions, plan: Plan) -> list[Figure]:
    options = {"resamples": plan.resamples, "seed": plan.seed}
    figures = measure(predictions, **options)
    for column in plan.subgroups:
        if predictions.columns[column].notna().any():
            figures += measure_subgroups(predictions, column, **options)
    return figures


def _over_modalities(tasks: Sequence[Task], encoder: str, plan: Plan) -> list[Figure]:
    """Measures retrieval among all label sets of each modality that has several with test images."""
    figures: list[Figure] = []
    for modality in sorted({task.modality for task in tasks}):
        own = [task for task in tasks if task.modality == modality and "test" in task.splits]
        if len(own) > 1:
            figures += modality_retrieval(own, encoder=encoder, resamples=plan.resamples, seed=plan.seed)
    return figures


def _compared(predictions: Sequence[Predictions], first: str, plan: Plan) -> list[Comparison]:
    ours = {(each.task, each.protocol): each for each in predictions if each.encoder == first}
    pairs = [
        (ours[each.task, each.protocol], each)
        for each in predictions
        if each.encoder != first and (each.task, each.protocol) in ours
    ]
    found = [compare(*pair, resamples=plan.resamples, seed=plan.seed) for pair in pairs]
    return corrected([comparison for several in found for comparison in several])
