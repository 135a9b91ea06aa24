"""Builds an index of lists and finds out how much of it must be looked through, against exact search."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from mermed_core.search.faiss_engine import FaissEngine
from mermed_core.search.ivf_engine import GATHERED, IvfEngine, Settings
from mermed_core.search.lists import Lists

logger = logging.getLogger(__name__)

TARGET = 0.99  # recall that an index must have
_AIM = 0.995  # what is chosen for, as other queries find less than those that were chosen by
_COUNTS = (10, 30, 100)
_PROBES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_REFINE = (2, 4, 8)
_QUERIES = 256
_FILTERS = 16  # of those given, the ones that let most vectors pass
_FILTER_QUERIES = 48
_SEED = 11


def build_ivf(exact: FaissEngine, filters: Iterable[np.ndarray] = ()) -> IvfEngine | None:
    """Builds the index and tunes it; None where no setting finds enough in less than all lists.

    Args:
        exact: the vectors.
        filters: masks (rows,) of the kind that will be searched under. Random ones are tried as well, and
            ones that let pass one side of space, which is the hardest for a query on the other.
    """
    lists = Lists.build(exact.scan.vectors)
    generator = np.random.default_rng(_SEED)
    origins, queries = likely_queries(exact, generator)
    settings = _tune(exact, lists, queries)
    if settings is None:
        logger.info("lists find too few of the nearest here; every search compares all vectors")
        return None
    engine = IvfEngine(exact, lists, settings)
    engine = IvfEngine(exact, lists, _tune_filters(engine, queries, origins, filters, generator))
    logger.info("the index finds %.2f %% of the ten nearest", 100 * engine.recall)
    return engine


def recall(found: np.ndarray, true: np.ndarray) -> float:
    """Returns the share of true positions (queries, count) that are among those found (queries, some)."""
    return float(np.mean([np.isin(row, other).mean() for row, other in zip(true, found, strict=True)]))


def measured_recall(engine: IvfEngine) -> float:
    """Returns the share of the ten nearest that an engine finds without a filter, on made-up queries."""
    _, queries = likely_queries(engine.exact, np.random.default_rng(_SEED))
    found = engine.search(queries, _COUNTS[0]).positions
    return recall(found, engine.exact.search(queries, _COUNTS[0]).positions)


def likely_queries(exact: FaissEngine, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns vectors as new ones would lie, (queries, dim), and the rows that they were made from.

    A vector that is indexed finds itself, which a new one does not: each is moved by a part of the difference
    of two of its neighbours.
    """
    vectors = exact.scan.vectors
    origins = generator.choice(len(vectors), min(_QUERIES, len(vectors)), replace=False)
    near = exact.search(vectors[origins], 12).positions
    one, other = (near[np.arange(len(near)), generator.integers(1, near.shape[1], len(near))] for _ in "12")
    share = generator.uniform(0.3, 1, (len(near), 1)).astype(np.float32)
    moved = vectors[origins] + share * (vectors[one] - vectors[other])
    if exact.scan.metric == "cosine":
        moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), np.float32(1e-9))
    return origins, np.ascontiguousarray(moved, np.float32)


def _tune(exact: FaissEngine, lists: Lists, queries: np.ndarray) -> Settings | None:
    """Finds the fewest lists, then the fewest candidates, on every other query; measures on the others."""
    most = min(_COUNTS[-1], len(exact) // 16)
    true = exact.search(queries, most).positions
    chosen: dict[int, int] = {}
    refine, found = _REFINE[0], {}
    for probes, count in itertools.product(_PROBES, _COUNTS):
        if count in chosen or count > most or probes > len(lists) // 2:
            continue
        if any(fewer not in chosen for fewer in _COUNTS if fewer < count):
            continue  # more hits never get fewer lists
        if probes not in found:
            found[probes] = lists.candidates(queries, most * _REFINE[-1], probes)
        enough = _enough(exact, queries[::2], found[probes][::2], true[::2, :count])
        if enough:
            chosen[count] = probes
            refine = max(refine, enough)
    if _COUNTS[0] not in chosen:
        return None
    unseen = Settings(dict(sorted(chosen.items())), refine, np.inf, 0, 1)
    hits = IvfEngine(exact, lists, unseen)._near(queries[1::2], _COUNTS[0], chosen[_COUNTS[0]])
    measured = recall(hits.positions, true[1::2, : _COUNTS[0]])
    return replace(unseen, recall=measured) if measured >= TARGET else None


def _enough(exact: FaissEngine, queries: np.ndarray, candidates: np.ndarray, true: np.ndarray) -> int:
    """Returns how many candidates a hit are enough, 0 where no number is."""
    for refine in _REFINE:
        some = np.ascontiguousarray(candidates[:, : true.shape[1] * refine])
        _, found = exact.scan.best(exact.scan.values_at(queries, some), some, true.shape[1])
        if recall(found, true) >= _AIM:
            return refine
    return 0


def _tune_filters(
    engine: IvfEngine,
    queries: np.ndarray,
    origins: np.ndarray,
    filters: Iterable[np.ndarray],
    generator: np.random.Generator,
) -> Settings:
    """Finds the width from which on enough is found under every filter, or that there is none."""
    count, exact, settings = _COUNTS[0], engine.exact, engine.settings
    tried = []
    for mask in (*_most_passing(filters), *_made_up(engine, generator)):
        asked = _near_and_far(mask[origins])
        tried.append((mask, queries[asked], exact.search(queries[asked], count, mask).positions))
    width = 0.0
    for _, asked, true in tried:
        values = exact.scan.values_at(asked[::2], np.ascontiguousarray(true[::2]))
        squared = 2 - 2 * values if exact.scan.metric == "cosine" else values
        width = max(width, float(np.quantile(engine.lists.widths(asked[::2], squared, true[::2]), _AIM)))
    for _ in range(4):
        settings = replace(settings, width=width)
        wider = IvfEngine(exact, engine.lists, settings)
        least = min(
            recall(wider._bounded(asked[1::2], count, mask).positions, true[1::2])
            for mask, asked, true in tried
        )
        if least >= TARGET:
            return replace(settings, filtered_recall=least)
        width *= 1.2
    return replace(settings, width=np.inf, filtered_recall=1.0)


def _most_passing(filters: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Returns the filters that are not answered by comparing all allowed vectors anyway."""
    kept = [(int(np.count_nonzero(mask)), number, mask) for number, mask in enumerate(filters)]
    kept = [(passing, number, mask) for passing, number, mask in kept if GATHERED < passing < len(mask)]
    return [mask for *_, mask in sorted(kept, key=lambda each: each[:2], reverse=True)[:_FILTERS]]


def _made_up(engine: IvfEngine, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields random filters and filters of one side of space."""
    lists = engine.lists
    for share in (0.5, 0.05):
        yield generator.random(len(engine)) < share
    for share in (0.5, 0.8):
        along = lists.centres @ generator.normal(size=engine.dim).astype(np.float32)
        yield (along > np.quantile(along, share))[lists.list_of]


def _near_and_far(inside: np.ndarray) -> np.ndarray:
    """Returns numbers of queries, half from inside a filter and half from outside where there are any."""
    half = _FILTER_QUERIES // 2
    near, far = np.flatnonzero(inside)[:half], np.flatnonzero(~inside)[:half]
    both = np.concatenate([near, far])
    # Even and odd places are chosen by and measured on: each must hold both kinds.
    return both[np.argsort(np.concatenate([np.arange(len(near)), np.arange(len(far))]) // 2, kind="stable")]
