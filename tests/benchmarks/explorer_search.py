"""The search section of bench_explorer.py: our engine beside FAISS itself, at equal settings and exact."""

import importlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import faiss
import numpy as np
from explorer_vectors import Made, make

from mermed_core.collections.collection import filter_columns, filter_masks
from mermed_core.search.engine import SearchEngine
from mermed_core.search.faiss_engine import FaissEngine
from mermed_core.search.ivf_engine import IvfEngine
from mermed_core.search.quantised import QuantisedVectors, StoredVectors
from mermed_core.search.scan import bitmap
from mermed_core.search.stored import FLAT, open_engine
from mermed_core.search.tuning import build_ivf, recall

COUNT = 10
NEAR, FAR = "one source, asked from it", "one source, asked from elsewhere"
_KEPT = "ours, eight bits as a collection keeps them"
_SOURCE = "ham10000"  # the largest; another modality is as far from it as the atlas has it
_ROUNDS, _A_ROUND = 4, 30

Search = Callable[[np.ndarray], object]


@dataclass(frozen=True)
class Times:
    """Seconds of single queries, of the clock and of the thread's CPU."""

    wall: list[float]
    cpu: list[float]

    @property
    def rate(self) -> float:
        """Queries a second of CPU time in the middle query: what else the machine does counts for little."""
        return 1 / statistics.median(self.cpu)

    def __str__(self) -> str:
        p50, p95 = np.quantile(self.wall, [0.5, 0.95]) * 1e3
        return f"{p50:.2f} | {p95:.2f} | {statistics.median(self.cpu) * 1e3:.2f}"


def measure(cases: int, beside: int) -> dict[str, float]:
    """Measures the whole section, prints its tables and returns its figures.

    Args:
        cases: vectors in the index.
        beside: vectors for hnswlib and usearch, whose graphs take long to build; 0 for neither.
    """
    faiss.omp_set_num_threads(1)
    made = make(cases)
    note(f"{cases:,} vectors of {made.vectors.shape[1]} numbers made from the atlas")
    engine = _engine(made)
    bare, flat = _bare(engine)
    single = _unfiltered(engine, bare, flat, made)
    filtered = _filtered(engine, flat, made)
    batches = _batches(engine, bare, flat, made)
    if beside:
        _beside(made, min(beside, cases))
    return {**single, **filtered, **batches}


def note(text: str) -> None:
    """Tells how far it is."""
    print(text, file=sys.stderr, flush=True)


def _engine(made: Made) -> IvfEngine:
    """Builds the engine as a collection does, from the file again where one is kept."""
    masks = filter_masks(filter_columns(made.records))
    cpu = time.process_time()
    engine: SearchEngine | None
    if len(made.vectors) <= FLAT:
        engine = build_ivf(FaissEngine.build(made.vectors, on_gpu=False), masks)
    else:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            engine = open_engine(made.vectors, place, "made", masks, on_gpu=False)
            built, size = time.process_time() - cpu, sum(file.stat().st_size for file in place.iterdir())
            cpu = time.process_time()
            open_engine(made.vectors, place, "made", on_gpu=False)
            print(f"built and tuned in {built:.0f} CPU s, {size / 1e6:.0f} MB beside the vectors, ", end="")
            print(f"read again in {time.process_time() - cpu:.2f} CPU s")
    assert isinstance(engine, IvfEngine), "no setting finds enough"
    print(f"{len(engine.lists)} lists, {engine.settings}")
    return engine


def _bare(engine: IvfEngine) -> tuple[faiss.Index, faiss.Index]:
    """Returns FAISS's own index with refinement at the same settings, and its exact one."""
    bare = faiss.IndexRefineFlat(engine.lists.index, faiss.swig_ptr(engine.exact.scan.vectors))
    bare.k_factor = engine.settings.refine
    engine.lists.index.nprobe = engine.settings.probes[COUNT]
    return bare, faiss.downcast_index(bare.refine_index)


