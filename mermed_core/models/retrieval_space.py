"""The space in which images are compared: a short projection of the embedding, kept in the model folder.

An embedding of several pooled stages has thousands of numbers, of which a few hundred carry nearly all that
neighbours need. The projection is linear, made from the principal components of many sources' embeddings.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mermed_core.errors import ModelError
from mermed_core.files import write_file

RETRIEVAL_SPACE = "retrieval.safetensors"


@dataclass(frozen=True)
class RetrievalSpace:
    """A linear projection of embeddings, followed by scaling to unit norm.

    Attributes:
        mean: (width,) float32, subtracted from an embedding.
        basis: (dim, width) float32, or None where embeddings are compared as they are.
    """

    mean: np.ndarray
    basis: np.ndarray | None

    @classmethod
    def identity(cls, width: int) -> Self:
        """Returns the space of the embeddings themselves, for models that have no projection yet."""
        return cls(np.zeros(width, np.float32), None)

    @property
    def dim(self) -> int:
        """Length of a retrieval vector."""
        return len(self.mean) if self.basis is None else len(self.basis)

    @cached_property
    def digest(self) -> str:
        """Eight hexadecimal digits that identify the projection, "" for the identity."""
        if self.basis is None:
            return ""
        numbers = (np.ascontiguousarray(part, np.float32).tobytes() for part in (self.mean, self.basis))
        return hashlib.sha256(b"".join(numbers)).hexdigest()[:8]

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Returns retrieval vectors (images, dim), float32 of unit norm, of embeddings (images, width)."""
        if self.basis is None:
            return vectors
        projected = (vectors - self.mean) @ self.basis.T
        norm = np.linalg.norm(projected, axis=1, keepdims=True)
        return (projected / np.maximum(norm, 1e-12)).astype(np.float32)

    def fingerprint(self, encoder: str) -> str:
        """Returns what identifies vectors of this space: the encoder's fingerprint with the projection's."""
        return f"{encoder}-{self.digest}" if self.digest else encoder


def save_retrieval_space(folder: Path, space: RetrievalSpace) -> None:
    """Writes the projection into an existing folder; the identity needs no file.

    The basis is stored as float16: the rounding is a thousandth of what 8 bits a number do to the vectors.
    """
    if space.basis is None:
        return
    arrays = {
        "mean": np.ascontiguousarray(space.mean, np.float32),
        "basis": np.ascontiguousarray(space.basis, np.float16),
    }
    with write_file(folder / RETRIEVAL_SPACE) as staging:
        save_file(arrays, staging)


def load_retrieval_space(folder: Path, width: int) -> RetrievalSpace:
    """Reads the projection of embeddings of length `width`; without a file it is the identity.

    Raises:
        ModelError: the file is damaged or made for other embeddings.
    """
    path = folder / RETRIEVAL_SPACE
    if not path.is_file():
        return RetrievalSpace.identity(width)
    try:
        arrays = load_file(path)
        space = RetrievalSpace(arrays["mean"].astype(np.float32), arrays["basis"].astype(np.float32))
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelError(f"The retrieval projection '{path}' is damaged: {error!r}.") from error
    if space.mean.shape != (width,) or space.basis is None or space.basis.shape[1:] != (width,):
        raise ModelError(f"The retrieval projection '{path}' does not fit vectors of length {width}.")
    return space
