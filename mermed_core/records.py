"""The values that rooms hand to each other: a case, an embedding, a finding, a neighbour, an analysis."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

RESEARCH_ONLY = "Research use only. Not a medical device; not for diagnosis, triage or treatment."


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
        """The labels as one line of text."""
        return ", ".join(self.labels) if self.labels else "unlabelled"


@dataclass(frozen=True)
class Finding:
    """A calibrated probability that an image belongs to one class of one label set.

    Attributes:
        task: the label set.
        label: the class.
        probability: calibrated, 0..1; the classes of a multi-label set do not sum to 1.
        relevance: 0..1, how much the image resembles those that the label set was made for: low for a head
            CT in a label set of lung nodules.
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
class Embedding:
    """One image as the model sees it: made once, then used for findings, neighbours and the map.

    Attributes:
        modality: probability of each modality, by key, highest first.
        chosen: key of the modality whose normalisation `vector` was made with: the one that a person named,
            otherwise the most probable.
        vector: (dim,) float32, unit norm.
        neutral: (dim,) float32, unit norm, made without assuming a modality; `modality` is read from it.
        notes: how the image was read, in sentences, such as the window that was chosen.
        header_modality: key of the modality that the DICOM header states, None where it states none.
    """

    modality: dict[str, float]
    chosen: str
    vector: np.ndarray
    neutral: np.ndarray
    notes: tuple[str, ...] = ()
    header_modality: str | None = None


@dataclass(frozen=True)
class Saliency:
    """Where the model looked for one class.

    Attributes:
        heat: (height, width) float32 in 0..1, of the size of the image, scaled by its own peak.
        peak: the maximum before scaling; near zero means that the map says little.
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
    """Everything that the model says about one image.

    Attributes:
        modality: probability of each modality, by key, highest first.
        in_distribution: whether the image resembles anything that the model was trained on.
        reason: why the image is in distribution or out of it, in a sentence.
        findings: calibrated probabilities of the chosen modality's label sets; empty where the image is out
            of distribution.
        neighbours: the most similar cases, most similar first.
        point: where the image falls on the collection's map, None without a collection.
        model: name and fingerprint of the model.
        notes: how the image was read, in sentences.
        header_modality: key of the modality that the DICOM header states, None where it states none.
    """

    modality: dict[str, float]
    in_distribution: bool
    reason: str
    findings: tuple[Finding, ...]
    neighbours: tuple[Neighbour, ...]
    point: MapPoint | None
    model: str
    notes: tuple[str, ...] = ()
    header_modality: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; the point is called `map`."""
        return {
            "modality": self.modality,
            "in_distribution": self.in_distribution,
            "reason": self.reason,
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
            "notes": list(self.notes),
            "header_modality": self.header_modality,
        }
