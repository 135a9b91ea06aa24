"""Linear heads on frozen embeddings: named classes in, calibrated probabilities out.

A model folder's heads/ holds them as heads.json (what each head distinguishes) and heads.safetensors.
"""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import expit, softmax

from mermed_core.errors import ModelError
from mermed_core.files import write_file, write_json
from mermed_core.metrics import conformal
from mermed_core.records import Likelihood

HEADS_FOLDER = "heads"
MODALITY_TASK = "modality"
# Says whether dark and light of a grey image are exchanged.
NEGATIVE_TASK = "negative"
NEGATIVE_CLASSES = ("as taken", "negative")
# How the region of a source begins that does not say which part of the body it shows.
UNNAMED_REGION = "source "
HEADS = "heads.json"
NUMBERS = "heads.safetensors"
_CALIBRATION = "calibration"
# What the words follow where no calibration says otherwise.
_LIKELY, _UNLIKELY = 0.9, 0.1
_MORE_LIKELY_THAN_NOT = 0.5


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
        calibration: by class, 1 − the probability of the class for held-out images that show it, a patient
            each, rising (`metrics.conformal`); empty for heads that were fitted before there was any.
        meanings: the class that a label of a source stands for, by SOURCE:LABEL.
    """

    task: str
    modality: str
    kind: str
    classes: tuple[str, ...]
    weight: np.ndarray
    bias: np.ndarray
    temperature: float
    training_images: int
    calibration: tuple[np.ndarray, ...] = ()
    meanings: dict[str, str] = field(default_factory=dict)

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """Returns calibrated logits (images, classes) of unit vectors (images, dim)."""
        return (vectors @ self.weight.T + self.bias) / self.temperature

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Returns probabilities (images, classes): softmax, or a sigmoid each if multilabel."""
        return to_probabilities(self.logits(vectors), self.kind)

    @cached_property
    def limits(self) -> np.ndarray:
        """1 − the probability at which a class becomes unlikely, (classes,).

        A conformal limit where the class has enough calibration cases, otherwise one for all.
        """
        scores = self.calibration or (np.empty(0),) * len(self.classes)
        limits = conformal.limits(scores, conformal.LEVEL)
        return np.where(np.isfinite(limits), limits, 1 - _UNLIKELY)

    def prediction_sets(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns which classes cannot be ruled out, (images, classes) bool.

        Of classes that exclude each other the most probable one never is: a set of none would say nothing.

        Args:
            probabilities: (images, classes).
        """
        held = conformal.prediction_sets(probabilities, self.limits)
        if self.kind == "multilabel":
            return held
        return held | (np.arange(len(self.classes)) == probabilities.argmax(axis=1)[:, None])

    def likelihoods(self, probabilities: np.ndarray) -> tuple[Likelihood, ...]:
        """Says in three words how likely each class is.

        Unlikely is what `prediction_sets` leaves out. Of classes that exclude each other one is likely where
        it is alone in the set, by its own limit, and more likely than not; of others, from 0.9.

        Args:
            probabilities: (classes,) of one image.
        """
        held = self.prediction_sets(probabilities[None])[0]
        likely = (1 - probabilities <= self.limits) & (probabilities >= _LIKELY)
        if self.kind != "multilabel":
            alone = held & (held.sum() == 1)
            likely = alone & (1 - probabilities <= self.limits) & (probabilities > _MORE_LIKELY_THAN_NOT)
        words = np.where(likely, Likelihood.LIKELY, np.where(held, Likelihood.POSSIBLE, Likelihood.UNLIKELY))
        return tuple(Likelihood(str(word)) for word in words)

    def class_of(self, source: str, labels: tuple[str, ...]) -> str:
        """Returns the class that a case of a source with some labels belongs to, "" for none or several."""
        known = {self.meanings[name] for each in labels if (name := f"{source}:{each}") in self.meanings}
        return known.pop() if len(known) == 1 else ""


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
        for name, scores in zip(head.classes, head.calibration, strict=False):
            numbers[f"{head.task}/{_CALIBRATION}/{name}"] = np.ascontiguousarray(scores, dtype=np.float32)
        entries.append(
            {
                "task": head.task,
                "modality": head.modality,
                "kind": head.kind,
                "classes": list(head.classes),
                "temperature": head.temperature,
                "training_images": head.training_images,
                **({"meanings": head.meanings} if head.meanings else {}),
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
    task, classes = str(entry["task"]), tuple(map(str, entry["classes"]))
    calibration = [numbers.get(f"{task}/{_CALIBRATION}/{name}") for name in classes]
    return Head(
        task=task,
        modality=str(entry["modality"]),
        kind=str(entry["kind"]),
        classes=classes,
        weight=numbers[f"{task}/weight"],
        bias=numbers[f"{task}/bias"],
        temperature=float(entry["temperature"]),
        training_images=int(entry["training_images"]),
        calibration=tuple(each for each in calibration if each is not None)
        if all(each is not None for each in calibration)
        else (),
        meanings={str(label): str(name) for label, name in entry.get("meanings", {}).items()},
    )
