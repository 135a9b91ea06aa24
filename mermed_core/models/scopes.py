"""The scope of a label set: whether an image is of the kind that its head was fitted on.

Two things must hold: the image shows the part of the body that the label set is about, and it lies as near to
the label set's own training images as other images of theirs do. A head that is asked about anything else
answers with high confidence and means nothing.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import expit

from mermed_core.errors import ModelError
from mermed_core.files import write_file, write_json

SCOPES = "scopes.json"
NUMBERS = "scopes.safetensors"
_NEAREST = 5


@dataclass(frozen=True)
class Scope:
    """What images a label set is about.

    Attributes:
        task: the label set.
        region: class of the modality's region head that its images belong to, "" where it has none.
        references: (images, near) unit vectors of training images, see `OODDetector.near`.
        limit: similarity to them, −1..1, at which an image is as likely within the scope as not.
        spread: change of similarity that makes a factor of e in the odds.
    """

    task: str
    region: str
    references: np.ndarray
    limit: float
    spread: float

    def similarity(self, near: np.ndarray) -> np.ndarray:
        """Returns how near images (images, near) lie to the training images: (images,), −1..1."""
        similarities = near @ self.references.T
        count = min(_NEAREST, similarities.shape[1])
        return np.partition(similarities, -count, axis=1)[:, -count:].mean(axis=1)

    def relevance(self, near: np.ndarray, regions: dict[str, float]) -> float:
        """Returns how surely one image is within the scope, 0..1.

        Args:
            near: (near,) unit vector of the image.
            regions: probability of each region of the image's modality.
        """
        shown = regions.get(self.region, 0.0) if self.region else 1.0
        return float(shown * expit((self.similarity(near[None])[0] - self.limit) / self.spread))


def save_scopes(folder: Path, scopes: tuple[Scope, ...]) -> None:
    """Writes the scopes into an existing folder."""
    entries = [
        {"task": each.task, "region": each.region, "limit": each.limit, "spread": each.spread}
        for each in scopes
    ]
    references = {each.task: np.ascontiguousarray(each.references, np.float16) for each in scopes}
    with write_file(folder / NUMBERS) as staging:
        save_file(references, staging)
    write_json(folder / SCOPES, entries)


def load_scopes(folder: Path, near: int) -> tuple[Scope, ...]:
    """Reads the scopes of label sets, for vectors of length `near`.

    Raises:
        ModelError: they are missing, damaged or made for another detector.
    """
    try:
        entries = json.loads((folder / SCOPES).read_text(encoding="utf-8"))
        references = load_file(folder / NUMBERS)
        scopes = tuple(
            Scope(
                str(entry["task"]),
                str(entry["region"]),
                references[entry["task"]].astype(np.float32),
                float(entry["limit"]),
                float(entry["spread"]),
            )
            for entry in entries
        )
    except FileNotFoundError as error:
        raise ModelError(
            f"The model does not know the scope of its label sets ('{folder}' is incomplete); "
            "fit it again with mermed fit."
        ) from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"The scopes in '{folder}' are damaged: {error!r}.") from error
    if wrong := [scope.task for scope in scopes if scope.references.shape[1:] != (near,)]:
        raise ModelError(f"The scope of '{wrong[0]}' in '{folder}' does not fit its detector.")
    return scopes
