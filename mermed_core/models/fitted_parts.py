"""Everything that was fitted on the frozen encoder, as it lies in a model folder's heads/."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mermed_core.models.heads import HEADS_FOLDER, HeadSet, load_heads, save_heads
from mermed_core.models.ood import OODDetector, load_detector, save_detector
from mermed_core.models.retrieval_space import RetrievalSpace, load_retrieval_space, save_retrieval_space
from mermed_core.models.scopes import Scope, load_scopes, save_scopes


@dataclass(frozen=True)
class FittedParts:
    """What serving needs beside the encoder.

    Attributes:
        heads: of the modality, of regions and of findings.
        detector: of images that are out of distribution.
        scopes: of every label set.
        space: in which images are compared.
    """

    heads: HeadSet
    detector: OODDetector
    scopes: tuple[Scope, ...]
    space: RetrievalSpace

    @classmethod
    def load(cls, model: Path, width: int) -> Self:
        """Reads the parts of a model folder, for embeddings of length `width`.

        Raises:
            ModelError: one is missing, damaged or made for other embeddings.
        """
        folder = model / HEADS_FOLDER
        heads, detector = load_heads(folder, width), load_detector(folder, width)
        scopes = load_scopes(folder, len(detector.whitening))
        return cls(heads, detector, scopes, load_retrieval_space(folder, width))

    def save(self, model: Path) -> None:
        """Writes the parts into a staging model folder."""
        folder = model / HEADS_FOLDER
        folder.mkdir()
        save_heads(folder, self.heads)
        save_detector(folder, self.detector)
        save_scopes(folder, self.scopes)
        save_retrieval_space(folder, self.space)
