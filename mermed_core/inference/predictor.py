"""The facade that serving uses: one image in, everything that the model says of it out."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np

from mermed_core.collections.collection import Collection, load_collection
from mermed_core.collections.projection import place
from mermed_core.data.manifest import LabelSet
from mermed_core.device import describe
from mermed_core.errors import CollectionError, ModelError
from mermed_core.imaging.reader import MedicalImage, read_image
from mermed_core.inference.saliency import Explainer
from mermed_core.modalities import modality_key
from mermed_core.models.embedder import Embedder
from mermed_core.models.heads import MODALITY_TASK, HeadSet, load_heads
from mermed_core.models.ood import Gate, load_gate
from mermed_core.records import Analysis, Finding, MapPoint, Neighbour, Saliency

__all__ = ["LabelSet", "MedicalImage", "Predictor"]

logger = logging.getLogger(__name__)

HEADS_FOLDER = "heads"
CARD = "README.md"
METRICS = "metrics.json"
# A label set that the image resembles less than this is not asked: a head CT has no lung findings.
MIN_RELEVANCE = 0.02
_PLACING_NEIGHBOURS = 8


class Predictor:
    """A model folder and, where given, a collection, ready to answer; thread-safe.

    Attributes:
        model_name: name and fingerprint for people.
        card: the model card in Markdown, without its front matter.
        metrics: figures of each label set on its test split; empty where none were measured.
        figures: figures of the whole model, such as modality_accuracy.
        collection: the known cases, or None.
        device: where the encoder runs, in words.
    """

    def __init__(
        self,
        embedder: Embedder,
        heads: HeadSet,
        gate: Gate,
        collection: Collection | None,
        *,
        card: str = "",
        metrics: dict[str, Any] | None = None,
    ) -> None:
        self._embedder = embedder
        if collection is not None and not self.made(collection):
            raise CollectionError(
                f"The collection '{collection.name}' was made by another model; build it again with this one."
            )
        self._heads = heads
        self._gate = gate
        self._explainer = Explainer(embedder)
        self.collection = collection
        self.card = card
        metrics = metrics or {}
        self.metrics: dict[str, dict[str, Any]] = {k: v for k, v in metrics.items() if isinstance(v, dict)}
        self.figures: dict[str, float] = {k: v for k, v in metrics.items() if not isinstance(v, dict)}
        self.model_name = f"{embedder.config.name} {embedder.fingerprint[:8]}"
        self.device = describe(embedder.device)

    @classmethod
    def load(cls, model: Path, collection: Path | None = None) -> Self:
        """Loads a model folder with its heads and gate, and a collection made by the same model.

        Raises:
            ModelError: the model is missing, incomplete or damaged.
            CollectionError: the collection is, or another model made it.
        """
        embedder = Embedder.load(model)
        folder = model / HEADS_FOLDER
        return cls(
            embedder,
            load_heads(folder, embedder.backbone.dim),
            load_gate(folder, embedder.backbone.dim),
            load_collection(collection) if collection else None,
            card=_read_card(model / CARD),
            metrics=_read_metrics(model / METRICS),
        )

    @property
    def tasks(self) -> tuple[LabelSet, ...]:
        """The label sets that this model has heads for."""
        return tuple(LabelSet(head.task, head.kind, head.classes) for head in self._heads.findings)

    def made(self, collection: Collection) -> bool:
        """Tells whether this model made a collection's vectors, so that they can be compared."""
        return collection.fingerprint == self._embedder.fingerprint

    def read(self, source: bytes | Path, frame: int = 0) -> MedicalImage:
        """Reads an image file; raises a kind of ImageError that says what is wrong with it."""
        return read_image(source, frame=frame)

    def analyse(self, image: MedicalImage, *, modality: str | None = None, neighbours: int = 8) -> Analysis:
        """Says everything about one image.

        Args:
            image: from `read`.
            modality: name of the modality where the person knows it; None detects it.
            neighbours: how many similar cases to find.
        """
        probabilities, key, vector = self._embed(image, modality)
        known, reason = self._gate.judge(vector, key)
        return Analysis(
            modality=probabilities,
            known=known,
            gate=reason,
            findings=self._findings(key, vector) if known else (),
            neighbours=self._nearest(vector, neighbours),
            point=self._place(vector),
            model=self.model_name,
        )

    def explain(self, image: MedicalImage, *, task: str, label: str) -> Saliency:
        """Shows where an image speaks for one class of a label set.

        Raises:
            ModelError: the model has no such label set or class.
        """
        head = self._heads.get(task)
        if label not in head.classes:
            raise ModelError(f"The label set '{task}' has no class '{label}'.")
        return self._explainer.explain(image.pixels, head.modality, head, label)

    def similar(
        self,
        query: MedicalImage | str,
        *,
        count: int = 12,
        modalities: Iterable[str] = (),
        sources: Iterable[str] = (),
        labels: Iterable[str] = (),
    ) -> tuple[Neighbour, ...]:
        """Finds the most similar cases of the collection that pass every filter.

        Args:
            query: an image, or the id of a case; cases of that case's own group are left out.
            count: how many.
            modalities: keys to search in; none lets all pass, as with the other filters.
            sources: data sets to search in.
            labels: labels of which a hit must have one.

        Raises:
            CollectionError: there is no collection, or no such case.
        """
        collection = self._required_collection()
        if isinstance(query, str):
            vector = collection.vectors[collection.position(query)]
            group = collection.case(query).group
        else:
            vector, group = self._embed(query, None)[2], None
        allowed = collection.matching(
            modalities=frozenset(modalities),
            sources=frozenset(sources),
            labels=frozenset(labels),
            without_group=group,
        )
        return self._nearest(vector, count, allowed)

    def place(self, image: MedicalImage) -> MapPoint | None:
        """Returns where an image falls on the collection's map, None without a collection."""
        return self._place(self._embed(image, None)[2])

    def _embed(self, image: MedicalImage, modality: str | None) -> tuple[dict[str, float], str, np.ndarray]:
        """Returns the modality's probabilities (highest first), the key that counts, and the unit vector."""
        head = self._heads.get(MODALITY_TASK)
        neutral = self._embedder.embed(image.pixels, None)
        shares = head.probabilities(neutral[None])[0]
        order = np.argsort(-shares, kind="stable")
        probabilities = {head.classes[i]: float(shares[i]) for i in order}
        key = modality_key(modality) if modality else next(iter(probabilities))
        shared = self._embedder.preprocessing_is_shared
        return probabilities, key, neutral if shared else self._embedder.embed(image.pixels, key)

    def _findings(self, modality: str, vector: np.ndarray) -> tuple[Finding, ...]:
        relevance = self._heads.relevance(modality, vector)
        findings = []
        for head in sorted(self._heads.findings, key=lambda head: -relevance.get(head.task, 0.0)):
            if relevance.get(head.task, 0.0) < MIN_RELEVANCE:
                continue
            shares = head.probabilities(vector[None])[0]
            findings += [
                Finding(head.task, head.classes[i], float(shares[i]), relevance[head.task])
                for i in np.argsort(-shares, kind="stable")
            ]
        return tuple(findings)

    def _nearest(
        self, vector: np.ndarray, count: int, allowed: np.ndarray | None = None
    ) -> tuple[Neighbour, ...]:
        if self.collection is None:
            return ()
        similarities, positions = self.collection.index.search(vector[None], count, allowed)
        return tuple(
            Neighbour(self.collection.cases[position], float(similarity))
            for similarity, position in zip(similarities[0], positions[0], strict=True)
        )

    def _place(self, vector: np.ndarray) -> MapPoint | None:
        if self.collection is None:
            return None
        similarities, positions = self.collection.index.search(vector[None], _PLACING_NEIGHBOURS)
        return place(similarities[0], self.collection.coordinates[positions[0]])

    def _required_collection(self) -> Collection:
        if self.collection is None:
            raise CollectionError("No collection is loaded; build one with python -m train.build_collection.")
        return self.collection


def _read_card(path: Path) -> str:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if text.startswith("---\n"):
        text = text.partition("\n---\n")[2]
    return text.strip()


def _read_metrics(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ModelError(f"'{path}' is damaged; run the evaluation again.") from error
