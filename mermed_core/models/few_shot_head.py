"""A head that somebody fitted on a few images of their own, and its file: a ZIP of JSON and safetensors.

It acts on retrieval vectors, which uploads and the cases of a collection have alike.
"""

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mermed_core.errors import FewShotError
from mermed_core.models.heads import Head
from mermed_core.records import RESEARCH_ONLY

FORMAT = 1
FACTS, NUMBERS = "head.json", "head.safetensors"
MOST_LABELS = 12
LONGEST_LABEL = 60
_TASK = "few_shot"
_MOST_BYTES = 4 * 2**20  # of either file; a head of 12 labels has some ten kilobytes
_DAMAGED = (
    "This is not a classifier that was saved here, or it is damaged. Choose the ZIP file as it was saved."
)


@dataclass(frozen=True)
class LeftOut:
    """How often a head is right about images that it was fitted without, each patient left out once.

    Attributes:
        right: images whose label came out.
        images: all of them.
        groups: patients, or images of which nothing is known; they count as independent.
        low: lower end of the 95 % interval of the share that is right.
        high: its upper end.
        guessing: share that somebody gets right who always names the most frequent label.
    """

    right: int
    images: int
    groups: int
    low: float
    high: float
    guessing: float

    @property
    def share(self) -> float:
        """Share of images that came out right."""
        return self.right / self.images

    @property
    def beats_guessing(self) -> bool:
        """Whether even the lower end of the interval is above what guessing gets."""
        return self.low > self.guessing


@dataclass(frozen=True)
class FewShotAnswer:
    """What a head of a few images says about one image.

    Attributes:
        probabilities: by label, highest first.
        familiar: whether the image is as near to a label's images as these are to each other; otherwise the
            probabilities say nothing.
        similarity: cosine similarity, −1..1, to the middle of the nearest label.
        reach: the similarity from which an image is familiar.
    """

    probabilities: dict[str, float]
    familiar: bool
    similarity: float
    reach: float

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {
            "probabilities": self.probabilities,
            "familiar": self.familiar,
            "similarity": self.similarity,
            "reach": self.reach,
        }


@dataclass(frozen=True)
class FewShotHead:
    """A linear head of a few images.

    Attributes:
        head: on retrieval vectors; its classes are the labels.
        fingerprint: of the model and the retrieval space whose vectors it reads.
        counts: images of each label, in the order of the classes.
        left_out: how good it is.
        centres: (labels, dim) float32, unit norm, the middle of each label's images.
        reach: the least similarity of an image to its label's middle, made without its patient.
    """

    head: Head
    fingerprint: str
    counts: tuple[int, ...]
    left_out: LeftOut
    centres: np.ndarray
    reach: float

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it tells apart."""
        return self.head.classes

    def answer(self, vector: np.ndarray) -> FewShotAnswer:
        """Says which label an image has, from its retrieval vector (dim,)."""
        shares = self.head.probabilities(vector[None])[0]
        order = np.argsort(-shares, kind="stable")
        similarity = float(np.max(self.centres @ vector))
        return FewShotAnswer(
            {self.labels[i]: float(shares[i]) for i in order},
            similarity >= self.reach,
            similarity,
            self.reach,
        )


class _LeftOutFacts(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    right: Annotated[int, Field(ge=0)]
    images: Annotated[int, Field(ge=1)]
    groups: Annotated[int, Field(ge=1)]
    low: Annotated[float, Field(ge=0, le=1)]
    high: Annotated[float, Field(ge=0, le=1)]
    guessing: Annotated[float, Field(ge=0, le=1)]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    format: int
    use: str
    made_for: str
    labels: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL)]],
        Field(min_length=2, max_length=MOST_LABELS),
    ]
    images: list[Annotated[int, Field(ge=1)]]
    temperature: Annotated[float, Field(gt=0)]
    reach: Annotated[float, Field(ge=-1, le=1)]
    left_out: _LeftOutFacts


def to_zip(head: FewShotHead) -> bytes:
    """Returns a head as the bytes of a ZIP file: what it is as JSON, its numbers as safetensors.

    It holds neither pixels nor the vectors of single images.
    """
    facts = {
        "format": FORMAT,
        "use": RESEARCH_ONLY,
        "made_for": head.fingerprint,
        "labels": list(head.labels),
        "images": list(head.counts),
        "temperature": head.head.temperature,
        "reach": head.reach,
        "left_out": vars(head.left_out),
    }
    arrays = {
        "weight": np.ascontiguousarray(head.head.weight, np.float32),
        "bias": np.ascontiguousarray(head.head.bias, np.float32),
        "centres": np.ascontiguousarray(head.centres, np.float32),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FACTS, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
        archive.writestr(NUMBERS, save(arrays))
    return buffer.getvalue()


def from_zip(data: bytes, fingerprint: str) -> FewShotHead:
    """Reads a head that `to_zip` wrote.

    Args:
        data: the bytes of the file.
        fingerprint: of the model and the retrieval space that answer here.

    Raises:
        FewShotError: the file is something else, damaged, or made for another model.
    """
    try:
        facts, arrays = _parts(data)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, SafetensorError, RuntimeError) as error:
        raise FewShotError(_DAMAGED) from error
    if facts.format != FORMAT:
        raise FewShotError(f"The classifier has format {facts.format}; this version reads format {FORMAT}.")
    if facts.made_for != fingerprint:
        raise FewShotError("The classifier was made with another model. Make it again with this one.")
    weight, bias, centres = (arrays.get(name, np.empty(0)) for name in ("weight", "bias", "centres"))
    count = len(facts.labels)
    fits = (
        weight.ndim == 2
        and weight.shape == centres.shape
        and weight.shape[0] == count == len(facts.images) == len(set(facts.labels))
        and bias.shape == (count,)
        and facts.left_out.right <= facts.left_out.images
        and all(np.isfinite(array).all() for array in (weight, bias, centres))
    )
    if not fits:
        raise FewShotError(_DAMAGED)
    stated = facts.left_out.model_dump()
    return FewShotHead(
        make_head(tuple(facts.labels), weight, bias, facts.temperature, sum(facts.images)),
        facts.made_for,
        tuple(facts.images),
        LeftOut(**stated),
        centres.astype(np.float32),
        facts.reach,
    )


def make_head(
    labels: tuple[str, ...], weight: np.ndarray, bias: np.ndarray, temperature: float, images: int
) -> Head:
    """Returns the linear part: weight (labels, dim), bias (labels,)."""
    return Head(
        _TASK,
        "",
        "multiclass",
        labels,
        weight.astype(np.float32),
        bias.astype(np.float32),
        temperature,
        images,
    )


def _parts(data: bytes) -> tuple[_Facts, dict[str, np.ndarray]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        read = {}
        for name in (FACTS, NUMBERS):
            with archive.open(name) as file:
                read[name] = file.read(_MOST_BYTES + 1)
            if len(read[name]) > _MOST_BYTES:
                raise ValueError("too large")
    try:
        return _Facts.model_validate_json(read[FACTS]), load(read[NUMBERS])
    except ValidationError as error:
        raise ValueError(str(error)) from error
