"""Runs an evaluation: every protocol on every encoder and task, means over tasks, comparisons of encoders."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from mermed_core.data.manifest import COLUMNS, Manifest
from mermed_core.errors import EvaluationError, MermedError
from mermed_core.evaluation.comparisons import Comparison, compare, corrected, enough_draws
from mermed_core.evaluation.comparisons import to_frame as comparisons_frame
from mermed_core.evaluation.measurement import measure, measure_subgroups
from mermed_core.evaluation.modality_means import modality_means
from mermed_core.evaluation.predictions import Predictions, from_long, to_long
from mermed_core.evaluation.protocols.cross_validation import cross_validation
from mermed_core.evaluation.protocols.few_shot import few_shot
from mermed_core.evaluation.protocols.fine_tuning import FineTuning, fine_tune
from mermed_core.evaluation.protocols.knn import knn
from mermed_core.evaluation.protocols.label_efficiency import label_efficiency
from mermed_core.evaluation.protocols.linear_probe import fit_probe, linear_probe
from mermed_core.evaluation.protocols.retrieval import modality_task, retrieval
from mermed_core.evaluation.protocols.retrieval_space import SpacePlan, measure_retrieval_spaces
from mermed_core.evaluation.protocols.robustness import robustness
from mermed_core.evaluation.result_cache import Outcome, ResultCache, outcome_name
from mermed_core.evaluation.results import Result, to_frame
from mermed_core.evaluation.task import Task, tasks_of
from mermed_core.fitting.label_sets import LabelSets
from mermed_core.fitting.model_fit import measure_unseen_sources
from mermed_core.models.embedder import Embedder
from mermed_core.models.embedding_cache import EmbeddingCache
from mermed_core.models.model_metrics import UnseenSourceMetrics
from mermed_core.models.retrieval_space import RetrievalSpace

logger = logging.getLogger(__name__)

# These ask about all sources of the manifest together, where every other protocol is about one task.
UNSEEN_SOURCE_PROTOCOL = "unseen_source"
RETRIEVAL_SPACE_PROTOCOL = "retrieval_space"
_OF_ALL_SOURCES = (UNSEEN_SOURCE_PROTOCOL, RETRIEVAL_SPACE_PROTOCOL)


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        protocols: names of `PROTOCOLS`.
        subgroups: columns such as sex or source; each of their values is measured by itself.
        resamples: draws of each bootstrap; comparisons take more where there are many.
        seed: of everything random, except the training subsets of few_shot and label_efficiency.
        severities: of the corruptions, 1..5.
        fine_tuning: its settings.
        spaces: how much is asked of retrieval spaces, and which.
    """

    protocols: tuple[str, ...]
    subgroups: tuple[str, ...] = ()
    resamples: int = 1000
    seed: int = 0
    severities: tuple[int, ...] = (1, 3, 5)
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    spaces: SpacePlan = field(default_factory=SpacePlan)


@dataclass(frozen=True)
class Evaluation:
    """What a report is made from.

    Attributes:
        results: a table with the columns of `results.COLUMNS`.
        comparisons: a table with the fields of `comparisons.Comparison`.
        predictions: the long tables of all predictions, with the columns of the subgroups.
        left_out: "encoder, task, protocol" → why it could not be measured.
        unreadable: case_id → why the image could not be read.
        unseen_sources: what each encoder answers about sources and kinds left out, where that was planned.
        retrieval_spaces: the tables of `measure_retrieval_spaces`, where that was planned.
    """

    results: pd.DataFrame
    comparisons: pd.DataFrame
    predictions: pd.DataFrame
    left_out: dict[str, str]
    unreadable: dict[str, str]
    unseen_sources: dict[str, UnseenSourceMetrics] = field(default_factory=dict)
    retrieval_spaces: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class _Job:
    """One protocol on one task of one encoder."""

    embedder: Embedder
    manifest: Manifest
    task: Task
    protocol: str
    plan: Plan
    workers: int

    @property
    def encoder(self) -> str:
        return self.embedder.config.name

    @property
    def title(self) -> str:
        return f"{self.encoder}, {self.task.name or f'all of {self.task.modality}'}, {self.protocol}"


def _of_predictions(make: Callable[[_Job], Predictions]) -> Callable[[_Job], Outcome]:
    return lambda job: Outcome([], to_long(make(job)))


def _retrieval(job: _Job) -> Outcome:
    plan = job.plan
    return Outcome(retrieval(job.task, encoder=job.encoder, resamples=plan.resamples, seed=plan.seed))


