"""The out-of-distribution detector: does an image resemble anything that the model was trained on?

The score of a unit vector is its Mahalanobis distance to the nearest class of the training images inside
their principal subspace, per dimension (Lee et al. 2018), plus the part of it outside that subspace, relative
to what is usual (as in Wang et al. 2022, ViM). Each is about 1 for a known image. The covariance within a
class is the mean of that over all classes and that over the classes of its own modality: what varies within
one modality need not vary within another.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA

from mermed_core.errors import ModelError
from mermed_core.files import write_file, write_json
from mermed_core.modalities import MODALITIES
from mermed_core.search.neighbours import nearest

SETTINGS = "ood.json"
NUMBERS = "ood.safetensors"
_OLD_SETTINGS, _OLD_NUMBERS = "gate.json", "gate.safetensors"  # as the first models called them
# Share of unknown input that is rejected with 32 dimensions and the margin below: 0.936; with 40 0.951, with
# 48 and more 0.995 (docs/experiments.md).
DIMENSIONS = 64
# Weight of a class's own modality in the covariance; the rest is that of all classes.
OWN_SPREAD = 0.5
# Share of known images, each modality counting alike, that lie below the limit before the margin.
ACCEPTANCE = 0.98
# Images of another hospital lie farther out than held-out images of the same sets. A wider margin accepts
# more of them, but more unknown ones too: with 1.05 all of these are rejected, with 1.15 0.98 of them.
MARGIN = 1.1


@dataclass(frozen=True)
class OODDetector:
    """The fitted detector.

    Attributes:
        mean: (dim,) of the training vectors.
        basis: (rank, dim) orthonormal rows, the principal subspace.
        whitening: (modalities, rank, rank) makes the covariance within a class of each modality the identity.
        centres: (classes, rank) means of the classes.
        owners: (classes,) the modality of each, as a position in `whitening`.
        residual: mean squared length outside the subspace.
        quantiles: (101,) scores of known held-out images at 0, 1, … 100 %, rising.
        threshold: the score above which an image is out of distribution.
    """

    mean: np.ndarray
    basis: np.ndarray
    whitening: np.ndarray
    centres: np.ndarray
    owners: np.ndarray
    residual: float
    quantiles: np.ndarray
    threshold: float

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Returns how far unit vectors (images, dim) are from the training images; about 2 is usual."""
        inside, outside = _split(vectors, self.mean, self.basis)
        distances = [
            _distance_to_nearest(inside @ whitening, self.centres[self.owners == owner] @ whitening)
            for owner, whitening in enumerate(self.whitening)
        ]
        return np.min(distances, axis=0) / len(self.basis) + outside / self.residual

    def judge(self, vector: np.ndarray, modality: str) -> tuple[bool, str]:
        """Returns whether one unit vector (dim,) is in distribution, and the reason in a sentence."""
        score = float(self.scores(vector[None])[0])
        name = MODALITIES[modality].name
        if score > self.threshold:
            return False, (
                f"It lies {score / self.threshold:.1f} times as far from every training image as the limit "
                f"allows (the nearest kind is {name}). No findings are given: they would mean nothing."
            )
        if score > self.threshold / MARGIN:
            return True, (
                f"It lies farther from the training images than {ACCEPTANCE:.0%} of recognised images do: "
                "treat every result with caution."
            )
        nearer = 1 - float(np.searchsorted(self.quantiles, score)) / len(self.quantiles)
        return True, (
            "It lies as close to the training images as other recognised images do "
            f"(closer than {nearer:.0%} of them)."
        )


