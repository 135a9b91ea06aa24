"""Fits modality head and out-of-distribution detector, and asks them about sources and kinds left out.

What speaks for a known image is learned from many sources and from unknown images; how much each witness is
worth, where the limit lies and how sure the modality head may be is learned only from answers about sources
and kinds that had been left out: that is what images of other hospitals get.
"""

import logging
from dataclasses import dataclass, fields, replace

import numpy as np
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from mermed_core.fitting.linear_heads import fit_temperature
from mermed_core.fitting.principal_axes import balanced_weights, principal_axes
from mermed_core.models.heads import MODALITY_TASK, Head
from mermed_core.models.ood import WITNESSES, OODDetector, unit
from mermed_core.records import SYNTHETIC_PREFIX

logger = logging.getLogger(__name__)

RANK = 256  # coordinates that the regressions read
NEAR = 64  # of which these measure nearness
SUBSPACE = 48  # axes of one modality
REFERENCES = 150  # training images of a source that a new image is compared with
ASKED = 200  # images of a source that is left out
_MODALITY_PENALTY, _KNOWN_PENALTY, _WITNESS_PENALTY = 1.0, 0.3, 0.1
# Regressions read coordinates / deviation, brought to this length so that one penalty serves every rank.
_LENGTH = 4.0
# Weight of all unknown images together against all known ones.
_UNKNOWN_WEIGHT = 0.5
# How much a point of unknown images turned away counts against one of known images let pass.
_TURNED_AWAY_COUNTS = 1.0