def _robustness(job: _Job) -> Outcome:
    return Outcome(
        robustness(
            job.embedder,
            job.manifest,
            job.task,
            fit_probe(job.task),
            encoder=job.encoder,
            severities=job.plan.severities,
            resamples=job.plan.resamples,
            seed=job.plan.seed,
            workers=job.workers,
        )
    )


def _fine_tuned(job: _Job) -> Predictions:
    return fine_tune(job.embedder, job.manifest, job.task, settings=job.plan.fine_tuning, encoder=job.encoder)


PROTOCOLS: dict[str, Callable[[_Job], Outcome]] = {
    "linear_probe": _of_predictions(lambda job: linear_probe(job.task, encoder=job.encoder)),
    "knn": _of_predictions(lambda job: knn(job.task, encoder=job.encoder)),
    "cross_validation": _of_predictions(
        lambda job: cross_validation(job.task, encoder=job.encoder, seed=job.plan.seed)
    ),
    "retrieval": _retrieval,
    "few_shot": lambda job: Outcome(few_shot(job.task, encoder=job.encoder)),
    "label_efficiency": lambda job: Outcome(label_efficiency(job.task, encoder=job.encoder)),
    "robustness": _robustness,
    "fine_tuning": _of_predictions(_fine_tuned),
}


def evaluate(
    encoders: Sequence[Embedder],
    manifest: Manifest,
    plan: Plan,
    cache: Path,
    *,
    workers: int = 0,
    unknown: Mapping[str, Sequence[np.ndarray]] | None = None,
    label_sets: LabelSets | None = None,
    spaces: Mapping[str, RetrievalSpace] | None = None,
) -> Evaluation:
    """Measures encoders on every label set of a manifest; what is in the cache is not measured again.

    Each pair of encoders is compared, in the order given. What cannot be measured (no test images, a single
    patient, an image that has been deleted) is named in the log and in `Evaluation.left_out`, and the rest of
    the evaluation continues.

    Args:
        encoders: what is measured; their names differ.
        manifest: the images with their labels and splits.
        plan: protocols and settings.
        cache: folder for the vectors and for what has been measured.
        workers: processes that read images ahead.
        unknown: for *unseen source*: images of unknown kinds as pixels, by kind.
        label_sets: for *unseen source*: which labels of several sources mean the same.
        spaces: for *retrieval space*: the space of each encoder that has one, by its name.

    Raises:
        EvaluationError: two encoders have the same name, there is no such column for subgroups, or nothing
            could be measured.
        ManifestError: no image can be read, or no label set has two classes to train on.
    """
    _check(encoders, manifest, plan)
    measured = _Measured()
    vectors = EmbeddingCache(cache / "vectors")
    for embedder in encoders:
        if UNSEEN_SOURCE_PROTOCOL in plan.protocols:
            sources = {"unknown": unknown, "label_sets": label_sets, "cache": vectors, "workers": workers}
            measured.unseen[embedder.config.name] = measure_unseen_sources(embedder, manifest, **sources)
        if plan.protocols == (UNSEEN_SOURCE_PROTOCOL,):
            continue
        embeddings = vectors.embed(embedder, manifest, workers=workers)
        measured.unreadable |= embeddings.broken
        if RETRIEVAL_SPACE_PROTOCOL in plan.protocols:
            name = embedder.config.name
            own = (spaces or {}).get(name)
            measured.spaces.append(measure_retrieval_spaces(embeddings, own, plan.spaces, encoder=name))
        if set(plan.protocols) <= set(_OF_ALL_SOURCES):
            continue
        jobs = [
            _Job(embedder, embeddings.manifest, task, protocol, plan, workers)
            for task, protocol in _planned(tasks_of(embeddings), plan.protocols)
        ]
        measured.run(jobs, ResultCache(cache / "results"))
    return measured.evaluation(plan)


@dataclass
class _Measured:
    """What was measured so far; see `Evaluation`."""

    results: list[Result] = field(default_factory=list)
    predictions: list[Predictions] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, UnseenSourceMetrics] = field(default_factory=dict)
    spaces: list[pd.DataFrame] = field(default_factory=list)

    def run(self, jobs: Sequence["_Job"], cache: ResultCache) -> None:
        """Adds what jobs measure."""
        results, predictions = _run(jobs, cache, self.left_out)
        self.results += results
        self.predictions += predictions

    def evaluation(self, plan: Plan) -> Evaluation:
        """Adds means over modalities and what compares encoders; raises EvaluationError where nothing was."""
        means = modality_means(self.predictions, resamples=plan.resamples, seed=plan.seed)
        results = [*self.results, *means]
        if not results and not self.unseen and not self.spaces:
            raise EvaluationError("nothing could be measured; the messages above say why.")
        tables = [to_long(each, plan.subgroups) for each in self.predictions]
        return Evaluation(
            to_frame(results),
            comparisons_frame(_compared(self.predictions, plan, self.left_out)),
            pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
            self.left_out,
            self.unreadable,
            self.unseen,
            pd.concat(self.spaces, ignore_index=True) if self.spaces else pd.DataFrame(),
        )