def fit_detector(
    vectors: np.ndarray,
    classes: np.ndarray,
    modalities: np.ndarray,
    held_out: np.ndarray,
    held_out_modalities: np.ndarray,
) -> OODDetector:
    """Fits the detector on embeddings of known images alone, without any example of unknown input.

    Args:
        vectors: (images, dim) unit vectors of training images.
        classes: (images,) what each shows; only the grouping matters.
        modalities: (images,) their modalities.
        held_out: (others, dim) unit vectors of known images that were not trained on.
        held_out_modalities: (others,) their modalities.
    """
    rank = min(DIMENSIONS, vectors.shape[1] - 1, (len(vectors) - 1) // 2)
    pca = PCA(rank, svd_solver="randomized", random_state=0).fit(vectors)
    mean, basis = np.asarray(pca.mean_, np.float32), np.asarray(pca.components_, np.float32)
    inside, outside = _split(vectors, mean, basis)
    names, modality = np.unique(modalities, return_inverse=True)
    pairs = np.stack([modality, np.unique(classes, return_inverse=True)[1]], axis=1)
    shown, member = np.unique(pairs, axis=0, return_inverse=True)
    centres = np.stack([inside[member == index].mean(axis=0) for index in range(len(shown))])
    deviations = inside - centres[member]
    pooled = _covariance(deviations)
    # Shrunk a little towards the sphere, so that few images still give a covariance that can be inverted.
    pooled += 0.01 * np.trace(pooled) / rank * np.eye(rank)
    own = [_covariance(deviations[modality == index]) for index in range(len(names))]
    whitening = np.stack([_whitening(OWN_SPREAD * each + (1 - OWN_SPREAD) * pooled) for each in own])
    residual = max(float(outside.mean()), 1e-12)
    detector = OODDetector(mean, basis, whitening, centres, shown[:, 0], residual, np.zeros(101), 0.0)
    quantiles = _balanced_quantiles(detector.scores(held_out), held_out_modalities)
    threshold = MARGIN * float(np.interp(ACCEPTANCE * 100, np.arange(101), quantiles))
    return replace(detector, quantiles=quantiles, threshold=threshold)


def save_detector(folder: Path, detector: OODDetector) -> None:
    """Writes the detector into an existing folder."""
    names = ("mean", "basis", "whitening", "centres", "quantiles")
    arrays = {name: np.ascontiguousarray(getattr(detector, name), np.float32) for name in names}
    with write_file(folder / NUMBERS) as staging:
        save_file(arrays | {"owners": np.ascontiguousarray(detector.owners, np.int64)}, staging)
    write_json(folder / SETTINGS, {"residual": detector.residual, "threshold": detector.threshold})


def load_detector(folder: Path, dim: int) -> OODDetector:
    """Reads a detector for vectors of length `dim`; the files' names of the first models are read too.

    Raises:
        ModelError: the detector is missing, damaged or made for other vectors.
    """
    old = not (folder / SETTINGS).is_file() and (folder / _OLD_SETTINGS).is_file()
    settings_file, numbers_file = (_OLD_SETTINGS, _OLD_NUMBERS) if old else (SETTINGS, NUMBERS)
    try:
        settings = json.loads((folder / settings_file).read_text(encoding="utf-8"))
        arrays = load_file(folder / numbers_file)
        if arrays and "owners" not in arrays:
            raise ModelError(
                f"The out-of-distribution detector in '{folder}' is of an earlier version; "
                "fit it again with mermed fit."
            )
        detector = OODDetector(
            **arrays,
            residual=float(settings["residual"]),
            threshold=float(settings["threshold"]),
        )
    except FileNotFoundError as error:
        raise ModelError(
            f"The model has no out-of-distribution detector yet ('{folder}' is incomplete); "
            "fit it with mermed fit."
        ) from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"The out-of-distribution detector in '{folder}' is damaged: {error!r}.") from error
    if detector.basis.shape[1:] != (dim,):
        raise ModelError(
            f"The out-of-distribution detector in '{folder}' does not fit vectors of length {dim}."
        )
    return detector


def _split(vectors: np.ndarray, mean: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns coordinates (images, rank) in the subspace and the squared length (images,) outside it."""
    centred = vectors - mean
    inside = centred @ basis.T
    return inside, np.maximum((centred**2).sum(axis=1) - (inside**2).sum(axis=1), 0)


def _distance_to_nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Returns the squared distance (images,) of points (images, rank) to the nearest of centres."""
    return nearest(points, centres, 1, metric="squared_distance")[0][:, 0]


def _covariance(deviations: np.ndarray) -> np.ndarray:
    return deviations.T @ deviations / len(deviations)


def _whitening(covariance: np.ndarray) -> np.ndarray:
    return np.linalg.cholesky(np.linalg.inv(covariance)).astype(np.float32)


def _balanced_quantiles(scores: np.ndarray, modalities: np.ndarray) -> np.ndarray:
    _, member, counts = np.unique(modalities, return_inverse=True, return_counts=True)
    weights = 1.0 / counts[member]
    order = np.argsort(scores)
    reached = np.cumsum(weights[order]) / weights.sum()
    return np.interp(np.linspace(0, 1, 101), reached, scores[order]).astype(np.float32)
