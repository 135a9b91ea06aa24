"""A collection of images of one's own that is made while a page goes on answering others."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.store import write_parts
from mermed_core.collections.told import COLUMNS, ToldCounts
from mermed_core.data.manifest import Manifest
from mermed_core.device import compute_on, let_others_first
from mermed_core.errors import ImageError, ManifestError
from mermed_core.imaging.thumbnails import make_thumbnail
from mermed_core.inference.predictor import Predictor
from mermed_core.models.embedder import Embeddings
from mermed_core.models.retrieval_space import RetrievalSpace
from mermed_core.models.told_modality import ModalityTeller, Told

MOST_IMAGES = 20_000
"""Images of such a collection at most; `mermed explore` has no such limit."""
_AT_ONCE = 16  # images between two looks at whether it is still wanted
_READERS = 2


class Gathering:
    """Images on their way into a collection, embedded a few at a time; what is embedded stays so.

    Attributes:
        manifest: all images.
        done: how many of them were read, or could not be.
        broken: reasons by the id of an image that could not be read.
    """

    def __init__(self, predictor: Predictor, manifest: Manifest) -> None:
        if len(manifest) > MOST_IMAGES:
            raise ManifestError(
                f"these are {len(manifest):,} images, and a collection that is made on the page may have "
                f"{MOST_IMAGES:,}. Take a part of them, or use the command mermed explore."
            )
        self.manifest = manifest
        self.done = 0
        self.broken: dict[str, str] = {}
        self._predictor = predictor
        self._rows: list[int] = []
        self._vectors: list[np.ndarray] = []
        self._pictures: list[bytes] = []
        unstated = manifest.without_modality().any()
        self._teller = ModalityTeller.of(predictor.embedder, predictor.parts) if unstated else None
        self._told: list[Told] = []

    @property
    def total(self) -> int:
        """How many images there are."""
        return len(self.manifest)

    @property
    def embedded(self) -> int:
        """How many are embedded."""
        return len(self._rows)

    @property
    def counts(self) -> ToldCounts:
        """How many of the embedded have a modality that is the model's own answer."""
        return ToldCounts.of(self._known().frame) if self._told else ToldCounts(0, 0)

    def step(self) -> None:
        """Embeds the next images, at most sixteen."""
        rows = range(self.done, min(self.done + _AT_ONCE, self.total))
        with ThreadPoolExecutor(_READERS, "reader", initializer=compute_on, initargs=(1,)) as pool:
            read = list(pool.map(self._read, rows))
        good = [(row, image, picture) for row, image, picture in read if image is not None]
        if good:
            vectors = self._predictor.embedder.embed_tensors(torch.stack([image for _, image, _ in good]))
            self._vectors.append(self._predictor.parts.space.project(vectors))
            if self._teller is not None:
                self._told.append(self._teller.tell(vectors))
            self._rows += [row for row, _, _ in good]
            self._pictures += [picture for _, _, picture in good]
        self.done = rows.stop

    def write(self, folder: Path, name: str) -> Collection:
        """Writes the collection of what is embedded by now, with its map.

        Args:
            folder: the place.
            name: short name for people.

        Raises:
            ManifestError: nothing is embedded.
        """
        if not self._rows:
            raise ManifestError("Not one of the images could be read.")
        vectors, manifest = np.concatenate(self._vectors), self._known()
        embeddings = Embeddings(vectors, manifest, tuple(self._pictures), self.broken)
        description = Description(name, "", False, self._predictor.fingerprint)
        space = RetrievalSpace.identity(vectors.shape[1])  # they are in it already
        parts, left_out = iter([embeddings]), self.manifest.left_out
        frame = self.manifest.frame
        given: dict[str, Any] = {"space": space, "keep": COLUMNS if self._told else (), "pictures": True}
        return write_parts(folder, parts, frame, description, left_out, **given)

    def _known(self) -> Manifest:
        """Returns the table of what is embedded, each with a modality."""
        embedded = self.manifest.select(self._rows)
        return Told.joined(self._told).of(embedded) if self._told else embedded

    def _read(self, row: int) -> tuple[int, torch.Tensor | None, bytes]:
        try:
            pixels = self.manifest.read_image(row).pixels
        except ImageError as error:
            self.broken[str(self.manifest.frame["case_id"].iloc[row])] = str(error)
            return row, None, b""
        modality = str(self.manifest.frame["modality"].iloc[row])
        return row, self._predictor.embedder.prepare(pixels, modality), make_thumbnail(pixels)


def with_collection(predictor: Predictor, collection: Collection | None, *, missing: str = "") -> Predictor:
    """Returns the same model with another collection, or none.

    Args:
        predictor: the model.
        collection: the collection.
        missing: why there is none.

    Raises:
        CollectionError: another model made it.
    """
    return Predictor(
        predictor.embedder,
        predictor.parts,
        collection,
        card=predictor.card,
        metrics=predictor.metrics,
        missing=missing,
    )


def quiet_threads() -> ThreadPoolExecutor:
    """Returns one thread that lets all others go first and computes on half of the cores."""
    return ThreadPoolExecutor(1, "own-collection", initializer=_step_back)


def _step_back() -> None:
    compute_on(max(1, (os.cpu_count() or 2) // 2))
    let_others_first()
