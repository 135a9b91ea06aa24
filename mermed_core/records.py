"""The few types that cross layers: what a case, a finding, a neighbour and an analysis are."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One image of a collection, without its pixels.

    Attributes:
        case_id: stable identifier, unique in its collection.
        modality: a key of `modalities.MODALITIES`.
        labels: the known labels, empty where the case is unlabelled.
        source: the data set it comes from.
        group: patient, lesion or tile of origin; cases of one group are never independent.
        split: train, val, test or "".
    """

    case_id: str
    modality: str
    labels: tuple[str, ...]
    source: str
    group: str
    split: str

    @property
    def label(self) -> str:
        """The labels as one text for people."""
        return ", ".join(self.labels) if self.labels else "unlabelled"


@dataclass(frozen=True)
class Finding:
    """A calibrated probability that an image belongs to one class of one label set.

    Attributes:
        task: the label set.
        label: the class.
        probability: calibrated, 0..1; the classes of a multi-label set do not sum to 1.
        relevance: 0..1, how much the image looks like those that the label set was made for: a head CT
            has little to say in a label set of lung nodules.
    """

    task: str
    label: str
    probability: float
    relevance: float = 1.0


@dataclass(frozen=True)
class Neighbour:
    """A case of the collection with its cosine similarity (-1..1) to the query."""

    case: Case
    similarity: float


@dataclass(frozen=True)
class MapPoint:
    """A position on the collection's two-dimensional map."""

    x: float
    y: float


@dataclass(frozen=True)
class Saliency:
    """Where the model looked for one class.

    Attributes:
        heat: (height, width) float32 in 0..1, of the size of the image, scaled by its own peak.
        peak: the raw maximum before scaling; near zero means that the map says little.
        task: the label set that was explained.
        label: the class that was explained.
        method: the name of the method, such as "Grad-CAM".
    """

    heat: np.ndarray
    peak: float
    task: str
    label: str
    method: str


@dataclass(frozen=True)
class Analysis:
    """Everything that the model says of one image.

    Attributes:
        modality: probability of each modality, by key, highest first.
        known: whether the image looks like anything that the model was trained on.
        gate: the reason for `known`, in words.
        findings: calibrated probabilities of the detected modality's label sets; empty where not known.
        neighbours: the most similar cases, most similar first.
        point: where the image falls on the collection's map, None without a map.
        model: name and fingerprint of the model.
    """

    modality: dict[str, float]
    known: bool
    gate: str
    findings: tuple[Finding, ...]
    neighbours: tuple[Neighbour, ...]
    point: MapPoint | None
    model: str

    def to_dict(self) -> dict[str, Any]:
        """Returns the analysis as plain values for JSON."""
        return {
            "modality": self.modality,
            "known": self.known,
            "gate": self.gate,
            "findings": [asdict(finding) for finding in self.findings],
            "neighbours": [
                {
                    "case_id": neighbour.case.case_id,
                    "similarity": neighbour.similarity,
                    "label": neighbour.case.label,
                    "modality": neighbour.case.modality,
                    "source": neighbour.case.source,
                }
                for neighbour in self.neighbours
            ],
            "map": None if self.point is None else [self.point.x, self.point.y],
            "model": self.model,
        }
