"""Search in a part of the vectors, which finds nearly all of the nearest: for a hundred thousand and more."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import faiss
import numpy as np

from mermed_core.search.engine import Hits, SearchEngine
from mermed_core.search.faiss_engine import FaissEngine
from mermed_core.search.lists import Lists
from mermed_core.search.scan import bitmap

GATHERED = 30_000  # allowed vectors up to which all are compared: no detour is faster
# Of the allowed vectors in lists the share from which on comparing all of them costs no more.
_MOST_IN_LISTS = 0.6


@dataclass(frozen=True)
class Settings:
    """How much is looked through, as `tuning` found it.

    Attributes:
        probes: lists for so many hits; more hits than any number here are searched for as under a filter.
        refine: candidates by eight bits for each hit, to be compared again with full vectors.
        width: which lists are looked through under a filter, see `Lists.least`; infinite where all allowed
            vectors are compared instead.
        recall: share of the ten nearest that are found, on queries that nothing was chosen by.
        filtered_recall: the same under the filter of those tried under which it is least.
    """

    probes: Mapping[int, int]
    refine: int
    width: float
    recall: float
    filtered_recall: float

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        finite = self.width if np.isfinite(self.width) else None
        probes = {str(count): number for count, number in self.probes.items()}
        return {**asdict(self), "probes": probes, "width": finite}

    @classmethod
    def from_dict(cls, stated: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` gave; raises KeyError, TypeError or ValueError where it is something else."""
        width = np.inf if stated["width"] is None else float(stated["width"])
        probes = {int(count): int(number) for count, number in stated["probes"].items()}
        rest = (float(stated[name]) for name in ("recall", "filtered_recall"))
        return cls(dict(sorted(probes.items())), int(stated["refine"]), width, *rest)


