"""Linear heads on frozen embeddings: named classes in, calibrated probabilities out.

A model folder's heads/ holds them as heads.json (what each head distinguishes) and heads.safetensors.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import expit, softmax

from mermed_core.errors import ModelError
from mermed_core.files import write_file, write_json

HEADS_FOLDER = "heads"
MODALITY_TASK = "modality"
# Says whether dark and light of a grey image are exchanged.
NEGATIVE_TASK = "negative"
NEGATIVE_CLASSES = ("as taken", "negative")
# How the region of a source begins that does not say which part of the body it shows.
UNNAMED_REGION = "source "
HEADS = "heads.json"
NUMBERS = "heads.safetensors"


def region_task(modality: str) -> str:
    """Returns the name of the head that says which part of the body an image of a modality shows."""
    return f"region:{modality}"


@dataclass(frozen=True)
class Head:
    """One linear head.

    Attributes:
        task: the label set; `MODALITY_TASK`, `NEGATIVE_TASK` or `region_task(...)` for the heads that only
            sort images.
        modality: the modality whose embeddings it reads, "" for those that assume none.
        kind: multiclass, multilabel or ordinal.
        classes: names, in the order of the outputs.
        weight: (classes, dim) float32, acts on unit vectors.
        bias: (classes,) float32.
        temperature: divides the logits; fitted on held-out images.
        training_images: how many images it was fitted on.
    """

    task: str
    modality: str
    kind: str
    classes: tuple[str, ...]
    weight: np.ndarray
    bias: np.ndarray
    temperature: float
    training_images: int

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """Returns calibrated logits (images, classes) of unit vectors (images, dim)."""
        return (vectors @ self.weight.T + self.bias) / self.temperature

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Returns probabilities (images, classes): softmax, or a sigmoid each if multilabel."""
        return to_probabilities(self.logits(vectors), self.kind)


def to_probabilities(logits: np.ndarray, kind: str) -> np.ndarray:
    """Turns logits (images, classes) into probabilities as the kind of label set requires."""
    return expit(logits) if kind == "multilabel" else softmax(logits, axis=1)


@dataclass(frozen=True)
class HeadSet:
    """All heads of a model: those that sort images by modality, region or as negatives, and of findings."""

    heads: tuple[Head, ...]

    def get(self, task: str) -> Head:
        """Returns the head of a task.

        Raises:
            ModelError: there is none.
        """
        for head in self.heads:
            if head.task == task:
                return head
        raise ModelError(f"This model has no head '{task}'.")

    @property
    def findings(self) -> tuple[Head, ...]:
        """The heads that name findings, without those that only sort images."""
        return tuple(
            head
            for head in self.heads
            if head.task not in (MODALITY_TASK, NEGATIVE_TASK) and head.task != region_task(head.modality)
        )

    def negative(self, neutral: np.ndarray) -> float:
        """Returns how probably a grey image is a negative, from its vector (width,) made without a modality.

        0 where the model cannot tell.
        """
        head = next((each for each in self.heads if each.task == NEGATIVE_TASK), None)
        return float(head.probabilities(neutral[None])[0, 1]) if head else 0.0

    def regions(self, modality: str, vector: np.ndarray) -> dict[str, float]:
        """Returns how probable each part of the body is for a vector (width,) of a modality, highest first.

        Empty where the model tells none apart in this modality.
        """
        head = next((each for each in self.heads if each.task == region_task(modality)), None)
        if head is None:
            return {}
        shares = head.probabilities(vector[None])[0]
        return {head.classes[i]: float(shares[i]) for i in np.argsort(-shares, kind="stable")}


def save_heads(folder: Path, heads: HeadSet) -> None:
    """Writes the heads into an existing folder."""
    numbers: dict[str, np.ndarray] = {}
    entries = []
    for head in heads.heads:
        numbers[f"{head.task}/weight"] = np.ascontiguousarray(head.weight, dtype=np.float32)
        numbers[f"{head.task}/bias"] = np.ascontiguousarray(head.bias, dtype=np.float32)
        entries.append(
            {
                "task": head.task,
                "modality": head.modality,
                "kind": head.kind,
                "classes": list(head.classes),
                "temperature": head.temperature,
                "training_images": head.training_images,
            }
        )
    with write_file(folder / NUMBERS) as staging:
        save_file(numbers, staging)
    write_json(folder / HEADS, entries)


def load_heads(folder: Path, dim: int) -> HeadSet:
    """Reads heads that act on vectors of length `dim`.

    Raises:
        ModelError: the heads are missing, damaged or made for other vectors.
    """
    try:
        entries = json.loads((folder / HEADS).read_text(encoding="utf-8"))
        numbers = load_file(folder / NUMBERS)
        heads = HeadSet(tuple(_head(entry, numbers) for entry in entries))
    except FileNotFoundError as error:
        raise ModelError(
            f"The model has no heads yet ('{folder}' is incomplete); fit them with mermed fit."
        ) from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"The heads in '{folder}' are damaged: {error!r}.") from error
    for head in heads.heads:
        if head.weight.shape != (len(head.classes), dim) or head.bias.shape != (len(head.classes),):
            raise ModelError(f"The head '{head.task}' in '{folder}' does not fit vectors of length {dim}.")
    return heads


def _head(entry: dict, numbers: dict[str, np.ndarray]) -> Head:
    task = str(entry["task"])
    return Head(
        task=task,
        modality=str(entry["modality"]),
        kind=str(entry["kind"]),
        classes=tuple(map(str, entry["classes"])),
        weight=numbers[f"{task}/weight"],
        bias=numbers[f"{task}/bias"],
        temperature=float(entry["temperature"]),
        training_images=int(entry["training_images"]),
    )
