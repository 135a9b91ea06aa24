"""The share of images that no medical model should judge that is turned away as out of distribution."""

from collections.abc import Sequence

import numpy as np

from mermed_core.data.unknown_images import unknown_images, unknown_medical
from mermed_core.models.embedder import Embedder
from mermed_core.models.heads import Head
from mermed_core.models.ood import OODDetector


def rejection(
    embedder: Embedder, modality_head: Head, detector: OODDetector, images: Sequence[np.ndarray]
) -> float:
    """Returns the share of images (height, width, 3) that the detector turns away, NaN without images."""
    if not len(images):
        return float("nan")
    vectors = np.stack([embedder.embed(pixels, None) for pixels in images])
    return float(1 - np.mean(detector.passes(vectors, modality_head.logits(vectors))))


def rejection_by_kind(
    embedder: Embedder, modality_head: Head, detector: OODDetector, *, seed: int = 0
) -> dict[str, float]:
    """Returns the share turned away, 0..1, of every kind that comes with packages or can be drawn."""
    kinds = {**unknown_images(seed), "MR": unknown_medical()}
    return {kind: rejection(embedder, modality_head, detector, images) for kind, images in kinds.items()}