class IvfEngine(SearchEngine):
    """Looks through the lists that are near, and compares the candidates again with full vectors.

    Under a filter the lists that can hold one of the nearest allowed vectors are looked through, or all
    allowed vectors compared where there are few or where that costs no more. Searches without a filter run on
    the GPU where there is one, and are exact there.

    Attributes:
        exact: compares all.
        lists: the vectors in lists.
        settings: how much is looked through.
    """

    def __init__(self, exact: FaissEngine, lists: Lists, settings: Settings) -> None:
        self.exact = exact
        self.lists = lists
        self.settings = settings
        self._scan = exact.scan
        self._refining = exact.scan.refining(lists.index)
        self._parameters = {
            number: _parameters(number, settings.refine) for number in settings.probes.values()
        }
        # Lists for so many hits of a usual search, which asks for few of many vectors.
        usual = settings.probes if len(self) > GATHERED else {}
        self._usual = tuple(
            (most, number) for most, number in usual.items() if most * settings.refine * 2 < len(self)
        )

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.exact.dim

    @property
    def recall(self) -> float:
        """Share of the ten nearest that are found, with a filter or without one, as measured when tuned."""
        return min(self.settings.recall, self.settings.filtered_recall)

    def __len__(self) -> int:
        """Returns the number of vectors."""
        return len(self.exact)

    def search(self, queries: np.ndarray, count: int, allowed: np.ndarray | None = None) -> Hits:
        """Finds the vectors nearest to each query; see `SearchEngine.search`."""
        if allowed is None and len(queries) and not self.exact.on_gpu:
            for most, probes in self._usual:  # first of all, as each line costs 5 µs, see `_refine`
                if count <= most:
                    return self._near(queries, count, probes)
        among = len(self) if allowed is None else int(np.count_nonzero(allowed))
        hits, settings = min(count, among), self.settings
        # So many hits that half of the vectors are candidates gain nothing by a detour.
        if among <= GATHERED or hits * settings.refine * 2 >= among or not len(queries):
            return self.exact.search(queries, hits, allowed)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if allowed is None and self.exact.on_gpu:
            return self.exact.search(queries, hits)
        if not np.isfinite(settings.width):
            return self.exact.search(queries, hits, allowed)
        return self._bounded(queries, hits, allowed)

    def _near(self, queries: np.ndarray, count: int, probes: int) -> Hits:
        """Looks through a fixed number of lists."""
        values, positions = self._refine(queries, count, probes)
        # Where the lists of a query held too few, −1 stands first or last. Plain lists: see `_refine`.
        if min(positions[:, 0].tolist()) < 0 or min(positions[:, -1].tolist()) < 0:
            short = np.flatnonzero(positions.min(axis=1) < 0)
            asked = np.ascontiguousarray(queries[short], dtype=np.float32)
            values[short], positions[short] = self._scan.nearest(asked, count)
        return Hits(values, positions, exact=False)

    def _refine(self, queries: np.ndarray, count: int, probes: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns values and positions (queries, count) of the candidates that are best by full vectors."""
        if self._refining is None:
            queries = np.ascontiguousarray(queries, dtype=np.float32)
            candidates = self.lists.candidates(queries, count * self.settings.refine, probes)
            return self._scan.best_at(queries, candidates, count)
        # One call: after a search the processor's caches hold vectors, and every line of Python is slow, most
        # of all those that numpy counts or compares in.
        found = self._refining.search(queries, count, params=self._parameters[probes])
        return self._scan.refined(*found)

    def _bounded(self, queries: np.ndarray, count: int, allowed: np.ndarray | None) -> Hits:
        """Looks through every list that can hold a hit, query by query; compares all where that is most."""
        bits = None if allowed is None else bitmap(allowed)
        lists_allowed = self.lists.list_of if allowed is None else self.lists.list_of[allowed]
        sizes = np.bincount(lists_allowed, minlength=len(self.lists))
        values = np.empty((len(queries), count), np.float32)
        positions = np.empty((len(queries), count), np.int64)
        far = []
        for row, query in enumerate(queries):
            found = self._in_lists(query[None], count, bits, sizes)
            if found is None:
                far.append(row)
            else:
                values[row], positions[row] = found
        if far:
            all_compared = self.exact.search(queries[far], count, allowed)
            values[far], positions[far] = all_compared
        return Hits(values, positions, exact=len(far) == len(queries))

    def _in_lists(
        self, query: np.ndarray, count: int, bits: np.ndarray | None, sizes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns values and positions (count,) of a query (1, dim); None where all must be compared."""
        least = self.lists.least(query[0], self.settings.width)
        least[sizes == 0] = np.inf
        order = np.argsort(least)
        values, positions = np.empty((1, 0), np.float32), np.empty((1, 0), np.int64)
        done, step, most = 0, next(iter(self.settings.probes.values())), _MOST_IN_LISTS * sizes.sum()
        while True:
            chosen = order[done : done + step]
            more = self.lists.candidates_in(query, count * self.settings.refine, chosen, bits)[None]
            values = np.concatenate([values, self._scan.values_at(query, more)], axis=1)
            positions = np.concatenate([positions, more], axis=1)
            values, positions = self._scan.best(values, positions, count)
            done += len(chosen)
            enough = positions.shape[1] == count
            wanted = int(np.searchsorted(least[order], self._squared(values[0, -1]))) if enough else done * 2
            if enough and wanted <= done:
                return values[0], positions[0]
            if sizes[order[:wanted]].sum() > most or done >= np.count_nonzero(sizes):
                return None
            step = min(wanted - done, done)

    def _squared(self, value: float) -> float:
        """Returns a value as a squared distance; of unit vectors where the metric is cosine."""
        return 2 - 2 * value if self._scan.metric == "cosine" else value


def _parameters(probes: int, refine: int) -> faiss.IndexRefineSearchParameters:
    """Returns how FAISS is to look through so many lists and refine so many candidates a hit."""
    parameters = faiss.IndexRefineSearchParameters()
    parameters.k_factor = float(refine)
    parameters.base_index_params = faiss.SearchParametersIVF(nprobe=probes)  # pyright: ignore[reportCallIssue]
    return parameters
