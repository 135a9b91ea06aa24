"""Fits the scope of every label set: which part of the body it is about, and how near its images lie."""

from dataclasses import dataclass

import numpy as np

from mermed_core.models.ood import OODDetector
from mermed_core.models.scopes import Limit, Scope, similarity

# Images that a new one is compared with.
REFERENCES = 400
# Share of the label set's own held-out images that are as likely without its scope as within.
_OUTSIDE = 0.02
# Images of a set can be nearly alike; another one of their kind need not be that near.
_LEAST_ROOM = 0.1
_LEAST_LEAD = 0.02


@dataclass(frozen=True)
class SourceVectors:
    """Embeddings of images, made without assuming a modality, in no order.

    Attributes:
        vectors: (images, width) unit vectors.
        sources: (images,).
    """

    vectors: np.ndarray
    sources: np.ndarray

    def references(self, detector: OODDetector) -> "SourceVectors":
        """Returns some images, as many of every source where there are enough, as they are compared."""
        names = sorted(set(self.sources))
        share = max(1, REFERENCES // max(1, len(names)))
        chosen = [np.flatnonzero(self.sources == name)[:share] for name in names]
        rows = np.concatenate(chosen) if chosen else np.empty(0, int)
        near = detector.near(self.vectors[rows]) if len(rows) else np.empty((0, len(detector.whitening)))
        return SourceVectors(near.astype(np.float16).astype(np.float32), self.sources[rows])


def fit_scope(
    task: str,
    region: str,
    detector: OODDetector,
    train: SourceVectors,
    held_out: SourceVectors,
    others: SourceVectors,
) -> Scope:
    """Fits the scope of one label set.

    Where several sources have it, the nearness of a held-out image is taken to those of the other sources:
    how near the images of another hospital lie is what a visitor's image is measured by. Its lead over the
    others is not: few label sets have enough hospitals for that, and an image that looks more like those
    others had better get no finding.

    Args:
        task: the label set.
        region: see `Scope`.
        detector: whose `near` vectors are compared.
        train: its training images.
        held_out: its held-out images; may be none.
        others: training images of the same part of the body from sources without a label of the set; may be
            none.
    """
    own, other = train.references(detector), others.references(detector)
    asked = held_out if len(held_out.vectors) else train
    near = detector.near(asked.vectors)
    similar = similarity(near, own.vectors)
    elsewhere = similar
    if asked is held_out and len(set(own.sources)) > 1:
        elsewhere = _elsewhere(own, near, asked.sources)
    outside, median = np.quantile(elsewhere, [_OUTSIDE, 0.5])
    lead = _lead(similar - similarity(near, other.vectors)) if len(other.vectors) else None
    nearness = _limit(min(outside, median - _LEAST_ROOM), median)
    return Scope(task, region, own.vectors, nearness, other.vectors, lead)


def _lead(leads: np.ndarray) -> Limit:
    """Returns the limit of the lead of the label set's own images (images,) over the others.

    An image that lies nearer to the label set's images is always within.
    """
    outside, median = np.quantile(leads, [_OUTSIDE, 0.5])
    value = min(0.0, outside)
    return _limit(value, max(median, value + _LEAST_LEAD))


def _limit(value: float, median: float) -> Limit:
    """At the median of the label set's own images the odds of being within are e⁴, 55 to 1."""
    return Limit(float(value), float((median - value) / 4))


def _elsewhere(own: SourceVectors, near: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Returns how near images lie to the references of other sources than theirs."""
    return np.concatenate(
        [similarity(near[sources == name], own.vectors[own.sources != name]) for name in sorted(set(sources))]
    )
