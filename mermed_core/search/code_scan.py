"""Exact comparison of queries with vectors of eight bits, which are never decoded all at once."""

# FAISS describes its functions in C++ incompletely to type checkers.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false

import faiss
import numpy as np

from mermed_core.search.engine import Metric
from mermed_core.search.quantised import Part, QuantisedVectors, StoredVectors
from mermed_core.search.scan import Scan, bitmap, lay_over

# Up to so many allowed rows of a part, decoding them is faster than asking FAISS about every row.
_GATHERED = 4096
_MORE = 64  # candidates beyond twice the hits wanted; FAISS's search takes no longer for them
_ROUNDING = np.float32(1e-5)  # FAISS's sums and ours differ in the last digits


class CodeScan(Scan):
    """Compares queries with stored vectors by cosine, where they lie.

    FAISS compares with what the codes stand for, whose norm is not quite 1. Candidates by that are compared
    again with unit vectors, and as many are taken as make sure that none better is missed.

    Attributes:
        vectors: (rows, dim), decoded where they are indexed.
        metric: always cosine.
    """

    vectors: StoredVectors  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, vectors: StoredVectors) -> None:
        self.vectors = vectors
        self.metric: Metric = "cosine"
        self._indices = [_view(part.vectors) for part in vectors.parts]

    def values_at(self, queries: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Returns the cosines (queries, some) of rows (queries, some); −inf at position −1."""
        rows = self.vectors[np.maximum(positions, 0).reshape(-1)]
        rows = rows.reshape(*positions.shape, self.vectors.shape[1])
        values = np.einsum("qsd,qd->qs", rows, queries)
        values[positions < 0] = -np.inf
        return values

    def best_at(
        self, queries: np.ndarray, positions: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns values and positions (queries, count) of the best of rows (queries, some), best first."""
        return self.best(self.values_at(queries, positions), positions, count)

    def refining(self, lists: faiss.Index) -> faiss.IndexRefine | None:
        """Returns an index that compares again with what the codes stand for, see `Scan`.

        None where they are in parts or some gone.
        """
        parts = self.vectors.parts
        if len(parts) != 1 or parts[0].rows is not None:
            return None
        # By distance, which hardly depends on how far the norms are from 1: inner products do.
        return faiss.IndexRefine(lists, _view(parts[0].vectors, faiss.METRIC_L2))

    def refined(self, values: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns cosines and positions (queries, some), best first, of what `refining` found."""
        norms = self.vectors.parts[0].vectors.norms[positions]
        return self.best((1 + norms**2 - values) / (2 * norms), positions, positions.shape[1])

    def _few(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        return self._best_of_parts(queries, count, None)

    def _few_among(
        self, queries: np.ndarray, count: int, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._best_of_parts(queries, count, allowed)

    def _best_of_parts(
        self, queries: np.ndarray, count: int, allowed: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        found = []
        for number, (first, part) in enumerate(zip(self.vectors.firsts, self.vectors.parts, strict=True)):
            some = None if allowed is None else allowed[first : first + len(part)]
            passing = len(part) if some is None else int(np.count_nonzero(some))
            if not passing:
                continue
            if some is not None and passing <= _GATHERED:
                places = np.flatnonzero(some)
                values = queries @ part.vectors.decode(part.stored(places)).T
                places = np.broadcast_to(places, values.shape)
                values, places = self.best(values, places, min(count, passing))
            else:
                values, places = self._in_part(number, queries, min(count, passing), some, passing)
            found.append((values, places + first))
        values, positions = (np.concatenate(each, axis=1) for each in zip(*found, strict=True))
        return self.best(values, positions, count)

    def _in_part(
        self, number: int, queries: np.ndarray, count: int, allowed: np.ndarray | None, passing: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns values and places (queries, count) of the best in a part; `passing` is how many may be."""
        part, index = self.vectors.parts[number], self._indices[number]
        selector = _selector(part, allowed)
        parameters = None if selector is None else faiss.SearchParameters(sel=selector)
        norms = part.vectors.norms
        least, greatest = norms.min(), norms.max()
        wanted = min(2 * count + _MORE, passing)
        while True:
            scores, rows = index.search(queries, wanted, params=parameters)
            places = rows if part.rows is None else np.searchsorted(part.rows, rows)
            values = self.values_at(queries, places + self.vectors.firsts[number])
            values, places = self.best(values, places, count)
            # No row that was not found has a greater score, and none of those a smaller norm.
            last = scores[:, -1]
            missed = np.where(last > 0, last / least, last / greatest) + _ROUNDING
            if wanted >= passing or (missed <= values[:, -1]).all():
                return values, places
            wanted = min(4 * wanted, passing)


def _selector(part: Part, allowed: np.ndarray | None) -> faiss.IDSelectorBitmap | None:
    """Returns FAISS's selector of the rows of a part that count and are allowed; None where that is all."""
    if part.rows is None:
        return None if allowed is None else faiss.IDSelectorBitmap(bitmap(allowed))
    mask = np.zeros(len(part.vectors), bool)
    mask[part.rows if allowed is None else part.rows[allowed]] = True
    return faiss.IDSelectorBitmap(bitmap(mask))


def _view(vectors: QuantisedVectors, metric: int = faiss.METRIC_INNER_PRODUCT) -> faiss.IndexScalarQuantizer:
    """Returns FAISS's index of vectors, which reads their codes where they lie."""
    codes, dim = np.ascontiguousarray(vectors.codes), vectors.codes.shape[1]
    index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, metric)
    # FAISS puts a number into the middle of its step, we at its lower end.
    limits = np.concatenate([vectors.lowest - vectors.step / 2, 255 * vectors.step]).astype(np.float32)
    faiss.copy_array_to_vector(limits, index.sq.trained)
    index.is_trained = True
    if not lay_over(index, codes):
        index.add_sa_codes(codes)  # a copy
    return index