def _unfiltered(engine: IvfEngine, bare: faiss.Index, flat: faiss.Index, made: Made) -> dict[str, float]:
    true = engine.exact.search(made.queries, COUNT).positions
    found = engine.search(made.queries, COUNT).positions
    codes = StoredVectors.of(QuantisedVectors.encode(made.vectors))
    kept = IvfEngine(FaissEngine.build(codes, on_gpu=False), engine.lists, engine.settings)
    sides: dict[str, Search] = {
        "ours": lambda query: engine.search(query, COUNT),
        _KEPT: lambda query: kept.search(query, COUNT),
        "FAISS, equal settings": lambda query: bare.search(query, COUNT),
        "FAISS, flat": lambda query: flat.search(query, COUNT),
    }
    times = _in_turn(sides, made.queries, {"FAISS, flat": 5})
    print("\n| one query, one thread | p50 ms | p95 ms | CPU ms, middle | recall@10 |\n|---|---|---|---|---|")
    recalls = {"ours": recall(found, true), "FAISS, flat": 1.0}
    recalls[_KEPT] = recall(kept.search(made.queries, COUNT).positions, true)
    recalls["FAISS, equal settings"] = recall(bare.search(made.queries, COUNT)[1], true)
    for name, taken in times.items():
        print(f"| {name} | {taken} | {recalls[name]:.4f} |")
    return {
        "search_rate_ratio": times["ours"].rate / times["FAISS, equal settings"].rate,
        "speedup_over_flat": times["ours"].rate / times["FAISS, flat"].rate,
        "recall_at_10": recalls["ours"],
    }


def _filtered(engine: IvfEngine, flat: faiss.Index, made: Made) -> dict[str, float]:
    print("\n| filter | passes | recall@10 | exact | p50 ms | p95 ms | CPU ms, middle ", end="")
    print("| flat with bitmap: p50 ms | p95 ms | CPU ms, middle | ours / flat |\n" + "|---" * 11 + "|")
    recalls, ratios = [], []
    for name, (mask, queries) in _filters(made).items():
        true = engine.exact.search(queries, COUNT, mask).positions
        # One by one, as the page asks.
        hits = [engine.search(query[None], COUNT, mask) for query in queries]
        share = recall(np.concatenate([each.positions for each in hits]), true)
        selector = faiss.IDSelectorBitmap(bitmap(mask))  # pyright: ignore[reportCallIssue]
        parameters = faiss.SearchParameters(sel=selector)  # pyright: ignore[reportCallIssue]
        sides: dict[str, Search] = {
            "ours": lambda query, mask=mask: engine.search(query, COUNT, mask),
            "flat": lambda query, parameters=parameters: flat.search(query, COUNT, params=parameters),
        }
        times = _in_turn(sides, queries, {"ours": 8, "flat": 4})
        ratio = times["flat"].rate / times["ours"].rate
        exact = statistics.mean(each.exact for each in hits)
        print(
            f"| {name} | {mask.sum():,} | {share:.4f} | {exact:.0%} | {times['ours']} | {times['flat']} ",
            end="",
        )
        print(f"| {ratio:.2f} |", flush=True)
        recalls.append(share)
        ratios.append(ratio)
    return {"filtered_recall_at_10": min(recalls), "filtered_time_ratio": max(ratios)}


def _filters(made: Made, most: int = 50) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
    """Returns masks and the queries that are asked under each, by name."""
    generator = np.random.default_rng(1)
    chance = generator.random(len(made.vectors))
    source, modality = (made.records["source"] == _SOURCE).to_numpy(), made.records["modality"].to_numpy()
    asked_source, asked = (made.asked["source"] == _SOURCE).to_numpy(), made.asked["modality"].to_numpy()
    chosen = {
        "50 %": (chance < 0.5, np.ones(len(made.queries), bool)),
        "5 %": (chance < 0.05, np.ones(len(made.queries), bool)),
        "0.1 %": (chance < 0.001, np.ones(len(made.queries), bool)),
        NEAR: (source, asked_source),
        FAR: (source, ~asked_source),
        "all other sources, asked from it": (~source, asked_source),
        "one modality, asked from another": (modality == "cxr", asked != "cxr"),
        "one source and half of it, asked from elsewhere": (source & (chance < 0.5), ~asked_source),
    }
    return {
        name: (mask, made.queries[who][:most]) for name, (mask, who) in chosen.items() if mask.sum() >= COUNT
    }


