"""Vectors in lists of their like, eight bits a number (FAISS's IVF with a scalar quantiser)."""

# FAISS describes its functions in C++ incompletely to type checkers.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import faiss
import numpy as np

_SAMPLED = 64  # vectors a list that the centres are fitted on
_ROUNDS = 10
_SEED = 7
_BLOCK = 65_536  # vectors at once


@dataclass(frozen=True)
class Lists:
    """An index of lists. What is near is always meant by squared distance.

    Attributes:
        index: FAISS's own.
        spread: (lists,) float32, root of the mean squared distance of a list's vectors from its centre.
        list_of: (rows,) int32, the list that a vector is in.
        centres: (lists, dim) float32.
    """

    index: faiss.IndexIVFScalarQuantizer
    spread: np.ndarray
    list_of: np.ndarray
    centres: np.ndarray

    @classmethod
    def build(cls, vectors: np.ndarray) -> Self:
        """Sorts vectors (rows, dim) float32 into lists, about twice as many as the root of their number."""
        rows, dim = vectors.shape
        count = max(1, min(rows, int(2 * rows**0.5)))
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatL2(dim), dim, count, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_L2
        )
        index.cp.niter, index.cp.max_points_per_centroid, index.cp.seed = _ROUNDS, _SAMPLED, _SEED
        index.cp.min_points_per_centroid = 1  # of fewer than FAISS likes it warns on the standard output
        sample = np.random.default_rng(_SEED).choice(rows, min(rows, _SAMPLED * count), replace=False)
        index.train(vectors[np.sort(sample)])
        list_of, squared = np.empty(rows, np.int64), np.empty(rows, np.float32)
        for some in _blocks(rows):
            block = np.ascontiguousarray(vectors[some])
            distances, nearest = index.quantizer.search(block, 1)
            list_of[some], squared[some] = nearest[:, 0], distances[:, 0]
            places = (faiss.swig_ptr(block), None, faiss.swig_ptr(np.ascontiguousarray(nearest)))
            index.add_core(len(block), *places)
        sums = np.bincount(list_of, squared, minlength=count)
        spread = np.sqrt(sums / np.maximum(np.bincount(list_of, minlength=count), 1))
        return cls.of(index, spread.astype(np.float32))

    @classmethod
    def of(cls, index: faiss.IndexIVFScalarQuantizer, spread: np.ndarray) -> Self:
        """Returns the lists of an index that was read from a file, with their spread (lists,)."""
        list_of = np.empty(index.ntotal, np.int32)
        for number in range(index.nlist):
            if size := index.invlists.list_size(number):
                list_of[faiss.rev_swig_ptr(index.invlists.get_ids(number), size)] = number
        centres = index.quantizer.reconstruct_n(0, index.nlist)
        return cls(index, np.asarray(spread, np.float32), list_of, centres)

    def __len__(self) -> int:
        """Returns the number of lists."""
        return len(self.centres)

    def candidates(self, queries: np.ndarray, count: int, probes: int) -> np.ndarray:
        """Returns the positions (queries, count) of what is near by eight bits; −1 where there is no more.

        Args:
            queries: (queries, dim) float32.
            count: candidates wanted.
            probes: how many lists are looked through, those with the nearest centres.
        """
        parameters = faiss.SearchParametersIVF(nprobe=probes)  # pyright: ignore[reportCallIssue]
        return self.index.search(queries, count, params=parameters)[1]

    def candidates_in(
        self, query: np.ndarray, count: int, chosen: np.ndarray, bits: np.ndarray | None
    ) -> np.ndarray:
        """Returns positions (some,) of the allowed vectors of some lists that are near by eight bits.

        Args:
            query: (1, dim) float32.
            count: candidates wanted.
            chosen: (lists,) int64, numbers of the lists.
            bits: the allowed rows as `scan.bitmap` gives them; None for all.
        """
        values, positions = np.empty((1, count), np.float32), np.empty((1, count), np.int64)
        far = np.zeros((1, len(chosen)), np.float32)  # distances of the centres, wanted and not used
        parameters = faiss.SearchParametersIVF(nprobe=len(chosen))  # pyright: ignore[reportCallIssue]
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)  # pyright: ignore[reportCallIssue]
        parameters.sel = selector
        asked = (faiss.swig_ptr(each) for each in (chosen, far, values, positions))
        # The wrapper for Python takes no parameters.
        self.index.search_preassigned_c(1, faiss.swig_ptr(query), count, *asked, False, parameters, None)
        return positions[0, positions[0] >= 0]

    def least(self, query: np.ndarray, width: float) -> np.ndarray:
        """Returns the squared distances (lists,) below which a list's vectors are not to be expected.

        On average a vector of a list is at its centre's squared distance plus the squared spread, and off
        that by twice the product of distance, spread and the cosine of an angle that is nearly a right one.

        Args:
            query: (dim,) float32.
            width: the largest such cosine that is allowed for.
        """
        distance = np.linalg.norm(self.centres - query, axis=1)
        return distance**2 + self.spread**2 - 2 * width * distance * self.spread

    def widths(self, queries: np.ndarray, squared: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Returns the width (queries, some) from which on `least` is not above the distance of some rows.

        Args:
            queries: (queries, dim) float32.
            squared: (queries, some), their squared distances.
            positions: (queries, some), the rows.
        """
        lists = self.list_of[positions]
        distance = np.linalg.norm(self.centres[lists] - queries[:, None], axis=2)
        spread = np.maximum(self.spread[lists], np.float32(1e-9))
        return (distance**2 + spread**2 - squared) / np.maximum(2 * distance * spread, np.float32(1e-9))


def _blocks(rows: int) -> Iterator[slice]:
    for first in range(0, rows, _BLOCK):
        yield slice(first, min(rows, first + _BLOCK))
