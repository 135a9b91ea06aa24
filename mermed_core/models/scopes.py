"""The scope of a label set: whether an image is of the kind that its head was fitted on.

Three things must hold: the image shows the part of the body that the label set is about, it lies as near to
the label set's own training images as other images of theirs do, and nearer to them than to images of the
same part of the body that have no label of the set. A head that is asked about anything else answers with
high confidence and means nothing.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import expit

from mermed_core.errors import ModelError
from mermed_core.files import write_file, write_json

SCOPES = "scopes.json"
NUMBERS = "scopes.safetensors"
# A label set whose scope the image is less surely in has nothing to say about it: a head CT shows no lungs.
WITHIN = 0.5
_NEAREST = 5
_OTHERS = ".others"


@dataclass(frozen=True)
class Limit:
    """Where a number stops to speak for an image.

    Attributes:
        value: at which the image is as likely within as not.
        spread: change of the number that makes a factor of e in the odds.
    """

    value: float
    spread: float

    def probability(self, number: float) -> float:
        """Returns how surely a number speaks for its image, 0..1."""
        return float(expit((number - self.value) / self.spread))


@dataclass(frozen=True)
class Scope:
    """What images a label set is about.

    Attributes:
        task: the label set.
        region: class of the modality's region head that its images belong to, "" where it has none.
        references: (images, near) unit vectors of training images, see `OODDetector.near`.
        nearness: of the similarity to them, −1..1.
        others: (images, near) the same of images of that part of the body without a label of the set; may be
            empty.
        lead: of the similarity to the references less that to the others, −2..2; None without others.
    """

    task: str
    region: str
    references: np.ndarray
    nearness: Limit
    others: np.ndarray
    lead: Limit | None

    def relevance(self, near: np.ndarray, regions: dict[str, float]) -> float:
        """Returns how surely one image is within the scope, 0..1.

        Args:
            near: (near,) unit vector of the image.
            regions: probability of each region of the image's modality.
        """
        shown = regions.get(self.region, 0.0) if self.region else 1.0
        similar = float(similarity(near[None], self.references)[0])
        relevance = shown * self.nearness.probability(similar)
        if self.lead is not None:
            relevance *= self.lead.probability(similar - float(similarity(near[None], self.others)[0]))
        return relevance


def similarity(near: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Returns how near images (images, near) lie to the nearest references: (images,), −1..1."""
    similarities = near @ references.T
    count = min(_NEAREST, similarities.shape[1])
    return np.partition(similarities, -count, axis=1)[:, -count:].mean(axis=1)


def save_scopes(folder: Path, scopes: tuple[Scope, ...]) -> None:
    """Writes the scopes into an existing folder."""
    numbers = {each.task: np.ascontiguousarray(each.references, np.float16) for each in scopes}
    numbers |= {
        each.task + _OTHERS: np.ascontiguousarray(each.others, np.float16)
        for each in scopes
        if each.lead is not None
    }
    with write_file(folder / NUMBERS) as staging:
        save_file(numbers, staging)
    write_json(folder / SCOPES, [_entry(each) for each in scopes])


def load_scopes(folder: Path, near: int) -> tuple[Scope, ...]:
    """Reads the scopes of label sets, for vectors of length `near`.

    Raises:
        ModelError: they are missing, damaged or made for another detector.
    """
    try:
        entries = json.loads((folder / SCOPES).read_text(encoding="utf-8"))
        numbers = load_file(folder / NUMBERS)
        scopes = tuple(_scope(entry, numbers, near) for entry in entries)
    except FileNotFoundError as error:
        raise ModelError(
            f"The model does not know the scope of its label sets ('{folder}' is incomplete); "
            "fit it again with mermed fit."
        ) from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"The scopes in '{folder}' are damaged: {error!r}.") from error
    fits = {scope.task: scope.references.shape[1:] == scope.others.shape[1:] == (near,) for scope in scopes}
    if wrong := [task for task, fit in fits.items() if not fit]:
        raise ModelError(f"The scope of '{wrong[0]}' in '{folder}' does not fit its detector.")
    return scopes


def _entry(scope: Scope) -> dict[str, Any]:
    entry = {
        "task": scope.task,
        "region": scope.region,
        "limit": scope.nearness.value,
        "spread": scope.nearness.spread,
    }
    if scope.lead is not None:
        entry |= {"lead": scope.lead.value, "lead_spread": scope.lead.spread}
    return entry


def _scope(entry: dict[str, Any], numbers: dict[str, np.ndarray], near: int) -> Scope:
    task, lead, others = str(entry["task"]), None, np.empty((0, near), np.float32)
    # Models that were fitted before 2026-11-29 know no others.
    if "lead" in entry:
        lead = Limit(float(entry["lead"]), float(entry["lead_spread"]))
        others = numbers[task + _OTHERS].astype(np.float32)
    nearness = Limit(float(entry["limit"]), float(entry["spread"]))
    return Scope(task, str(entry["region"]), numbers[task].astype(np.float32), nearness, others, lead)
