"""The facade that serving uses: an image is embedded once, and every question is answered from that."""

import logging
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from mermed_core.collections.closeness import Closeness
from mermed_core.collections.collection import Collection, Neighbours
from mermed_core.collections.pictures import Pictures
from mermed_core.collections.store import load_collection
from mermed_core.data.manifest import LabelSet
from mermed_core.device import describe
from mermed_core.errors import CollectionError, ModelError
from mermed_core.imaging.reader import MedicalImage, read_image
from mermed_core.inference import negatives
from mermed_core.inference.refinement import NO_MARKS, Marks, nearest_refined
from mermed_core.inference.saliency import Explainer
from mermed_core.modalities import modality_key
from mermed_core.models.cam import DEFAULT, METHODS
from mermed_core.models.embedder import Embedder
from mermed_core.models.fitted_parts import FittedParts
from mermed_core.models.heads import MODALITY_TASK, UNNAMED_REGION, Head, HeadSet
from mermed_core.models.model_folder import read_card
from mermed_core.models.model_metrics import METRICS, ModelMetrics
from mermed_core.models.scopes import WITHIN
from mermed_core.records import (
    Analysis,
    Embedding,
    Familiarity,
    Finding,
    Likelihood,
    MapPoint,
    Saliency,
)
from mermed_core.search.filters import EVERYTHING, Filter
from mermed_core.search.milvus_server import MilvusServer

__all__ = ["Embedding", "Filter", "LabelSet", "MedicalImage", "Predictor"]

logger = logging.getLogger(__name__)

_CHANCE = 0.5  # AUROC of guessing
# Share of the image below which the picture within its frame is worth a sentence; dark margins never are.
_FRAMED = 0.9
_FRAME = "The frame around the picture, such as its border or a viewer's window, was left out."
_NO_COLLECTION = "No collection is loaded; build one with mermed collect."
_UNLIKE = (
    "It is unlike the images that any finding was learned on: another part of the body, another device "
    "or another way of showing it."
)


