"""Exact search with FAISS, on the GPU where there is one."""

import logging
import threading
from typing import Self

import faiss
import numpy as np

from mermed_core.search.engine import Metric, SearchEngine

logger = logging.getLogger(__name__)

MOST_GPU_HITS = 2048  # FAISS's own limit


class FaissEngine(SearchEngine):
    """Compares every query with every vector; the results are exact."""

    def __init__(self, index: faiss.Index, *, on_gpu: bool = True) -> None:
        self._cpu = index
        self._gpu = _copy_to_gpus(index) if on_gpu else None
        self._gpu_lock = threading.Lock()  # a GPU index has one scratch memory for all its searches

    @classmethod
    def build(cls, vectors: np.ndarray, metric: Metric = "cosine", *, on_gpu: bool = True) -> Self:
        """Indexes float32 vectors (rows, dim), of unit norm where the metric is cosine.

        Args:
            vectors: (rows, dim).
            metric: cosine or squared Euclidean distance.
            on_gpu: keep a copy on the GPU where there is one; not worth it for a handful of searches.
        """
        kind = faiss.IndexFlatL2 if metric == "squared_distance" else faiss.IndexFlatIP
        index = kind(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(index, on_gpu=on_gpu)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._cpu.d)

    def __len__(self) -> int:
        """Returns the number of vectors."""
        return int(self._cpu.ntotal)

    def search(
        self, queries: np.ndarray, count: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the `count` most similar vectors of each query; see `SearchEngine.search`."""
        hits = min(count, len(self) if allowed is None else int(allowed.sum()))
        if hits <= 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if allowed is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))  # pyright: ignore[reportCallIssue]
            # Only the CPU index takes a selector.
            return self._cpu.search(queries, hits, params=faiss.SearchParameters(sel=selector))  # pyright: ignore[reportCallIssue]
        if self._gpu is not None and hits <= MOST_GPU_HITS:
            with self._gpu_lock:
                return self._gpu.search(queries, hits)
        return self._cpu.search(queries, hits)


def describe_device() -> str:
    """Returns where FAISS searches, such as "2 GPUs" or "cpu"."""
    count = _gpus()
    return f"{count} GPU{'s' * (count > 1)}" if count else "cpu"


def _gpus() -> int:
    return int(faiss.get_num_gpus()) if hasattr(faiss, "get_num_gpus") else 0


def _copy_to_gpus(index: faiss.Index) -> faiss.Index | None:
    """Returns a copy of the index on all GPUs, None where there is none that can hold it."""
    copied = None
    if _gpus() and hasattr(faiss, "StandardGpuResources"):
        try:
            copied = faiss.index_cpu_to_all_gpus(index)
        except RuntimeError as error:  # no memory left, or a card that this build does not know
            logger.warning("faiss cannot use the GPU (%s) and runs on cpu", str(error).splitlines()[-1])
    logger.info("faiss runs on %s", "cpu" if copied is None else describe_device())
    return copied
