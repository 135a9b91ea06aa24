"""The map and its clusters: time and trustworthiness against umap-learn, clusters against labels."""

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pandas as pd
from explorer_vectors import make
from sklearn.metrics import adjusted_mutual_info_score

from mermed_core.collections.clusters import find_clusters
from mermed_core.collections.layout import MIN_DIST
from mermed_core.collections.projection import LANDMARKS, NEIGHBOURS, compute_map
from mermed_core.search.engine import Hits
from mermed_core.search.self_search import nearest_to_each

Result = TypeVar("Result")
_SEED = 7
_WARM = 1000  # cases that both sides map before they are timed: what they compile is compiled then
_ASKED = 2000  # cases that the trustworthiness is measured on
_BLOCK = 50


def measure(cases: int, umap: bool = True) -> dict[str, float]:
    """Prints the tables; returns `umap_speedup` and `umap_trustworthiness_difference` among others.

    The speed-up is of the time on the clock; both sides are seeded, so that umap-learn uses one thread for
    its layout. Trustworthiness is that of the 15 nearest on the map, cosine against Euclidean distances.

    Args:
        cases: how many.
        umap: whether umap-learn runs as well, which takes an hour at a million.
    """
    made = make(cases)
    vectors = made.vectors
    print(f"\nMap of {cases:,} cases, {LANDMARKS:,} landmarks at most\n")
    print(f"{'':24}{'s':>9}{'CPU s':>9}{'trustworthiness':>18}")
    compute_map(vectors[:_WARM], nearest_to_each(vectors[:_WARM], NEIGHBOURS))
    near, *neighbours = _timed(lambda: nearest_to_each(vectors, NEIGHBOURS))
    own, *layout = _timed(lambda: compute_map(vectors, near))
    asked = np.random.default_rng(_SEED).choice(cases, min(_ASKED, cases), replace=False)
    trust = trustworthiness(vectors, own, asked)
    print(f"{'neighbours':24}{neighbours[0]:9.1f}{neighbours[1]:9.1f}")
    print(f"{'layout':24}{layout[0]:9.1f}{layout[1]:9.1f}{trust:18.4f}")
    figures = {"map_s": neighbours[0] + layout[0], "map_trustworthiness": trust}
    if umap:
        figures |= _beside_umap(vectors, asked, trust, figures["map_s"], neighbours[1] + layout[1])
    return figures | _clusters(near, made.records)


def _beside_umap(
    vectors: np.ndarray, asked: np.ndarray, trust: float, seconds: float, cpu_seconds: float
) -> dict[str, float]:
    from umap import UMAP

    def run(some: np.ndarray) -> np.ndarray:
        reducer = UMAP(metric="cosine", min_dist=MIN_DIST, random_state=_SEED, n_jobs=1)
        return np.asarray(reducer.fit_transform(some))

    run(vectors[:_WARM])
    theirs, taken, cpu = _timed(lambda: run(vectors))
    reached = trustworthiness(vectors, theirs, asked)
    print(f"{'umap-learn':24}{taken:9.1f}{cpu:9.1f}{reached:18.4f}")
    return {
        "umap_speedup": taken / seconds,
        "umap_cpu_ratio": cpu / cpu_seconds,
        "umap_trustworthiness_difference": trust - reached,
    }


def _clusters(near: Hits, records: pd.DataFrame) -> dict[str, float]:
    levels, taken, cpu = _timed(lambda: find_clusters(near.positions))
    print(f"\nClusters, all levels: {taken:.1f} s, {cpu:.1f} CPU s\n")
    print(f"{'clusters':>10}{'AMI label':>12}{'modality':>12}{'source':>12}")
    labels = pd.Series(["|".join(names) if names is not None else "" for names in records["labels"]])
    figures = {"clusters_s": taken}
    for level in levels:
        label, modality, source = (
            adjusted_mutual_info_score(column, level)
            for column in (labels, records["modality"], records["source"])
        )
        print(f"{level.max() + 1:10}{label:12.3f}{modality:12.3f}{source:12.3f}")
        figures["clusters_ami"] = max(label, figures.get("clusters_ami", 0.0))
    return figures


def trustworthiness(
    vectors: np.ndarray, places: np.ndarray, asked: np.ndarray, count: int = NEIGHBOURS
) -> float:
    """Returns how true the nearest on the map of some cases are to their vectors, 0..1.

    That of scikit-learn, which ranks all cases for all cases, as a mean over the cases that are asked for.

    Args:
        vectors: (cases, dim) unit vectors, compared by cosine.
        places: (cases, 2) on the map.
        asked: positions of the cases that it is measured on.
        count: neighbours on the map.
    """
    cases, beyond = len(vectors), 0
    for block in np.array_split(asked, -(-len(asked) // _BLOCK)):
        similarities = vectors[block] @ vectors.T
        distances = ((places[block][:, None] - places[None]) ** 2).sum(axis=2)
        similarities[np.arange(len(block)), block] = np.inf
        distances[np.arange(len(block)), block] = -1
        near = np.argpartition(distances, count, axis=1)[:, : count + 1]
        for row, found in zip(similarities, near, strict=True):
            ranks = (row[None] > row[found][:, None]).sum(axis=1)
            beyond += int(np.maximum(ranks - count, 0).sum())
    return 1 - 2 * beyond / (len(asked) * count * (2 * cases - 3 * count - 1))


def _timed(work: Callable[[], Result]) -> tuple[Result, float, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - clock, time.process_time() - cpu
