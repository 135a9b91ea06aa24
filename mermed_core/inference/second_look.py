"""A second look: the answer on an image again, under small changes that leave what it shows as it is."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.predictor import Predictor
from mermed_core.records import Analysis, Embedding

# In these a mirrored image shows the same; elsewhere the heart or the liver would change sides.
_MIRRORED = ("dermatology", "fundus", "oct", "pathology", "ultrasound")
# A probability that moves by more is no number to lean on, even where the first class stays.
_STEADY = 0.25

Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SecondLook:
    """How far the probability of the first class of one label set moves, and what turns it over.

    Attributes:
        task: the label set.
        label: the class that was first.
        low: lowest probability, 0..1, of that class over the image and its changed copies.
        high: highest.
        copies: how many changed copies were looked at.
        turned: of each change that put another class first, its name and that class.
    """

    task: str
    label: str
    low: float
    high: float
    copies: int
    turned: tuple[tuple[str, str], ...]

    @property
    def stable(self) -> bool:
        """Whether the first class stays first and its probability moves by at most a quarter."""
        return not self.turned and self.high - self.low <= _STEADY


def second_look(
    predictor: Predictor, image: MedicalImage, embedding: Embedding, analysis: Analysis
) -> tuple[SecondLook, ...]:
    """Looks at changed copies of an image; a pass through the encoder for each.

    Args:
        predictor: answers.
        image: from `Predictor.read`.
        embedding: of the image.
        analysis: of the embedding.

    Returns:
        A look for each label set that has findings, in the order of the findings.
    """
    tasks = list(dict.fromkeys(finding.task for finding in analysis.findings))
    if not tasks:
        return ()
    changes = small_changes(embedding.chosen)
    vectors = [
        predictor.embed(
            replace(image, pixels=change(image.pixels)),
            modality=embedding.chosen,
            negative=embedding.negative,
        ).vector
        for change in changes.values()
    ]
    return tuple(
        _looked(predictor, task, np.stack([embedding.vector, *vectors]), list(changes)) for task in tasks
    )


def small_changes(modality: str) -> dict[str, Change]:
    """Returns the changes that leave what an image of a modality shows, by their names for people."""
    changes: dict[str, Change] = {
        "a border of 4% cut off": lambda pixels: _cropped(pixels, 0.04),
        "a border of 8% cut off": lambda pixels: _cropped(pixels, 0.08),
        "brighter": lambda pixels: _toned(pixels, 1.0, 18.0),
        "darker": lambda pixels: _toned(pixels, 1.0, -18.0),
        "a narrower window": lambda pixels: _toned(pixels, 1.15, 0.0),
        "a wider window": lambda pixels: _toned(pixels, 0.87, 0.0),
        "slightly smaller": lambda pixels: _resized(pixels, 0.7),
    }
    if modality in _MIRRORED:
        changes["mirrored"] = lambda pixels: np.ascontiguousarray(pixels[:, ::-1])
    return changes


def _looked(predictor: Predictor, task: str, vectors: np.ndarray, names: list[str]) -> SecondLook:
    """Returns the look at one label set; the first vector is of the image itself."""
    head = predictor.heads.get(task)
    shares = head.probabilities(vectors)
    first = int(shares[0].argmax())
    others = shares[1:].argmax(axis=1)
    turned = [
        (name, head.classes[other]) for name, other in zip(names, others, strict=True) if other != first
    ]
    own = shares[:, first]
    return SecondLook(
        task, head.classes[first], float(own.min()), float(own.max()), len(names), tuple(turned)
    )


def _cropped(pixels: np.ndarray, share: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    top, left = int(height * share), int(width * share)
    return np.ascontiguousarray(pixels[top : height - top, left : width - left])


def _toned(pixels: np.ndarray, contrast: float, brightness: float) -> np.ndarray:
    """Stretches grey values around the middle and adds to them."""
    return np.clip((pixels - 127.5) * contrast + 127.5 + brightness, 0, 255).astype(np.uint8)


def _resized(pixels: np.ndarray, share: float) -> np.ndarray:
    size = tuple(max(1, round(length * share)) for length in pixels.shape[1::-1])
    return np.asarray(Image.fromarray(pixels).resize((size[0], size[1]), Image.Resampling.BILINEAR))
