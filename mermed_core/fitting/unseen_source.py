"""The measure *unseen source*: what is answered about images of a source that nothing was fitted on."""

from collections.abc import Mapping, Sequence

import numpy as np
from tqdm import tqdm

from mermed_core.data.manifest import LabelSet
from mermed_core.fitting.detector_fit import Answers, FittedDetector
from mermed_core.fitting.linear_heads import Labelled, fit_head
from mermed_core.metrics.bootstrap import interval, resample
from mermed_core.metrics.scores import auroc_by_class
from mermed_core.models.model_metrics import (
    Estimate,
    FindingMetrics,
    KindMetrics,
    SourceMetrics,
    UnseenSourceMetrics,
)

CONFIDENT = 0.9
_RESAMPLES = 1000
# Images of a source that a head is fitted on while another source is left out, and the penalty that it takes.
_IMAGES, _PENALTIES = 800, (0.3,)


def unseen_source_metrics(
    fitted: FittedDetector, findings: Mapping[str, dict[str, FindingMetrics]]
) -> UnseenSourceMetrics:
    """Returns the measure with 95 % intervals, from whole groups of a source, of means from whole sources.

    Args:
        fitted: the detector with what it answered about everything left out.
        findings: from `findings_elsewhere`, by label set.
    """
    sources = {name: _of_source(name, answers, fitted) for name, answers in fitted.sources.items()}
    kinds = {name: _of_kind(name, answers, fitted) for name, answers in fitted.kinds.items()}
    return UnseenSourceMetrics(
        modality_right=_mean([each.modality_right for each in sources.values()]),
        passed=_mean([each.passed for each in sources.values()]),
        confident_wrong=_mean([each.confident_wrong for each in sources.values()]),
        unknown_turned_away=_mean(list(kinds.values())),
        sources=sources,
        kinds=kinds,
        findings={task: each for task, each in findings.items() if each},
    )


def _of_source(name: str, answers: Answers, fitted: FittedDetector) -> SourceMetrics:
    classes = np.array(fitted.modality_head.classes)
    right = classes[answers.logits.argmax(axis=1)] == answers.modalities
    sure = _highest_probability(answers.logits) > CONFIDENT
    passed = fitted.scores[name] >= fitted.thresholds[name]
    return SourceMetrics(
        modality=str(answers.modalities[0]),
        images=len(right),
        modality_right=_share(right, answers.groups),
        passed=_share(passed, answers.groups),
        confident_wrong=_share(~right & sure, answers.groups),
    )


def _of_kind(name: str, answers: Answers, fitted: FittedDetector) -> KindMetrics:
    share = _share(fitted.scores[name] < fitted.thresholds[name], answers.groups)
    return KindMetrics(**share.model_dump(), images=len(answers.groups))


def _highest_probability(logits: np.ndarray) -> np.ndarray:
    return 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)


def findings_elsewhere(
    label_set: LabelSet,
    data: Labelled,
    sources: np.ndarray,
    *,
    original: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, FindingMetrics]:
    """Returns how well each class is told apart in sources that a head was not fitted on.

    One source at a time is left out, a head fitted on the others, and its AUROC measured for every class that
    both the others have and the source shows beside another one. A class that no source can tell is left out.

    Args:
        label_set: task, kind and classes, in the order of the targets' columns.
        data: its images of all sources and splits.
        sources: (images,) theirs.
        original: (images,) whether each is an image as it came: only these are asked about, while changed
            copies are fitted on as well. None where there are no copies.
        seed: of the sample and the bootstrap.
    """
    random = np.random.default_rng(seed)
    original = np.ones(len(data), bool) if original is None else original
    aurocs: dict[str, dict[str, float]] = {}
    draws: dict[str, list[np.ndarray]] = {}
    names = sorted(set(sources))
    for left_out in tqdm(names if len(names) > 1 else (), desc=label_set.task, unit="source", disable=None):
        asked = data.rows(np.flatnonzero((sources == left_out) & original))
        others = _some_of_the_others(sources, original, left_out, random)
        head_classes, probabilities = _answers(label_set, data.rows(others), asked.vectors)
        for name in head_classes:
            column = label_set.classes.index(name)
            target, share = asked.targets[:, [column]], probabilities[name][:, None]
            if 0 < target.sum() < len(target):
                once = np.ones((1, len(target)))
                aurocs.setdefault(name, {})[left_out] = float(auroc_by_class(target, share, once)[0, 0])
                drawn = resample(
                    lambda weights, target=target, share=share: auroc_by_class(target, share, weights),
                    asked.groups,
                    _RESAMPLES,
                    seed,
                )
                draws.setdefault(name, []).append(drawn[:, 0])
    return {
        name: FindingMetrics(
            auroc=_estimate(float(np.mean(list(by_source.values()))), _mean_draws(draws[name])),
            sources=tuple(by_source),
        )
        for name, by_source in aurocs.items()
    }


def _some_of_the_others(
    sources: np.ndarray, original: np.ndarray, left_out: str, random: np.random.Generator
) -> np.ndarray:
    """Returns positions of at most so many images, and so many copies, of each source but one."""
    return np.concatenate(
        [
            random.permutation(np.flatnonzero((sources == name) & (original == kind)))[:_IMAGES]
            for name in sorted(set(sources) - {left_out})
            for kind in (True, False)
        ]
    )


def _answers(
    label_set: LabelSet, data: Labelled, asked: np.ndarray
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Fits a head and returns its classes with their probabilities for other images (images, dim)."""
    columns = np.flatnonzero(data.targets.sum(axis=0) > 0)
    if len(columns) < 2:
        return (), {}
    classes = tuple(label_set.classes[column] for column in columns)
    train = data.columns(columns)
    nothing = train.rows(np.arange(0))
    head = fit_head(
        LabelSet(label_set.task, label_set.kind, classes), "", train, nothing, penalties=_PENALTIES
    )
    return classes, dict(zip(classes, head.probabilities(asked).T, strict=True))


def _share(outcomes: np.ndarray, groups: np.ndarray) -> Estimate:
    """Returns the share of outcomes (images,) that are true."""
    values = outcomes.astype(float)
    drawn = resample(lambda weights: weights @ values / weights.sum(axis=1), groups, _RESAMPLES, 0)
    return _estimate(float(values.mean()), drawn)


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """Returns the mean of what is known of several sources or kinds, each counting alike."""
    values = np.array([each.value for each in estimates if each.value is not None])
    if not len(values):
        return Estimate()
    drawn = resample(
        lambda weights: weights @ values / weights.sum(axis=1), np.arange(len(values)), _RESAMPLES, 0
    )
    return _estimate(float(values.mean()), drawn)


def _mean_draws(draws: list[np.ndarray]) -> np.ndarray:
    """Returns the mean over sources of draws (draws,); a source without an interval leaves it undefined."""
    return np.full(1, np.nan) if any(len(each) == 1 for each in draws) else np.mean(draws, axis=0)


def _estimate(value: float, drawn: np.ndarray) -> Estimate:
    low, high = interval(drawn)
    return Estimate(value=value, low=low, high=high)
