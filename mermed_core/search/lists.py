"""Vectors in lists of their like, eight bits a number (FAISS's IVF with a scalar quantiser)."""

# FAISS describes its functions in C++ incompletely to type checkers.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from dataclasses import dataclass, replace
from typing import Self

import faiss
import numpy as np

from mermed_core.search.quantised import StoredVectors, blocks

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
    def build(cls, vectors: np.ndarray | StoredVectors) -> Self:
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
        return cls.of(index, np.zeros(count, np.float32)).extended(vectors)

    @classmethod
    def of(cls, index: faiss.IndexIVFScalarQuantizer, spread: np.ndarray) -> Self:
        """Returns the lists of an index that was read from a file, with their spread (lists,)."""
        list_of = np.empty(index.ntotal, np.int32)
        for number in range(index.nlist):
            if size := index.invlists.list_size(number):
                list_of[faiss.rev_swig_ptr(index.invlists.get_ids(number), size)] = number
        centres = index.quantizer.reconstruct_n(0, index.nlist)
        return cls(index, np.asarray(spread, np.float32), list_of, centres)

    def extended(self, vectors: np.ndarray | StoredVectors) -> Self:
        """Sorts further vectors (rows, dim) in, behind the others; these lists must not be used any more."""
        sums = np.bincount(self.list_of, minlength=len(self)) * np.square(self.spread, dtype=np.float64)
        for some in blocks(len(vectors), _BLOCK):
            block = np.ascontiguousarray(vectors[some])
            distances, nearest = self.index.quantizer.search(block, 1)
            sums += np.bincount(nearest[:, 0], distances[:, 0], minlength=len(self))
            places = (faiss.swig_ptr(block), None, faiss.swig_ptr(np.ascontiguousarray(nearest)))
            self.index.add_core(len(block), *places)
        lists = self.of(self.index, self.spread)
        sizes = np.bincount(lists.list_of, minlength=len(self))
        return replace(lists, spread=np.sqrt(sums / np.maximum(sizes, 1)).astype(np.float32))

    def keeping(self, kept: np.ndarray) -> Self:
        """Takes vectors out; those kept move up. These lists must not be used any more.

        The centre of a list that is left empty is the mean of vectors that are gone, or the only one itself:
        it is replaced by the centre of another list.

        Args:
            kept: mask (rows,).
        """
        empty = np.setdiff1d(np.arange(len(self)), self.list_of[kept])
        selector = faiss.IDSelectorBatch(np.flatnonzero(~kept))  # pyright: ignore[reportCallIssue]
        self.index.remove_ids(selector)
        position = np.cumsum(kept) - 1
        for number in range(self.index.nlist):
            if size := self.index.invlists.list_size(number):
                ids = faiss.rev_swig_ptr(self.index.invlists.get_ids(number), size)
                ids[:] = position[ids]
        if kept.any():
            quantiser = faiss.downcast_index(self.index.quantizer)
            centres = faiss.rev_swig_ptr(quantiser.get_xb(), self.centres.size).reshape(self.centres.shape)
            centres[empty] = centres[self.list_of[kept][0]]
        return self.of(self.index, self.spread)

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