def _batches(engine: IvfEngine, bare: faiss.Index, flat: faiss.Index, made: Made) -> dict[str, float]:
    """Returns `search_batch_rate_ratio`, to FAISS at equal settings on one thread."""
    print("\n| a batch of 256, queries a second | ours | FAISS, equal settings | FAISS, flat |")
    print("|---|---|---|---|")
    queries, ratios = made.queries[:256], []
    for threads in sorted({1, os.cpu_count() or 1}):
        faiss.omp_set_num_threads(threads)
        sides: list[Search] = [lambda some: engine.search(some, COUNT), lambda some: bare.search(some, COUNT)]
        taken = [[_seconds(side, queries) for side in sides] for _ in range(_ROUNDS)]
        rates = [len(queries) / statistics.median(each) for each in zip(*taken, strict=True)]
        ratios.append(rates[0] / rates[1])
        rates.append(len(queries) / _seconds(lambda some: flat.search(some, COUNT), queries))
        print(f"| {threads} thread{'s' * (threads > 1)} | {' | '.join(f'{rate:.0f}' for rate in rates)} |")
    faiss.omp_set_num_threads(1)
    return {"search_batch_rate_ratio": ratios[0]}


def _beside(made: Made, cases: int) -> None:
    """Measures hnswlib and usearch, where they are installed, beside flat on fewer vectors."""
    vectors, queries = made.vectors[:cases], made.queries[:100]
    flat = FaissEngine.build(vectors, on_gpu=False)
    true = flat.search(queries, COUNT).positions
    base = _in_turn({"flat": lambda query: flat.search(query, COUNT)}, queries, {"flat": 10})["flat"].rate
    print(f"\n| {cases:,} vectors, one thread | built in CPU s | times flat's rate | recall@10 |")
    print("|---|---|---|---|")
    for name, build in (("hnswlib", _hnswlib), ("usearch", _usearch)):
        try:
            library = importlib.import_module(f"{name}.index" if name == "usearch" else name)
        except ImportError:
            print(f"| {name} | not installed | | |")
            continue
        cpu = time.process_time()
        label, search = build(library, vectors)
        built = time.process_time() - cpu
        found = np.stack([search(query[None]) for query in queries])
        rate = _in_turn({name: search}, queries, {})[name].rate
        print(
            f"| {name}, {label} | {built:.0f} | {rate / base:.1f} | {recall(found, true):.4f} |", flush=True
        )


def _hnswlib(library: ModuleType, vectors: np.ndarray) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    graph = library.Index(space="ip", dim=vectors.shape[1])
    graph.init_index(max_elements=len(vectors), ef_construction=100, M=16)
    graph.set_num_threads(1)
    graph.add_items(vectors)
    graph.set_ef(128)
    return "M 16, ef 128", lambda query: graph.knn_query(query, COUNT)[0][0].astype(np.int64)


def _usearch(library: ModuleType, vectors: np.ndarray) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    graph = library.Index(
        ndim=vectors.shape[1], metric="ip", dtype="i8", connectivity=16, expansion_search=128
    )
    graph.add(np.arange(len(vectors)), vectors, threads=1)
    return "i8, expansion 128", lambda query: graph.search(query[0], COUNT).keys.astype(np.int64)


def _in_turn(sides: Mapping[str, Search], queries: np.ndarray, most: Mapping[str, int]) -> dict[str, Times]:
    """Times queries one by one, all sides in turn, so that a busy moment of the machine meets all of them.

    Every other query begins at the other end: who is asked first finds nothing of it in the cache.

    Args:
        sides: what is timed, by name.
        queries: (queries, dim).
        most: queries a round of sides that are slow; 30 of others.
    """
    times, names = {name: Times([], []) for name in sides}, list(sides)
    for number in range(_ROUNDS * _A_ROUND):
        query, place = queries[number % len(queries)][None], number % _A_ROUND
        for name in names[:: -1 if number % 2 else 1]:
            if place >= most.get(name, _A_ROUND):
                continue
            wall, cpu = time.perf_counter(), time.thread_time()
            sides[name](query)
            times[name].cpu.append(time.thread_time() - cpu)
            times[name].wall.append(time.perf_counter() - wall)
    return times


def _seconds(search: Search, queries: np.ndarray) -> float:
    start = time.perf_counter()
    search(queries)
    return time.perf_counter() - start
