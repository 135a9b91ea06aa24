"""Out-of-distribution detection: how much speaks for an image being of one of the seven modalities.

Several weak witnesses, none of which is enough alone, are weighed against each other: a regression of known
against unknown images (outlier exposure, Hendrycks et al. 2019), how clearly one modality is ahead of the
others, how near the nearest training images of that modality lie, compared with the nearest unknown ones, and
how much of the embedding lies outside what images of that modality span. Their weights are learned on images
of sources and kinds that the witnesses had not seen, see `fitting.detector_fit`.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mermed_core.data.validation import KNOWN, UNKNOWN, UNUSUAL
from mermed_core.errors import ModelError
from mermed_core.files import write_file, write_json
from mermed_core.modalities import MODALITIES, in_sentence
from mermed_core.records import Familiarity

SETTINGS = "ood.json"
NUMBERS = "ood.safetensors"
WITNESSES = ("known", "margin", "nearest", "nearest_unknown", "outside_modality", "outside_all")
# A modality that is ahead by more than this in log-odds is as clear as it gets.
_CLEAR = 12.0
_NEAREST = 5
_NEAREST_UNKNOWN = 3
# Of the scores of held-out known images: below this share an image passes, but only just.
_DOUBTFUL = 0.1


@dataclass(frozen=True)
class OODDetector:
    """The fitted detector; coordinates are those of `mean` and `basis`.

    Attributes:
        mean: (width,) of the training embeddings.
        basis: (rank, width) orthonormal rows, their principal axes, the longest first.
        scale: (rank,) standard deviations of the coordinates.
        known_weight: (rank,) of the regression of known against unknown images, on coordinates / scale.
        known_bias: (1,).
        whitening: (near, near) makes the spread within a class the identity in the first `near` coordinates.
        references: (images, near) unit vectors of training images, whitened.
        owners: (images,) their modalities, as positions in the modality head's classes.
        outliers: (others, near) the same of unknown images; may be empty.
        subspace_means: (modalities, rank) of each modality's training images.
        subspaces: (modalities, own, rank) their principal axes.
        witness_mean: (witnesses,) of the numbers that are weighed.
        witness_scale: (witnesses,).
        witness_weight: (witnesses,).
        witness_bias: (1,).
        quantiles: (101,) scores of known images of other sources at 0, 1, … 100 %, rising.
        threshold: (1,) the score below which an image is turned away.
    """

    mean: np.ndarray
    basis: np.ndarray
    scale: np.ndarray
    known_weight: np.ndarray
    known_bias: np.ndarray
    whitening: np.ndarray
    references: np.ndarray
    owners: np.ndarray
    outliers: np.ndarray
    subspace_means: np.ndarray
    subspaces: np.ndarray
    witness_mean: np.ndarray
    witness_scale: np.ndarray
    witness_weight: np.ndarray
    witness_bias: np.ndarray
    quantiles: np.ndarray
    threshold: np.ndarray

    def scores(self, vectors: np.ndarray, modality_logits: np.ndarray) -> np.ndarray:
        """Returns how much speaks for images being of a known modality, as log-odds (images,).

        Args:
            vectors: (images, width) unit vectors, made without assuming a modality.
            modality_logits: (images, modalities) of the modality head.
        """
        witnesses = (self.witnesses(vectors, modality_logits) - self.witness_mean) / self.witness_scale
        return witnesses @ self.witness_weight + self.witness_bias[0]

    def passes(self, vectors: np.ndarray, modality_logits: np.ndarray) -> np.ndarray:
        """Returns which images (images,) count as of a known modality; see `scores`."""
        return self.scores(vectors, modality_logits) >= self.threshold[0]

    def kinds(self, vectors: np.ndarray, modality_logits: np.ndarray) -> np.ndarray:
        """Returns `KNOWN`, `UNUSUAL` or `UNKNOWN` for images (images,), as `judge` does; see `scores`."""
        scores = self.scores(vectors, modality_logits)
        known = np.where(self._below(scores) < _DOUBTFUL, UNUSUAL, KNOWN)
        return np.where(scores < self.threshold[0], UNKNOWN, known).astype(object)

    def _below(self, scores: np.ndarray) -> np.ndarray:
        """Returns the shares of held-out known images that have a lower score."""
        return np.searchsorted(self.quantiles, scores) / len(self.quantiles)

    def witnesses(self, vectors: np.ndarray, modality_logits: np.ndarray) -> np.ndarray:
        """Returns the numbers that are weighed, (images, witnesses) in the order of `WITNESSES`."""
        inside = (vectors - self.mean) @ self.basis.T
        outside = np.maximum(((vectors - self.mean) ** 2).sum(axis=1) - (inside**2).sum(axis=1), 1e-9)
        best = modality_logits.argmax(axis=1)
        near = self.near(vectors)
        similar = np.where(self.owners == best[:, None], near @ self.references.T, -1.0)
        own = inside - self.subspace_means[best]
        spanned = (np.einsum("nr,nor->no", own, self.subspaces[best]) ** 2).sum(axis=1)
        beside = np.maximum((own**2).sum(axis=1) - spanned, 0) + outside
        return np.column_stack(
            [
                (inside / self.scale) @ self.known_weight + self.known_bias[0],
                np.minimum(_margin(modality_logits), _CLEAR),
                _mean_of_highest(similar, _NEAREST),
                _mean_of_highest(near @ self.outliers.T, _NEAREST_UNKNOWN),
                np.log(beside),
                np.log(outside),
            ]
        )

    def near(self, vectors: np.ndarray) -> np.ndarray:
        """Returns unit vectors (images, near) in which the spread within a class counts alike everywhere."""
        count = len(self.whitening)
        return unit((vectors - self.mean) @ self.basis[:count].T @ self.whitening)

    def judge(
        self, vector: np.ndarray, modality_logits: np.ndarray, modality: str
    ) -> tuple[Familiarity, str]:
        """Returns how well the model knows images like one, and the reason in a sentence.

        Whether it is like what findings were learned on is another question, see `Scope`.

        Args:
            vector: (width,) unit vector, made without assuming a modality.
            modality_logits: (modalities,) of the modality head.
            modality: key of the most probable modality.
        """
        score = float(self.scores(vector[None], modality_logits[None])[0])
        name = in_sentence(MODALITIES[modality].name)
        below = float(self._below(np.array(score)))
        if score < self.threshold[0]:
            return Familiarity.UNKNOWN, (
                f"It resembles none of the seven kinds of image closely enough (the nearest is {name}). "
                "No findings are given: they would mean nothing."
            )
        if below < _DOUBTFUL:
            return Familiarity.UNUSUAL, (
                f"It is unusual for {name}: {1 - below:.0%} of images from other hospitals are recognised "
                "more clearly. Treat every result with caution; no finding is called likely."
            )
        return Familiarity.FAMILIAR, (
            f"It is recognised as {name} more clearly than {min(below, 0.99):.0%} of images from hospitals "
            "that the model had not seen."
        )


def unit(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors (images, dim) at unit norm, float32."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(norms, 1e-12)).astype(np.float32)


def save_detector(folder: Path, detector: OODDetector) -> None:
    """Writes the detector into an existing folder; what is large is stored in half precision."""
    arrays = {field.name: np.ascontiguousarray(getattr(detector, field.name)) for field in fields(detector)}
    halved = {name: arrays[name].astype(np.float16) for name in _HALVED}
    single = {name: each.astype(np.float32) for name, each in arrays.items() if name != "owners"}
    with write_file(folder / NUMBERS) as staging:
        save_file(single | halved | {"owners": detector.owners.astype(np.int64)}, staging)
    write_json(folder / SETTINGS, {"format": FORMAT, "witnesses": list(WITNESSES)})


FORMAT = 2
_HALVED = ("basis", "references", "outliers", "subspaces")


def load_detector(folder: Path, width: int) -> OODDetector:
    """Reads a detector for embeddings of length `width`.

    Raises:
        ModelError: the detector is missing, damaged, of another version or made for other vectors.
    """
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        if settings.get("format") != FORMAT or settings.get("witnesses") != list(WITNESSES):
            raise ModelError(
                f"The out-of-distribution detector in '{folder}' is of another version; "
                "fit it again with mermed fit."
            )
        arrays = load_file(folder / NUMBERS)
        arrays = {name: each.astype(np.float32) for name, each in arrays.items() if name != "owners"} | {
            "owners": arrays["owners"]
        }
        detector = OODDetector(**arrays)
    except FileNotFoundError as error:
        raise ModelError(
            f"The model has no out-of-distribution detector yet ('{folder}' is incomplete); "
            "fit it with mermed fit."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise ModelError(f"The out-of-distribution detector in '{folder}' is damaged: {error!r}.") from error
    if detector.basis.shape[1:] != (width,):
        raise ModelError(
            f"The out-of-distribution detector in '{folder}' does not fit vectors of length {width}."
        )
    return detector


def _margin(logits: np.ndarray) -> np.ndarray:
    """Returns by how much the highest of logits (images, classes) is ahead of the second."""
    if logits.shape[1] < 2:
        return np.full(len(logits), _CLEAR)
    highest = np.partition(logits, -2, axis=1)[:, -2:]
    return highest[:, 1] - highest[:, 0]


def _mean_of_highest(similarities: np.ndarray, count: int) -> np.ndarray:
    """Returns the mean (images,) of the highest of similarities (images, others), 0 without others."""
    count = min(count, similarities.shape[1])
    if not count:
        return np.zeros(len(similarities))
    return np.partition(similarities, -count, axis=1)[:, -count:].mean(axis=1)
