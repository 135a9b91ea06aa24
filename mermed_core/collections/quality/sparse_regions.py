"""Regions of a collection that few cases cover: small groups of cases that lie apart from the rest."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.case_words import label_words
from mermed_core.collections.quality.findings import CheckResult, Suspect, ranked
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.collections.quality.outliers import lonely_distances
from mermed_core.collections.told import grouping_notes
from mermed_core.modalities import MODALITIES

NAME = "regions"
_SPARSE = 0.95  # share of its modality's cases that lie closer to others than a case of a sparse region
_LINKS = 3  # nearest cases that a case is linked with
_SMALLEST = 3  # cases; fewer are outliers, not a region
_FEWEST = 20  # cases of a modality below which none of its regions can be called sparse
_EXAMPLES = 5


def sparse_regions(neighbours: Neighbourhood, kinds: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Finds groups of cases that are near to each other and far from all others.

    The 5 % of each kind's cases that lie farthest from those around them, linked where one is among the
    other's three nearest; what hangs together is a region.

    Args:
        neighbours: of all cases.
        kinds: (cases,) such as their modality.

    Returns:
        The positions of the cases of each region, and how many times farther from others than its kind's
        median each case lies (cases,).
    """
    distances = lonely_distances(neighbours)
    farther, sparse = np.ones(len(kinds)), np.zeros(len(kinds), bool)
    for kind in np.unique(kinds):
        rows = np.flatnonzero((kinds == kind) & np.isfinite(distances))
        if len(rows) >= _FEWEST:
            farther[rows] = np.exp(distances[rows] - np.median(distances[rows]))
            sparse[rows] = distances[rows] > np.quantile(distances[rows], _SPARSE)
    near = neighbours.positions[:, :_LINKS]
    linked = (near >= 0) & sparse[near] & sparse[:, None] & (kinds[near] == kinds[:, None])
    first, second = np.broadcast_to(np.arange(len(kinds))[:, None], near.shape)[linked], near[linked]
    graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(kinds), len(kinds)))
    _, parts = connected_components(graph, directed=False)
    regions = [
        np.asarray(rows) for rows in pd.Series(np.flatnonzero(sparse)).groupby(parts[sparse]).agg(list)
    ]
    return [rows for rows in regions if len(rows) >= _SMALLEST], farther


def check_regions(collection: Collection, neighbours: Neighbourhood, most: int) -> CheckResult:
    """Ranks sparse regions by how far their cases lie from others, with where on the map they are."""
    records = collection.records
    regions, farther = sparse_regions(neighbours, records["modality"].to_numpy())
    words = label_words(collection)
    suspects = []
    for rows in regions:
        rows = rows[np.argsort(-farther[rows], kind="stable")]
        part, score = records.loc[rows], float(np.median(farther[rows]))
        x, y = np.median(collection.coordinates[rows], axis=0)
        kind = MODALITIES[str(part["modality"].iat[0])].name
        labels = part["labels"].explode().dropna().value_counts()
        most_frequent = (f"{words(str(label))} {count}" for label, count in labels.head(3).items())
        named = ", ".join(most_frequent) or "unlabelled"
        suspects.append(
            Suspect(
                score,
                f"{len(rows)} {kind} cases lie {score:.1f} times as far from others as is usual ({named})",
                tuple(map(str, part["case_id"].head(_EXAMPLES))),
                True,
                {
                    "region_cases": len(rows),
                    "sources": ", ".join(map(str, part["source"].value_counts().index[:3])),
                    "map_x": round(float(x), 3),
                    "map_y": round(float(y), 3),
                },
            )
        )
    return CheckResult(
        NAME,
        "Regions that few cases cover",
        "How many times farther from cases of other patients the region's cases lie than is usual in their "
        f"modality; regions are made of the {1 - _SPARSE:.0%} that lie farthest.",
        "By its definition it holds a twentieth of the cases at most; which of them matter is not measured.",
        ranked(suspects, most),
        notes=grouping_notes(records),
    )
