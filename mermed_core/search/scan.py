"""Exact comparison of queries with all or some rows of an array, by FAISS's kernels and without a copy."""

# FAISS describes its functions in C++ incompletely to type checkers.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false

import faiss
import numpy as np

from mermed_core.search.engine import Metric

_FAISS_METRIC = {"cosine": faiss.METRIC_INNER_PRODUCT, "squared_distance": faiss.METRIC_L2}
# From so many queries on, multiplying matrices is faster than comparing pairs (measured: five times at 64).
_MANY = 8
_ROWS, _QUERIES = 16_384, 256  # multiplied at once
# Where fewer than one row in so many is allowed, going through their numbers is faster than through a bitmap.
_SPARSE = 4


class Scan:
    """Compares queries with the rows of an array.

    Attributes:
        vectors: (rows, dim) float32, used where it lies.
        metric: what is compared.
    """

    def __init__(self, vectors: np.ndarray, metric: Metric) -> None:
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self.metric: Metric = metric

    def nearest(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns values and positions (queries, count) of the nearest rows; `count` is at most all rows."""
        if len(queries) >= _MANY:
            return self._multiplied(queries, count, None)
        return self._few(queries, count)

    def nearest_among(
        self, queries: np.ndarray, count: int, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns values and positions (queries, count) of the nearest allowed rows.

        Args:
            queries: (queries, dim) float32.
            count: hits; at most as many as rows are allowed.
            allowed: mask (rows,).
        """
        if len(queries) >= _MANY:
            return self._multiplied(queries, count, np.flatnonzero(allowed))
        return self._few_among(queries, count, allowed)

    def values_at(self, queries: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Returns the values (queries, some) of rows (queries, some); the worst there is at position −1."""
        queries, positions = np.ascontiguousarray(queries), np.ascontiguousarray(positions)
        values = np.empty(positions.shape, np.float32)
        cosine = self.metric == "cosine"
        compare = faiss.fvec_inner_products_by_idx if cosine else faiss.fvec_L2sqr_by_idx
        places = (faiss.swig_ptr(each) for each in (values, queries, self.vectors, positions))
        compare(*places, self.vectors.shape[1], *positions.shape)
        if positions.size and positions.min() < 0:
            values[positions < 0] = -np.inf if cosine else np.inf
        return values

    def best(self, values: np.ndarray, positions: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the best `count` of values and positions (queries, some), best first."""
        order = np.argsort(-values if self.metric == "cosine" else values, axis=1, kind="stable")[:, :count]
        rows = np.arange(len(order))[:, None]  # `take_along_axis` takes three times as long for one query
        return values[rows, order], positions[rows, order]

    def best_at(
        self, queries: np.ndarray, positions: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns values and positions (queries, count) of the best of rows (queries, some), best first.

        Positions of −1 stand behind all others, and fill up where there are too few.
        """
        queries, positions = np.ascontiguousarray(queries), np.ascontiguousarray(positions)
        return self._numbered(queries, count, positions, positions.shape[1])

    def refining(self, lists: faiss.Index) -> faiss.IndexRefine | None:
        """Returns an index that compares the candidates of another again with the rows, where they lie.

        None where FAISS cannot: it is then slower by what Python takes, and finds the same.
        """
        index = faiss.IndexFlat(self.vectors.shape[1], lists.metric_type)
        return refine(lists, index, self.metric) if lay_over(index, self.vectors.view(np.uint8)) else None

    def refined(self, values: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns values and positions (queries, some), best first, of what the index of `refining` found."""
        return values, positions

    def _few(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        values, positions = faiss.knn(queries, self.vectors, count, metric=_FAISS_METRIC[self.metric])
        return values, positions

    def _few_among(
        self, queries: np.ndarray, count: int, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if np.count_nonzero(allowed) * _SPARSE < len(self.vectors):
            return self._numbered(queries, count, np.flatnonzero(allowed))
        return self._through_bitmap(queries, count, bitmap(allowed))

    def _multiplied(
        self, queries: np.ndarray, count: int, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compares by matrix products; rows (some,) rising, None for all."""
        number = len(self.vectors) if rows is None else len(rows)
        values, positions = _room(len(queries), count)
        for first in range(0, len(queries), _QUERIES):
            some = slice(first, first + _QUERIES)
            asked = queries[some]
            best = np.empty((len(asked), 0), np.float32), np.empty((len(asked), 0), np.int64)
            for start in range(0, number, _ROWS):
                part = slice(start, min(start + _ROWS, number))
                block = self.vectors[part if rows is None else rows[part]]
                near = self._nearest_of(asked, block, count)
                known = near + start if rows is None else rows[part][near]
                both = np.concatenate([best[1], known], axis=1)
                best = self.best(np.concatenate([best[0], self.values_at(asked, known)], axis=1), both, count)
            values[some], positions[some] = best
        return values, positions

    def _nearest_of(self, queries: np.ndarray, block: np.ndarray, count: int) -> np.ndarray:
        """Returns places (queries, at most count) in a block of rows, rising."""
        far = -(queries @ block.T)
        if self.metric == "squared_distance":
            far = 2 * far + np.einsum("rd,rd->r", block, block)
        if count >= len(block):
            return np.broadcast_to(np.arange(len(block)), far.shape)
        return np.sort(np.argpartition(far, count - 1, axis=1)[:, :count], axis=1)

    def _numbered(
        self, queries: np.ndarray, count: int, rows: np.ndarray, apart: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compares with rows (some,) by their numbers, or with other rows for each query, so many `apart`."""
        values, positions = _room(len(queries), count)
        cosine = self.metric == "cosine"
        result = faiss.float_minheap_array_t() if cosine else faiss.float_maxheap_array_t()
        result.nh, result.k = values.shape
        result.val, result.ids = faiss.swig_ptr(values), faiss.swig_ptr(positions)
        compare = faiss.knn_inner_products_by_idx if cosine else faiss.knn_L2sqr_by_idx
        places = [faiss.swig_ptr(each) for each in (queries, self.vectors, rows)]
        rows_of_all, dim = self.vectors.shape
        kept = [faiss.swig_ptr(values), faiss.swig_ptr(positions)]
        compare(*places, dim, len(queries), rows_of_all, rows.shape[-1], count, *kept, apart)
        return values, positions

    def _through_bitmap(
        self, queries: np.ndarray, count: int, bits: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        values, positions = _room(len(queries), count)
        selector = faiss.IDSelectorBitmap(bits)  # pyright: ignore[reportCallIssue]
        compare = faiss.knn_inner_product if self.metric == "cosine" else faiss.knn_L2sqr
        norms = () if self.metric == "cosine" else (None,)
        rows, dim = self.vectors.shape
        places = (faiss.swig_ptr(each) for each in (queries, self.vectors))
        kept = (faiss.swig_ptr(each) for each in (values, positions))
        compare(*places, dim, len(queries), rows, count, *kept, *norms, selector)
        return values, positions


def bitmap(allowed: np.ndarray) -> np.ndarray:
    """Returns a mask (rows,) as FAISS's selector takes it: a bit a row, the lowest first."""
    return np.packbits(allowed, bitorder="little")


def lay_over(index: faiss.IndexFlatCodes, codes: np.ndarray) -> bool:
    """Makes an empty index read codes (rows, bytes) uint8 where they lie; False where FAISS is too old."""
    held = index.codes
    if not hasattr(held, "view_data"):
        return False
    held.is_owned = False
    held.view_data = held.c_ptr = faiss.swig_ptr(codes)
    held.view_size = held.c_size = codes.size
    index.ntotal = len(codes)
    index.referenced_objects = [codes]  # FAISS's own way to keep what an index points to
    return True


def refine(lists: faiss.Index, exact: faiss.Index, metric: Metric) -> faiss.IndexRefine:
    """Puts two indexes together: one finds candidates, the other compares them by a metric.

    Where the metrics differ and the first finds too few, −1 may stand before the others.
    """
    both = faiss.IndexRefine(lists, exact)
    # FAISS asks for one metric when it puts them together, but not afterwards. That of the lists would leave
    # a conversion to Python, some 10 µs of a query's millisecond.
    exact.metric_type = both.metric_type = _FAISS_METRIC[metric]
    return both


def _room(queries: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.empty((queries, count), np.float32), np.empty((queries, count), np.int64)