class Predictor:
    """A model folder and, where given, a collection, ready to answer; thread-safe.

    Attributes:
        embedder, parts: the encoder, and what was fitted on it.
        model_name: name and fingerprint for people.
        card: the model card in Markdown, without its front matter.
        metrics: what was measured of the model; empty where nothing was.
        collection: the known cases that images are compared with, or None.
        explored: the same, or a collection whose vectors another encoder made, so that no image can be
            compared with its cases.
        device: where the encoder runs, in words.
    """

    def __init__(
        self,
        embedder: Embedder,
        parts: FittedParts,
        collection: Collection | None,
        *,
        card: str = "",
        metrics: ModelMetrics | None = None,
        missing: str = "",
    ) -> None:
        self.embedder = embedder
        self.parts = parts
        if collection is not None and not collection.foreign and not self.made(collection):
            raise CollectionError(
                f"The collection '{collection.name}' was made by another model; build it again with this one."
            )
        self._explainer = Explainer(embedder)
        self.explored = collection
        self.collection = None if collection is not None and collection.foreign else collection
        self.card = card
        self._missing = missing or _NO_COLLECTION
        self.metrics = metrics or ModelMetrics()
        self.model_name = f"{embedder.config.name} {embedder.fingerprint[:8]}"
        self.device = describe(embedder.device)

    @classmethod
    def load(
        cls,
        model: Path,
        collection: Path | None = None,
        *,
        pictures: Pictures | None = None,
        server: MilvusServer | None = None,
    ) -> Self:
        """Loads a model folder with its heads, and a collection made by the same model.

        Args:
            model: the model folder.
            collection: the collection's folder, None for none.
            pictures: where the pictures of cases can be had that the collection itself has none of.
            server: searches the collection instead of this process.

        Raises:
            ModelError: the model is missing, incomplete or damaged.
            CollectionError: the collection is, or another model made it.
            SearchServerError: the server does not answer, or holds something else than the collection.
        """
        embedder = Embedder.load(model)
        return cls(
            embedder,
            FittedParts.load(model, embedder.backbone.dim),
            load_collection(collection, pictures=pictures, server=server) if collection else None,
            card=read_card(model),
            metrics=ModelMetrics.load(model / METRICS),
        )

    @property
    def tasks(self) -> tuple[LabelSet, ...]:
        """The label sets that this model has heads for."""
        return tuple(LabelSet(head.task, head.kind, head.classes) for head in self.parts.heads.findings)

    @property
    def heads(self) -> HeadSet:
        """The heads, with what their classes mean in the collection and what they were calibrated on."""
        return self.parts.heads

    @cached_property
    def closeness(self) -> Closeness | None:
        """What a similarity means in the collection; measured when it is first wanted, None without one."""
        return Closeness.of(self.collection) if self.collection else None

    def made(self, collection: Collection) -> bool:
        """Returns whether this model made a collection's vectors, so that they can be compared."""
        return collection.fingerprint == self.fingerprint

    @property
    def no_collection(self) -> str:
        """Why images are compared with no cases, as a sentence; "" where they are."""
        return self._missing if self.explored is None else self.explored.foreign

    @property
    def fingerprint(self) -> str:
        """What identifies the vectors in which images are compared: of the encoder and the projection."""
        return self.parts.space.fingerprint(self.embedder.fingerprint)

    def read(self, source: bytes | Path, frame: int = 0, *copies: bytes | Path) -> MedicalImage:
        """Reads an image file and, of a slide, smaller copies; see `read_image`, also for what it raises."""
        return read_image(source, frame=frame, copies=copies)

    def embed(
        self,
        image: MedicalImage,
        *,
        modality: str | None = None,
        earlier: Embedding | None = None,
        negative: bool | None = None,
    ) -> Embedding:
        """Embeds an image: one pass that detects the modality, one with that modality's normalisation.

        Args:
            image: from `read`.
            modality: name of the modality where the person knows it; None takes the most probable.
            earlier: embedding of the same image, whose passes are not repeated.
            negative: whether it is one, where that is known of the picture that it is a part or a copy of.

        Raises:
            UnknownModalityError: the name is no modality.
        """
        named = modality_key(modality) if modality else None
        first = self._first_pass(image, negative) if earlier is None else earlier
        chosen = named or next(iter(first.modality))
        if first.chosen == chosen:
            return first
        vector = first.neutral
        if not self.embedder.preprocessing_is_shared:
            vector = self.embedder.embed(negatives.as_taken(image.pixels, first.negative), chosen)
        retrieval = self.parts.space.project(vector[None])[0]
        return replace(first, chosen=chosen, vector=vector, retrieval=retrieval)

    def _first_pass(self, image: MedicalImage, negative: bool | None) -> Embedding:
        """Embeds an image without assuming a modality; a negative with dark and light exchanged."""
        neutral, negative = self._neutral(image.pixels, negative)
        notes = image.notes
        if negative:
            notes = (*notes, negatives.SAID)
        box = self.embedder.config.preprocessing.picture(image.pixels)
        framed = box.height * box.width < _FRAMED * image.pixels.shape[0] * image.pixels.shape[1]
        if framed and not box.frame_is_dark(image.pixels):
            notes = (*notes, _FRAME)
        return Embedding(
            self._modality(neutral), "", neutral, neutral, neutral, notes, image.header_modality, negative
        )

    def _neutral(self, pixels: np.ndarray, negative: bool | None = None) -> tuple[np.ndarray, bool]:
        """Returns the vector made without assuming a modality, and whether the image is a negative."""
        embed, probability = self.embedder.embed, self.parts.heads.negative
        return negatives.embed_as_taken(pixels, lambda shown: embed(shown, None), probability, negative)

    def analyse(self, image: MedicalImage | Embedding, *, neighbours: int = 8) -> Analysis:
        """Says everything about one image.

        Args:
            image: from `read`, or its embedding.
            neighbours: how many similar cases to find.
        """
        embedding = self._embedded(image)
        logits = self.parts.heads.get(MODALITY_TASK).logits(embedding.neutral[None])[0]
        recognised = next(iter(embedding.modality))
        known, reason = self.parts.detector.judge(embedding.neutral, logits, recognised)
        passed = known is not Familiarity.UNKNOWN
        regions = self.parts.heads.regions(embedding.chosen, embedding.vector) if passed else {}
        sure = known is Familiarity.FAMILIAR
        findings = self._findings(embedding, regions, sure=sure) if passed else ()
        if passed and not findings:
            known, reason = Familiarity.UNLIKE, f"{reason} {_UNLIKE}"
        return Analysis(
            modality=embedding.modality,
            familiarity=known,
            reason=reason,
            findings=findings,
            neighbours=self.collection.nearest(embedding.retrieval, neighbours) if self.collection else (),
            point=self.place(embedding),
            model=self.model_name,
            notes=embedding.notes,
            header_modality=embedding.header_modality,
            **_named_region(regions),
        )

    def explain(
        self,
        image: MedicalImage,
        *,
        task: str,
        label: str,
        embedding: Embedding | None = None,
        method: str = DEFAULT,
    ) -> Saliency:
        """Shows where an image speaks for one class of a label set.

        Args:
            image: from `read`.
            task: the label set.
            label: the class.
            embedding: of the same image, which saves the pass that finds out whether it is a negative.
            method: a key of `models.cam.METHODS`.

        Raises:
            ModelError: the model has no such label set or class, or there is no such method.
        """
        head = self.parts.heads.get(task)
        if label not in head.classes:
            raise ModelError(f"The label set '{task}' has no class '{label}'.")
        if method not in METHODS:
            raise ModelError(f"There is no heat map '{method}'; there are {', '.join(METHODS)}.")
        negative = self._neutral(image.pixels)[1] if embedding is None else embedding.negative
        pixels = negatives.as_taken(image.pixels, negative)
        return self._explainer.explain(pixels, head.modality, head, label, method)

    def support(
        self, image: MedicalImage, embedding: Embedding, weight: np.ndarray, method: str = DEFAULT
    ) -> tuple[np.ndarray, float]:
        """Returns where an image speaks for a direction (width,) of embeddings, see `Explainer.support`."""
        pixels = negatives.as_taken(image.pixels, embedding.negative)
        return self._explainer.support(pixels, embedding.chosen, weight, method)

    def regions(self, image: MedicalImage, embedding: Embedding) -> tuple[np.ndarray, np.ndarray]:
        """Returns what the encoder sees in each cell of an image, and where; see `Explainer.regions`."""
        return self._explainer.regions(negatives.as_taken(image.pixels, embedding.negative), embedding.chosen)

    def direction(self, retrieval: np.ndarray) -> np.ndarray:
        """Returns the direction (width,) of embeddings that leads towards a retrieval vector (dim,)."""
        basis = self.parts.space.basis
        return retrieval if basis is None else retrieval @ basis

    def similar(
        self,
        query: MedicalImage | Embedding | str,
        *,
        count: int = 12,
        where: Filter = EVERYTHING,
        marks: Marks = NO_MARKS,
    ) -> Neighbours:
        """Finds the most similar cases of the collection.

        Args:
            query: an image, its embedding, or the id of a case; the cases of that case's own group are left
                out.
            count: how many.
            where: which cases may be found.
            marks: cases that were called good or bad answers before. They change which cases come and in
                which order; the similarities stay those to the query.

        Raises:
            CollectionError: there is no collection, or no such case.
            SearchError: the filter names a column that the collection does not have.
        """
        of_case = isinstance(query, str)
        collection = self.explored if of_case else self.collection
        if collection is None:
            raise CollectionError(self.no_collection)
        without = collection.case(query) if of_case else None
        vector = collection.vectors[collection.position(query)] if of_case else self.retrieval_vector(query)
        if marks:
            return nearest_refined(collection, vector, count, marks, where=where, without=without)
        return collection.nearest(vector, count, where=where, without=without)

    def retrieval_vector(self, query: MedicalImage | Embedding | str) -> np.ndarray:
        """Returns the unit vector (dim,) by which an image, or a case by its id, is compared.

        Raises:
            CollectionError: there is no collection, or no such case.
        """
        if not isinstance(query, str):
            return self._embedded(query).retrieval
        if self.collection is None:
            raise CollectionError(self.no_collection)
        return self.collection.vectors[self.collection.position(query)]

    def place(self, image: MedicalImage | Embedding) -> MapPoint | None:
        """Returns where an image falls on the collection's map, None without a collection."""
        return self.collection.place(self._embedded(image).retrieval) if self.collection else None

    def _embedded(self, image: MedicalImage | Embedding) -> Embedding:
        return image if isinstance(image, Embedding) else self.embed(image)

    def _modality(self, neutral: np.ndarray) -> dict[str, float]:
        """Returns the probability of each modality, highest first."""
        head = self.parts.heads.get(MODALITY_TASK)
        shares = head.probabilities(neutral[None])[0]
        return {head.classes[i]: float(shares[i]) for i in np.argsort(-shares, kind="stable")}

    def _findings(
        self, embedding: Embedding, regions: dict[str, float], *, sure: bool
    ) -> tuple[Finding, ...]:
        """Returns the findings of every label set whose scope the image is in, the surest scope first.

        Of an image that is not surely of a known kind none is called likely.
        """
        near = self.parts.detector.near(embedding.neutral[None])[0]
        relevance = {scope.task: scope.relevance(near, regions) for scope in self.parts.scopes}
        own = [head for head in self.parts.heads.findings if head.modality == embedding.chosen]
        within = [
            head
            for head in own
            if relevance.get(head.task, 0.0) >= WITHIN and not self._misleads(head.task, head.classes)
        ]
        findings = []
        for head in sorted(within, key=lambda head: -relevance[head.task]):
            findings += self._findings_of(head, embedding.vector, relevance[head.task], sure)
        return tuple(findings)

    def _findings_of(self, head: Head, vector: np.ndarray, relevance: float, sure: bool) -> list[Finding]:
        """Returns what one head says, the most probable class first."""
        shares = head.probabilities(vector[None])[0]
        words = head.likelihoods(shares)
        cases = [len(scores) for scores in head.calibration] or [None] * len(head.classes)
        found = []
        for i in np.argsort(-shares, kind="stable"):
            label, word = head.classes[i], words[i]
            elsewhere = self._elsewhere(head.task, label)
            finding = Finding(head.task, label, float(shares[i]), relevance, elsewhere, word, cases[i])
            if word is Likelihood.LIKELY and not (sure and finding.holds_elsewhere):
                finding = replace(finding, likelihood=Likelihood.POSSIBLE)
            found.append(finding)
        return found

    def _misleads(self, task: str, classes: tuple[str, ...]) -> bool:
        """Returns whether a label set was no better than chance in every source that it was asked about.

        Such a head reads the camera: its answer is worse than none.
        """
        measured = [auroc for each in classes if (auroc := self._elsewhere(task, each)) is not None]
        return bool(measured) and max(measured) <= _CHANCE

    def _elsewhere(self, task: str, label: str) -> float | None:
        """Returns the AUROC of a finding on sources that its head was not fitted on, None where unknown."""
        unseen = self.metrics.unseen_source
        finding = unseen.findings.get(task, {}).get(label) if unseen else None
        return finding.auroc.value if finding else None


def _named_region(regions: dict[str, float]) -> dict[str, Any]:
    """Returns the most probable region and its probability, where it has a name for people."""
    region = next(iter(regions), "")
    if not region or region.startswith(UNNAMED_REGION):
        return {}
    return {"region": region, "region_probability": regions[region]}
