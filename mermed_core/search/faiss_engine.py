"""Exact search with FAISS, on the GPU where there is one."""

import logging
import threading
from functools import cache
from typing import Self

import faiss
import numpy as np

from mermed_core.search.code_scan import CodeScan
from mermed_core.search.engine import Hits, Metric, SearchEngine
from mermed_core.search.quantised import StoredVectors, blocks
from mermed_core.search.scan import Scan

logger = logging.getLogger(__name__)

MOST_GPU_HITS = 2048  # FAISS's own limit


class FaissEngine(SearchEngine):
    """Compares every query with every vector; the results are exact.

    Attributes:
        scan: compares queries with the vectors, which are used where they lie.
        on_gpu: whether searches without a filter run on a GPU.
    """

    def __init__(self, scan: Scan, *, on_gpu: bool = True) -> None:
        self.scan = scan
        self._gpu = _copy_to_gpus(scan) if on_gpu else None
        self._gpu_lock = threading.Lock()  # a GPU index has one scratch memory for all its searches
        self.on_gpu = self._gpu is not None

    @classmethod
    def build(
        cls, vectors: np.ndarray | StoredVectors, metric: Metric = "cosine", *, on_gpu: bool = True
    ) -> Self:
        """Prepares vectors (rows, dim), of unit norm where the metric is cosine.

        Args:
            vectors: (rows, dim) float32, or stored in eight bits; not copied, so they must not change.
            metric: cosine or squared Euclidean distance; stored vectors are compared by cosine.
            on_gpu: keep a copy on the GPU where there is one; not worth it for a handful of searches.

        Raises:
            ValueError: stored vectors cannot be compared by distance.
        """
        if not isinstance(vectors, StoredVectors):
            return cls(Scan(vectors, metric), on_gpu=on_gpu)
        if metric != "cosine":
            raise ValueError("stored vectors are compared by cosine")
        return cls(CodeScan(vectors), on_gpu=on_gpu)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.scan.vectors.shape[1])

    @property
    def recall(self) -> float:
        """All answers are exact."""
        return 1.0

    def __len__(self) -> int:
        """Returns the number of vectors."""
        return len(self.scan.vectors)

    def search(self, queries: np.ndarray, count: int, allowed: np.ndarray | None = None) -> Hits:
        """Finds the `count` most similar vectors of each query; see `SearchEngine.search`."""
        hits = min(count, len(self) if allowed is None else int(np.count_nonzero(allowed)))
        if hits <= 0 or not len(queries):
            return Hits.none(len(queries), max(hits, 0))
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if allowed is not None:  # FAISS's GPU index takes no filter
            return Hits(*self.scan.nearest_among(queries, hits, allowed))
        if self._gpu is not None and hits <= MOST_GPU_HITS:
            with self._gpu_lock:
                return Hits(*self._gpu.search(queries, hits))
        return Hits(*self.scan.nearest(queries, hits))


def describe_device() -> str:
    """Returns where FAISS searches, such as "2 GPUs" or "cpu"."""
    count = _gpus()
    return f"{count} GPU{'s' * (count > 1)}" if count else "cpu"


def _gpus() -> int:
    return int(faiss.get_num_gpus()) if hasattr(faiss, "get_num_gpus") else 0


def _copy_to_gpus(scan: Scan) -> faiss.Index | None:
    """Returns a copy of the vectors on all GPUs, None where there is none that can hold it."""
    copied = None
    if _gpus() and hasattr(faiss, "StandardGpuResources"):
        kind = faiss.IndexFlatL2 if scan.metric == "squared_distance" else faiss.IndexFlatIP
        index = kind(scan.vectors.shape[1])
        for rows in blocks(len(scan.vectors)):  # stored vectors are decoded block by block
            index.add(scan.vectors[rows])
        try:
            copied = faiss.index_cpu_to_all_gpus(index)
        except RuntimeError as error:  # no memory left, or a card that this build does not know
            logger.warning("faiss cannot use the GPU (%s) and runs on cpu", str(error).splitlines()[-1])
    _say_once("cpu" if copied is None else describe_device())
    return copied


@cache
def _say_once(where: str) -> None:
    """Logs where FAISS searches, though a page opens several indexes."""
    logger.info("faiss runs on %s", where)