def _check(encoders: Sequence[Embedder], manifest: Manifest, plan: Plan) -> None:
    names = [embedder.config.name for embedder in encoders]
    if len(set(names)) < len(names):
        raise EvaluationError(
            f"two encoders have the same name ({', '.join(names)}); give one of them another name."
        )
    further = [*(str(name) for name in manifest.frame if name not in COLUMNS), "source"]
    if missing := [name for name in plan.subgroups if name not in further]:
        there = ", ".join(further)
        raise EvaluationError(f"the images have no column '{missing[0]}' for subgroups; there are: {there}.")


def _planned(tasks: Sequence[Task], protocols: Sequence[str]) -> list[tuple[Task, str]]:
    """Returns every task with every protocol; for retrieval also the tasks of each modality together."""
    planned = [(task, each) for task in tasks for each in protocols if each not in _OF_ALL_SOURCES]
    if "retrieval" in protocols:
        for modality in sorted({task.modality for task in tasks}):
            own = [task for task in tasks if task.modality == modality and "test" in task.splits]
            planned += [(modality_task(own), "retrieval")] if own else []
    return planned


def _run(
    jobs: Sequence[_Job], cache: ResultCache, left_out: dict[str, str]
) -> tuple[list[Result], list[Predictions]]:
    """Returns the outcome of every job, cached or computed, with the predictions measured."""
    results: list[Result] = []
    predictions: list[Predictions] = []
    bar = tqdm(jobs, desc=jobs[0].encoder, unit="job", disable=None)
    for job in bar:
        bar.set_postfix_str(job.title)
        with _continuing(job.title, left_out):
            outcome = _outcome(job, cache)
            results += outcome.results
            if outcome.predictions is not None:
                predicted = from_long(outcome.predictions, job.task)
                results += measure(predicted, resamples=job.plan.resamples, seed=job.plan.seed)
                predictions.append(predicted)
                results += _by_subgroup(predicted, job, left_out)
    return results, predictions


@contextmanager
def _continuing(title: str, left_out: dict[str, str]) -> Iterator[None]:
    """Notes an error that is the input's fault instead of raising it."""
    try:
        yield
    except MermedError as error:
        logger.warning("%s is left out: %s", title, error)
        left_out[title] = str(error)


def _outcome(job: _Job, cache: ResultCache) -> Outcome:
    plan = asdict(job.plan)
    settings = {name: plan[name] for name in _SETTINGS.get(job.protocol, ())}
    name = outcome_name(job.embedder, job.task, job.protocol, settings)
    outcome = cache.load(name)
    if outcome is None:
        outcome = PROTOCOLS[job.protocol](job)
        cache.save(name, outcome)
    return outcome


# Which settings of a plan change the outcome of a protocol.
_SETTINGS = {
    "cross_validation": ("seed",),
    "retrieval": ("resamples", "seed"),
    "robustness": ("severities", "resamples", "seed"),
    "fine_tuning": ("fine_tuning",),
}


def _by_subgroup(predictions: Predictions, job: _Job, left_out: dict[str, str]) -> list[Result]:
    results: list[Result] = []
    for column in job.plan.subgroups:
        if predictions.columns[column].notna().any():
            with _continuing(f"{job.title} by {column}", left_out):
                results += measure_subgroups(
                    predictions, column, resamples=job.plan.resamples, seed=job.plan.seed
                )
    return results


def _compared(predictions: Sequence[Predictions], plan: Plan, left_out: dict[str, str]) -> list[Comparison]:
    alike: dict[tuple[str, str], list[Predictions]] = {}
    for each in predictions:
        alike.setdefault((each.task, each.protocol), []).append(each)
    pairs = sum(math.comb(len(several), 2) for several in alike.values())
    draws = enough_draws(pairs, plan.resamples)
    comparisons: list[Comparison] = []
    for (task, protocol), several in tqdm(alike.items(), desc="comparisons", unit="task", disable=None):
        with _continuing(f"comparisons, {task}, {protocol}", left_out):
            comparisons += compare(*several, resamples=draws, seed=plan.seed)
    return corrected(comparisons)