@dataclass(frozen=True)
class KnownVectors:
    """Embeddings of images of the seven modalities, made without assuming a modality.

    Attributes:
        vectors: (images, width) unit vectors.
        modalities: (images,) keys.
        sources: (images,).
        classes: (images,) what each shows; only the grouping matters.
        original: (images,) whether it is an image as it came and not a changed copy.
        groups: (images,) patients, lesions or tiles of origin.
    """

    vectors: np.ndarray
    modalities: np.ndarray
    sources: np.ndarray
    classes: np.ndarray
    original: np.ndarray
    groups: np.ndarray

    def rows(self, chosen: np.ndarray) -> "KnownVectors":
        """Returns some of the images, by mask or positions."""
        return KnownVectors(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def joined(self, others: "KnownVectors") -> "KnownVectors":
        """Returns these images and others behind them."""
        return KnownVectors(
            *(
                np.concatenate([getattr(each, field.name) for each in (self, others)])
                for field in fields(self)
            )
        )


@dataclass(frozen=True)
class UnknownVectors:
    """Embeddings of images of none of the seven modalities.

    Attributes:
        vectors: (images, width) unit vectors.
        kinds: (images,).
        original: (images,) whether it is an image as it came and not a changed copy.
    """

    vectors: np.ndarray
    kinds: np.ndarray
    original: np.ndarray

    def rows(self, chosen: np.ndarray) -> "UnknownVectors":
        """Returns some of the images, by mask or positions."""
        return UnknownVectors(self.vectors[chosen], self.kinds[chosen], self.original[chosen])


@dataclass(frozen=True)
class Answers:
    """What was answered about images of one source or kind while it was left out.

    Attributes:
        witnesses: (images, witnesses).
        logits: (images, modalities) of the modality head, calibrated.
        modalities: (images,) keys of their modalities, "" for unknown kinds.
        groups: (images,) patients, lesions or tiles of origin; each image its own for unknown kinds.
    """

    witnesses: np.ndarray
    logits: np.ndarray
    modalities: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class FittedDetector:
    """A detector with its modality head and what both answered about everything left out.

    Attributes:
        detector: fitted on all sources and kinds.
        modality_head: the same.
        sources: by source.
        kinds: by unknown kind.
        scores: what the detector, weighed without it, gave a source or kind left out, by its name.
        thresholds: the limit that was chosen without it, by its name.
    """

    detector: OODDetector
    modality_head: Head
    sources: dict[str, Answers]
    kinds: dict[str, Answers]
    scores: dict[str, np.ndarray]
    thresholds: dict[str, float]


@dataclass(frozen=True)
class _LeftOut:
    """What is asked about, and the parts that were fitted without it."""

    detector: OODDetector
    vectors: np.ndarray
    logits: np.ndarray
    modalities: np.ndarray
    groups: np.ndarray

    def answers(self, temperature: float) -> Answers:
        logits = self.logits / temperature
        return Answers(self.detector.witnesses(self.vectors, logits), logits, self.modalities, self.groups)


def fit_detector(
    known: KnownVectors, unknown: UnknownVectors, held_out: KnownVectors, *, seed: int = 0
) -> FittedDetector:
    """Fits head and detector, and weighs the witnesses by what they say of sources and kinds left out.

    A modality of a single source is never asked about without it: nothing would be left to know it by. Where
    no source can be left out, held-out images of the same sources take the place.

    Args:
        known: training images of several sources, with changed copies, mixed.
        unknown: images of unknown kinds, with changed copies.
        held_out: images of the same sources that were not trained on.
        seed: of the sample of a source's images that are asked about.
    """
    detector, head = _fit_parts(known, unknown)
    sources = _without_one_source(known, unknown, head.classes, np.random.default_rng(seed))
    if not sources:
        sources = {name: _held_out(name, detector, head, held_out) for name in sorted(set(held_out.sources))}
    kinds = _without_one_kind(known, unknown, head.classes)
    temperature = _temperature(list(sources.values()), head.classes)
    known_answers = {name: each.answers(temperature) for name, each in sources.items()}
    unknown_answers = {name: each.answers(temperature) for name, each in kinds.items()}
    detector = _weighed(detector, known_answers, unknown_answers)
    scores, thresholds = _left_out_scores(detector, known_answers, unknown_answers)
    head = replace(head, temperature=temperature)
    return FittedDetector(detector, head, known_answers, unknown_answers, scores, thresholds)


def _without_one_source(
    known: KnownVectors, unknown: UnknownVectors, classes: tuple[str, ...], random: np.random.Generator
) -> dict[str, _LeftOut]:
    left_out = {}
    for name in tqdm(_sources_to_leave_out(known), desc="sources left out", unit="source", disable=None):
        detector, head = _fit_parts(known.rows(known.sources != name), unknown, classes)
        asked = known.rows(
            random.permutation(np.flatnonzero((known.sources == name) & known.original))[:ASKED]
        )
        logits = head.logits(asked.vectors)
        left_out[name] = _LeftOut(detector, asked.vectors, logits, asked.modalities, asked.groups)
    return left_out


def _held_out(name: str, detector: OODDetector, head: Head, held_out: KnownVectors) -> _LeftOut:
    asked = held_out.rows(held_out.sources == name)
    return _LeftOut(detector, asked.vectors, head.logits(asked.vectors), asked.modalities, asked.groups)


def _without_one_kind(
    known: KnownVectors, unknown: UnknownVectors, classes: tuple[str, ...]
) -> dict[str, _LeftOut]:
    left_out = {}
    for name in tqdm(sorted(set(unknown.kinds)), desc="kinds left out", unit="kind", disable=None):
        detector, head = _fit_parts(known, unknown.rows(unknown.kinds != name), classes)
        vectors = unknown.vectors[(unknown.kinds == name) & unknown.original]
        modalities = np.full(len(vectors), "")
        left_out[name] = _LeftOut(
            detector, vectors, head.logits(vectors), modalities, np.arange(len(vectors))
        )
    return left_out


def _sources_to_leave_out(known: KnownVectors) -> tuple[str, ...]:
    # Drawn images say nothing about other hospitals.
    real = ~np.char.startswith(known.sources, SYNTHETIC_PREFIX)
    modality_of = dict(zip(known.sources[real], known.modalities[real], strict=True))
    of_modality = list(modality_of.values())
    return tuple(sorted(name for name, key in modality_of.items() if of_modality.count(key) > 1))


def _fit_parts(
    known: KnownVectors, unknown: UnknownVectors, classes: tuple[str, ...] | None = None
) -> tuple[OODDetector, Head]:
    """Fits the witnesses, which are not weighed yet, and the modality head without its temperature."""
    weights = balanced_weights(known.modalities, known.sources)
    axes = principal_axes(known.vectors[known.original], weights[known.original], RANK)
    inside = (known.vectors - axes.mean) @ axes.basis.T
    beyond = (unknown.vectors - axes.mean) @ axes.basis.T
    scale = axes.deviations * np.sqrt(len(axes.deviations)) / _LENGTH
    classes = classes or tuple(sorted(set(known.modalities)))
    owners = np.searchsorted(classes, known.modalities)
    head = _modality_head(inside / scale, owners, weights, classes, int(known.original.sum()))
    head = replace(
        head,
        weight=((head.weight / scale) @ axes.basis).astype(np.float32),
        bias=(head.bias - head.weight / scale @ (axes.basis @ axes.mean)).astype(np.float32),
    )
    known_weight, known_bias = _known_against_unknown(inside / scale, beyond / scale, weights, unknown.kinds)
    whitening = _whitening(inside[known.original], known.classes[known.original], weights[known.original])
    near = len(whitening)
    chosen = _references(known)
    means, subspaces = _subspaces(inside, owners, known.sources, len(classes))
    none = np.zeros(len(WITNESSES), np.float32)
    detector = OODDetector(
        mean=axes.mean,
        basis=axes.basis.astype(np.float16).astype(np.float32),  # as it is stored
        scale=scale.astype(np.float32),
        known_weight=known_weight,
        known_bias=known_bias,
        whitening=whitening,
        references=unit(inside[chosen, :near] @ whitening),
        owners=owners[chosen],
        outliers=unit(beyond[:, :near] @ whitening),
        subspace_means=means,
        subspaces=subspaces,
        witness_mean=none,
        witness_scale=none + 1,
        witness_weight=none,
        witness_bias=none[:1],
        quantiles=np.zeros(101, np.float32),
        threshold=none[:1],
    )
    return detector, head


def _modality_head(
    coordinates: np.ndarray, owners: np.ndarray, weights: np.ndarray, classes: tuple[str, ...], images: int
) -> Head:
    weight = np.zeros((len(classes), coordinates.shape[1]), np.float32)
    bias = np.full(len(classes), -1e3, np.float32)  # a modality without images is never named
    there = np.unique(owners)
    if len(there) == 1:
        bias[there] = 0
    else:
        fitted = LogisticRegression(C=_MODALITY_PENALTY, max_iter=400, tol=1e-3)
        fitted.fit(coordinates, owners, sample_weight=weights)
        if len(there) == 2:  # scikit-learn gives one row for two classes
            weight[there] = np.concatenate([-fitted.coef_, fitted.coef_]) / 2
            bias[there] = np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2
        else:
            weight[there], bias[there] = fitted.coef_, fitted.intercept_
    return Head(MODALITY_TASK, "", "multiclass", classes, weight, bias, 1.0, images)


def _known_against_unknown(
    known: np.ndarray, unknown: np.ndarray, weights: np.ndarray, kinds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if not len(unknown):
        return np.zeros(known.shape[1], np.float32), np.zeros(1, np.float32)
    against = balanced_weights(kinds)
    against *= _UNKNOWN_WEIGHT * weights.sum() / against.sum()
    fitted = LogisticRegression(C=_KNOWN_PENALTY, max_iter=400, tol=1e-3).fit(
        np.concatenate([known, unknown]),
        np.repeat([1, 0], [len(known), len(unknown)]),
        sample_weight=np.concatenate([weights, against]),
    )
    return fitted.coef_[0].astype(np.float32), fitted.intercept_.astype(np.float32)


def _whitening(inside: np.ndarray, classes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns (near, near) that makes the pooled covariance within a class the identity."""
    near = inside[:, :NEAR]
    _, member, counts = np.unique(classes, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), near.shape[1]))
    np.add.at(sums, member, near)
    deviations = near - (sums / counts[:, None])[member]
    covariance = (deviations * weights[:, None]).T @ deviations / weights.sum()
    # Shrunk a little towards the sphere, so that few images still give a covariance that can be inverted.
    covariance += (0.01 * np.trace(covariance) / len(covariance) + 1e-12) * np.eye(len(covariance))
    return np.linalg.cholesky(np.linalg.inv(covariance)).astype(np.float32)


def _references(known: KnownVectors) -> np.ndarray:
    """Returns the positions of the first images of every source; the order is the caller's, mixed."""
    return np.concatenate(
        [np.flatnonzero(known.sources == name)[:REFERENCES] for name in np.unique(known.sources)]
    )


def _subspaces(
    inside: np.ndarray, owners: np.ndarray, sources: np.ndarray, modalities: int
) -> tuple[np.ndarray, np.ndarray]:
    means = np.zeros((modalities, inside.shape[1]), np.float32)
    own = np.zeros((modalities, min(SUBSPACE, inside.shape[1]), inside.shape[1]), np.float32)
    for owner in np.unique(owners):
        rows = owners == owner
        axes = principal_axes(inside[rows], balanced_weights(sources[rows]), own.shape[1])
        means[owner] = axes.mean
        own[owner, : len(axes.basis)] = axes.basis
    return means, own


def _temperature(left_out: list[_LeftOut], classes: tuple[str, ...]) -> float:
    """Returns the temperature at which the modality head is as sure of unseen sources as it is right."""
    if not left_out:
        return 1.0
    logits = np.concatenate([each.logits for each in left_out])
    truth = np.concatenate([each.modalities for each in left_out])
    return max(
        1.0, fit_temperature(logits, (truth[:, None] == np.array(classes)).astype(float), "multiclass")
    )


def _weighed(detector: OODDetector, known: dict[str, Answers], unknown: dict[str, Answers]) -> OODDetector:
    """Returns the detector with the witnesses weighed by what they said of these sources and kinds."""
    if not known or not unknown:
        return detector
    groups = [*known.values(), *unknown.values()]
    numbers = np.concatenate([answers.witnesses for answers in groups])
    truth = np.concatenate(
        [np.full(len(a.witnesses), name in known) for name, a in (known | unknown).items()]
    )
    shares = np.concatenate([np.full(len(a.witnesses), 1 / len(a.witnesses)) for a in groups])
    shares[truth] *= len(numbers) / 2 / len(known)
    shares[~truth] *= len(numbers) / 2 / len(unknown)
    mean, scale = numbers.mean(axis=0), np.maximum(numbers.std(axis=0), 1e-6)
    fitted = LogisticRegression(C=_WITNESS_PENALTY, max_iter=500)
    fitted.fit((numbers - mean) / scale, truth, sample_weight=shares)
    weighed = replace(
        detector,
        witness_mean=mean.astype(np.float32),
        witness_scale=scale.astype(np.float32),
        witness_weight=fitted.coef_[0].astype(np.float32),
        witness_bias=np.asarray(fitted.intercept_, np.float32),
    )
    of_known = [_scores(weighed, answers) for answers in known.values()]
    of_unknown = [_scores(weighed, answers) for answers in unknown.values()]
    each_source = np.stack([np.percentile(scores, np.arange(101)) for scores in of_known])
    threshold = _threshold(of_known, of_unknown)
    return replace(
        weighed,
        quantiles=each_source.mean(axis=0).astype(np.float32),
        threshold=np.array([threshold], np.float32),
    )


def _scores(detector: OODDetector, answers: Answers) -> np.ndarray:
    scaled = (answers.witnesses - detector.witness_mean) / detector.witness_scale
    return scaled @ detector.witness_weight + detector.witness_bias[0]


def _threshold(known: list[np.ndarray], unknown: list[np.ndarray]) -> float:
    """Returns the limit that lets most known images pass while it turns most unknown ones away."""
    candidates = np.unique(np.concatenate(known + unknown))
    passed = np.mean([1 - np.searchsorted(np.sort(each), candidates) / len(each) for each in known], axis=0)
    turned = np.mean([np.searchsorted(np.sort(each), candidates) / len(each) for each in unknown], axis=0)
    return float(candidates[np.argmax(passed + _TURNED_AWAY_COUNTS * turned)])


def _left_out_scores(
    detector: OODDetector, known: dict[str, Answers], unknown: dict[str, Answers]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Returns scores and limits of everything left out, weighed without its own answers.

    The answers of the only source or the only kind count in its own limit: without them there would be none.
    """
    scores, thresholds = {}, {}
    for name, answers in (known | unknown).items():
        others = [{key: each for key, each in part.items() if key != name} for part in (known, unknown)]
        weighed = _weighed(detector, *others)
        scores[name] = _scores(weighed, answers)
        thresholds[name] = float(weighed.threshold[0])
    return scores, thresholds
