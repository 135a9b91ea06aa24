"""Fits the scope of every label set: which part of the body it is about, and how near its images lie."""

from collections.abc import Sequence

import numpy as np

from mermed_core.models.ood import OODDetector
from mermed_core.models.scopes import Scope

# Images that a new one is compared with.
REFERENCES = 400
# Share of the label set's own held-out images that are as likely without its scope as within.
_OUTSIDE = 0.02
# Images of a set can be nearly alike; another one of their kind need not be that near.
_LEAST_ROOM = 0.1


def fit_scope(
    task: str,
    region: str,
    detector: OODDetector,
    train: np.ndarray,
    sources: np.ndarray,
    held_out: np.ndarray,
    held_out_sources: np.ndarray,
) -> Scope:
    """Fits the scope of one label set.

    Where several sources have it, a held-out image is compared with those of the other sources: how near the
    images of another hospital lie is what a visitor's image is measured by.

    Args:
        task: the label set.
        region: see `Scope`.
        detector: whose `near` vectors are compared.
        train: (images, width) unit vectors of its training images, made without assuming a modality, mixed.
        sources: (images,) theirs.
        held_out: (others, width) the same of its held-out images; may be empty.
        held_out_sources: (others,) theirs.
    """
    near = detector.near(train)
    names = sorted(set(sources))
    share = max(1, REFERENCES // len(names))
    chosen = np.concatenate([np.flatnonzero(sources == name)[:share] for name in names])
    scope = Scope(task, region, near[chosen].astype(np.float16).astype(np.float32), 0.0, 1.0)
    similar = _held_out_similarities(scope, sources[chosen], detector.near(held_out), held_out_sources)
    if not len(similar):
        similar = scope.similarity(near)
    outside, median = np.quantile(similar, [_OUTSIDE, 0.5])
    limit = min(outside, median - _LEAST_ROOM)
    # At the median of its own images the odds of being within are e⁴, 55 to 1.
    return Scope(task, region, scope.references, float(limit), float((median - limit) / 4))


def _held_out_similarities(
    scope: Scope, sources: np.ndarray, near: np.ndarray, near_sources: np.ndarray
) -> np.ndarray:
    """Returns how near held-out images lie to the references, of other sources where there are others."""
    if not len(near):
        return np.empty(0)
    names = set(sources)
    if len(names) < 2:
        return scope.similarity(near)
    parts: Sequence[np.ndarray] = [
        Scope(scope.task, scope.region, scope.references[sources != name], 0.0, 1.0).similarity(
            near[near_sources == name]
        )
        for name in sorted(names)
        if (near_sources == name).any()
    ]
    return np.concatenate(parts)
