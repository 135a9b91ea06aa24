"""Exact nearest neighbours by cosine similarity, with FAISS, on the GPU where there is one."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from mermed_core.errors import CollectionError
from mermed_core.files import write_file

logger = logging.getLogger(__name__)

MOST_GPU_HITS = 2048  # FAISS's own limit


class VectorIndex:
    """Finds the most similar of a fixed set of unit vectors; row i of the set has position i. Thread-safe."""

    def __init__(self, index: faiss.Index) -> None:
        self._cpu = index
        self._index = _on_gpu(index)
        self._lock = threading.Lock()

    @classmethod
    def build(cls, vectors: np.ndarray) -> "VectorIndex":
        """Indexes float32 unit vectors (cases, dim)."""
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(index)

    @classmethod
    def load(cls, path: Path) -> "VectorIndex":
        """Reads an index file whose checksum the caller has verified.

        Raises:
            CollectionError: FAISS cannot read it.
        """
        try:
            return cls(faiss.read_index(str(path)))
        except RuntimeError as error:
            raise CollectionError(f"The search index '{path}' cannot be read.") from error

    def save(self, path: Path) -> None:
        """Writes the index, the whole file or nothing."""
        with write_file(path) as staging:
            faiss.write_index(self._cpu, str(staging))

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._cpu.d)

    def __len__(self) -> int:
        """Returns the number of vectors."""
        return int(self._cpu.ntotal)

    def search(
        self, queries: np.ndarray, count: int, allowed: Sequence[int] | np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the `count` most similar vectors of each query.

        Args:
            queries: (queries, dim) float32 unit vectors.
            count: hits wanted; fewer come where fewer vectors are allowed.
            allowed: positions to search among; None for all.

        Returns:
            Cosine similarities (queries, hits) falling, and positions (queries, hits).
        """
        size = len(self) if allowed is None else len(allowed)
        hits = min(count, size)
        if hits <= 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if allowed is None and self._index is not self._cpu and hits <= MOST_GPU_HITS:
            with self._lock:  # a GPU index has one scratch memory for all its searches
                return self._index.search(queries, hits)
        if allowed is None:
            return self._cpu.search(queries, hits)
        selector = faiss.IDSelectorBatch(np.asarray(allowed, dtype=np.int64))
        # A selector works on the CPU index only; filtered sets are small enough for it.
        return self._cpu.search(queries, hits, params=faiss.SearchParameters(sel=selector))  # pyright: ignore[reportCallIssue]


def device_in_words() -> str:
    """Says where FAISS searches."""
    count = _gpus()
    return f"{count} GPU{'s' * (count > 1)}" if count else "cpu"


def _gpus() -> int:
    return int(faiss.get_num_gpus()) if hasattr(faiss, "get_num_gpus") else 0


def _on_gpu(index: faiss.Index) -> faiss.Index:
    if not _gpus() or not hasattr(faiss, "StandardGpuResources"):
        logger.info("faiss runs on cpu")
        return index
    try:
        copied = faiss.index_cpu_to_all_gpus(index)
    except RuntimeError as error:  # no memory left, or a card that this build does not know
        logger.warning("faiss cannot use the GPU (%s) and runs on cpu", str(error).splitlines()[-1])
        return index
    logger.info("faiss runs on %s", device_in_words())
    return copied
