"""The modality of images of which nothing states it, told by the model from the embedding made anyway.

It is the model's own answer, and stated by nobody: the table of such images says so in `TOLD_BY`. `KIND` says
whether the model takes an image for one of the seven kinds at all; of one that is none it tells the nearest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from mermed_core.data.manifest import Manifest
from mermed_core.data.validation import BY_FILE, BY_MODEL, KIND, TOLD_BY
from mermed_core.errors import ModelError
from mermed_core.models.heads import HEADS, HEADS_FOLDER, MODALITY_TASK, Head
from mermed_core.models.model_folder import load_config
from mermed_core.models.ood import SETTINGS, OODDetector

if TYPE_CHECKING:  # whoever opens a collection needs no encoder
    from mermed_core.models.embedder import Embedder, Embeddings
    from mermed_core.models.fitted_parts import FittedParts

_NOT_ALIKE = (
    "This model prepares the images of each modality in another way, so that it cannot tell the modality of "
    "an image from its embedding."
)
_NOT_FITTED = "This model was fitted on no modalities, so that it cannot tell that of an image."
_BLOCK = 1024  # images that are compared with the training images together


def why_not(model: Path) -> str:
    """Returns why a model folder cannot tell the modality of an image that it embeds, "" where it can.

    Raises:
        ModelError: it is no model folder.
    """
    if load_config(model).preprocessing.modalities:
        return _NOT_ALIKE
    needed = (model / HEADS_FOLDER / name for name in (HEADS, SETTINGS))
    return "" if all(path.is_file() for path in needed) else _NOT_FITTED


@dataclass(frozen=True, eq=False)
class Told:
    """What the model says of some images.

    Attributes:
        modalities: (images,) the key of the most probable one.
        kinds: (images,) how well it knows such images, see `OODDetector.kinds`.
    """

    modalities: np.ndarray
    kinds: np.ndarray

    @classmethod
    def joined(cls, parts: "list[Told]") -> "Told":
        """Returns what was said of parts that follow each other as one."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in _PARTS))

    def of(self, manifest: Manifest) -> Manifest:
        """Returns the table of these images with their modality where nothing states it, and who says so."""
        frame, open_ = manifest.frame, manifest.without_modality()
        told = frame.assign(
            **{
                "modality": frame["modality"].where(~open_, self.modalities),
                TOLD_BY: np.where(open_, BY_MODEL, BY_FILE),
                KIND: self.kinds,
            }
        )
        return replace(manifest.with_frame(told), unstated=False)


_PARTS = ("modalities", "kinds")


@dataclass(frozen=True, eq=False)
class ModalityTeller:
    """Tells modalities from embeddings.

    Attributes:
        head: of the modality.
        detector: of images of none of the seven kinds.
    """

    head: Head
    detector: OODDetector

    @classmethod
    def of(cls, embedder: "Embedder", parts: "FittedParts") -> Self:
        """Returns the teller of a model.

        Raises:
            ModelError: its embedding of an image depends on the modality, which cannot be told from it then.
        """
        if not embedder.preprocessing_is_shared:
            raise ModelError(_NOT_ALIKE)
        return cls(parts.heads.get(MODALITY_TASK), parts.detector)

    @classmethod
    def load(cls, model: Path, embedder: "Embedder") -> Self:
        """Loads the teller of a model folder.

        Raises:
            ModelError: as `of`, or what was fitted on the encoder is missing or damaged.
        """
        from mermed_core.models.fitted_parts import FittedParts

        return cls.of(embedder, FittedParts.load(model, embedder.backbone.dim))

    def tell(self, vectors: np.ndarray) -> Told:
        """Says what images are whose unit vectors (images, width) these are."""
        classes = np.array(self.head.classes, object)
        parts = [Told(np.empty(0, object), np.empty(0, object))]
        for some in _blocks(vectors):
            logits = self.head.logits(some)
            parts.append(Told(classes[logits.argmax(axis=1)], self.detector.kinds(some, logits)))
        return Told.joined(parts)

    def complete(self, embeddings: "Embeddings") -> "Embeddings":
        """Returns embeddings whose images all have a modality, with who says so and whether it is known."""
        told = self.tell(embeddings.vectors)
        return replace(embeddings, manifest=told.of(embeddings.manifest)) if len(told.kinds) else embeddings


def _blocks(vectors: np.ndarray) -> Iterator[np.ndarray]:
    return (vectors[first : first + _BLOCK] for first in range(0, len(vectors), _BLOCK))
