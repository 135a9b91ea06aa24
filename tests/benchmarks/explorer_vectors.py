"""Any number of vectors that lie as the atlas's do, with its records, and real ones to ask with."""

from dataclasses import dataclass

import faiss
import numpy as np
import pandas as pd

from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_ATLAS

_NEIGHBOURS = 16
_HELD_OUT = 1000
_BLOCK = 50_000


@dataclass(frozen=True)
class Made:
    """Made vectors and real queries.

    Attributes:
        vectors: (cases, dim) float32, unit norm.
        records: a row a case: source, modality and labels of the real case that it was made from.
        queries: (queries, dim) float32, vectors of real cases that none was made from.
        asked: a row a query, likewise.
    """

    vectors: np.ndarray
    records: pd.DataFrame
    queries: np.ndarray
    asked: pd.DataFrame


def make(cases: int, seed: int = 0) -> Made:
    """Moves each real vector along differences of its neighbours, so that clusters and their shapes are real.

    Each case is a random real one plus twice a random .3 to .8 of the difference of two of its 16 neighbours.
    """
    generator = np.random.default_rng(seed)
    atlas = load_collection(BUNDLED_ATLAS)
    real, records = atlas.vectors[:], atlas.records[["source", "modality", "labels"]]
    held_out = generator.choice(len(real), _HELD_OUT, replace=False)
    kept = np.setdiff1d(np.arange(len(real)), held_out)
    base = np.ascontiguousarray(real[kept])
    _, near = faiss.knn(base, base, _NEIGHBOURS + 1, metric=faiss.METRIC_INNER_PRODUCT)
    vectors, origins = np.empty((cases, real.shape[1]), np.float32), generator.integers(0, len(base), cases)
    for first in range(0, cases, _BLOCK):
        of = origins[first : first + _BLOCK]
        moved = base[of].copy()
        for _ in range(2):
            one, other = (near[of, generator.integers(1, _NEIGHBOURS + 1, len(of))] for _ in range(2))
            share = generator.uniform(0.3, 0.8, (len(of), 1)).astype(np.float32)
            moved += share * (base[one] - base[other])
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        vectors[first : first + _BLOCK] = moved
    return Made(
        vectors,
        records.iloc[kept[origins]].reset_index(drop=True),
        np.ascontiguousarray(real[held_out]),
        records.iloc[held_out].reset_index(drop=True),
    )
