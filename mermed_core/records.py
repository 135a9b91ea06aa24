"""The values that rooms hand to each other: a case, an embedding, a finding, a neighbour, an analysis."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

RESEARCH_ONLY = "Research use only. Not a medical device; not for diagnosis, triage or treatment."


# AUROC in other sources' images from which a finding counts as shown to hold there.
HOLDS_FROM = 0.75
SYNTHETIC_PREFIX = "phantom_"  # how sources and label sets of drawn images begin
_DRAWN = "learned on computer-drawn images; of a patient's image it says nothing"
_ONE_HOSPITAL = "learned in one hospital's images; elsewhere it may read the camera"


class Familiarity(StrEnum):
    """How well the model knows images of this kind."""

    FAMILIAR = "familiar"
    """Of a modality, and like the images that its findings were learned on."""
    UNUSUAL = "unusual"
    """The same, but only just: nearly all known images are recognised more clearly."""
    UNLIKE = "unlike"
    """Of a modality, but unlike the images that any finding was learned on."""
    UNKNOWN = "unknown"
    """None of the seven modalities."""


class Likelihood(StrEnum):
    """How likely a class is, in the words that a person reads."""

    LIKELY = "likely"
    """The only class of its label set that cannot be ruled out."""
    POSSIBLE = "possible"
    """It cannot be ruled out."""
    UNLIKELY = "unlikely"
    """Images that show it rarely get so low a probability."""


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
        file: what the image's own file was called, "" where that is not kept.
        modality_told: whether the modality is the model's own answer, as nothing states it.
    """

    case_id: str
    modality: str
    labels: tuple[str, ...]
    source: str
    group: str
    split: str
    file: str = ""
    modality_told: bool = False

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
        relevance: 0..1, how surely the image is of the kind that the label set was fitted on: low for a head
            CT in a label set of lung nodules.
        elsewhere: AUROC of this finding on sources that a head was not fitted on, 0..1; None where only one
            source has the label, so that nobody knows.
        likelihood: of the class in three words; never likely where that was not shown to hold elsewhere.
        calibration_cases: patients whose images say from which probability on the class cannot be ruled out;
            None for a model that was fitted without any.
    """

    task: str
    label: str
    probability: float
    relevance: float = 1.0
    elsewhere: float | None = None
    likelihood: Likelihood = Likelihood.POSSIBLE
    calibration_cases: int | None = None

    @property
    def holds_elsewhere(self) -> bool:
        """Whether the finding was shown to hold in images of a source that its head had not seen."""
        return self.elsewhere is not None and self.elsewhere >= HOLDS_FROM

    @property
    def caution(self) -> str:
        """Why the finding is not to be believed in another hospital's images; "" where it holds there."""
        return "" if self.holds_elsewhere else caution_about([self])

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON, with what follows from `elsewhere`."""
        return {**asdict(self), "holds_elsewhere": self.holds_elsewhere, "caution": self.caution}


def caution_about(findings: Sequence[Finding]) -> str:
    """Returns why findings of one label set are not to be believed elsewhere, without a full stop.

    Args:
        findings: those that were not shown to hold elsewhere.
    """
    if findings[0].task.startswith(SYNTHETIC_PREFIX):
        return _DRAWN
    measured = sorted(finding.elsewhere for finding in findings if finding.elsewhere is not None)
    if not measured:
        return _ONE_HOSPITAL
    times, aurocs = ([form.format(auroc) for auroc in measured] for form in ("{:.0%}", "{:.2f}"))
    sentence = (
        f"of two images from another hospital it picked the one with the finding only {_span(times)} of the "
        f"time, where guessing gets 50% (AUROC {_span(aurocs)})"
    )
    return sentence if len(measured) == len(findings) else f"{sentence}; the rest was {_ONE_HOSPITAL}"


def _span(rising: Sequence[str]) -> str:
    return rising[0] if rising[0] == rising[-1] else f"{rising[0]} to {rising[-1]}"


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
        vector: (width,) float32, unit norm, what heads read.
        neutral: (width,) float32, unit norm, made without assuming a modality; `modality` is read from it.
        retrieval: (dim,) float32, unit norm, in the space in which images are compared.
        notes: how the image was read, in sentences, such as the window that was chosen.
        header_modality: key of the modality that the DICOM header states, or its tag where that is none of
            the seven, such as "MR"; None where it states neither.
        negative: whether the image was taken for a negative, and embedded with dark and light exchanged.
    """

    modality: dict[str, float]
    chosen: str
    vector: np.ndarray
    neutral: np.ndarray
    retrieval: np.ndarray
    notes: tuple[str, ...] = ()
    header_modality: str | None = None
    negative: bool = False


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
        familiarity: how well the model knows images of this kind.
        reason: which images it was compared with and why that decided, in a sentence.
        findings: calibrated probabilities of the label sets that were fitted on images of this kind; empty
            where there is none.
        neighbours: the most similar cases, most similar first.
        point: where the image falls on the collection's map, None without a collection.
        model: name and fingerprint of the model.
        notes: how the image was read, in sentences.
        header_modality: key of the modality that the DICOM header states, or its tag where that is none of
            the seven, such as "MR"; None where it states neither.
        region: the part of the body that the image most probably shows, such as "chest"; "" where the model
            distinguishes none in this modality.
        region_probability: of that region, 0..1.
    """

    modality: dict[str, float]
    familiarity: Familiarity
    reason: str
    findings: tuple[Finding, ...]
    neighbours: tuple[Neighbour, ...]
    point: MapPoint | None
    model: str
    notes: tuple[str, ...] = ()
    header_modality: str | None = None
    region: str = ""
    region_probability: float = 0.0

    @property
    def in_distribution(self) -> bool:
        """Whether the image is of one of the seven modalities."""
        return self.familiarity is not Familiarity.UNKNOWN

    @property
    def gives_findings(self) -> bool:
        """Whether the image is of a kind that findings are given of."""
        return self.familiarity in (Familiarity.FAMILIAR, Familiarity.UNUSUAL)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; the point is called `map`."""
        return {
            "modality": self.modality,
            "familiarity": str(self.familiarity),
            "in_distribution": self.in_distribution,
            "region": self.region,
            "region_probability": self.region_probability,
            "reason": self.reason,
            "findings": [finding.to_dict() for finding in self.findings],
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
