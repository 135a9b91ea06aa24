"""The two-dimensional map of a collection: UMAP on neighbours that FAISS found, kept as numbers.

Of a large collection some cases, the landmarks, are laid out first; the others are placed among them and then
all move a little. A new image is placed among the coordinates of its neighbours, so that serving needs no
layout and the place of one image does not depend on which others come with it.
"""

import numpy as np

from mermed_core.collections.layout import lay_out, membership_graph, principal_start
from mermed_core.records import MapPoint
from mermed_core.search.engine import Hits
from mermed_core.search.self_search import nearest_of_many, nearest_to_each

NEIGHBOURS = 15
LANDMARKS = 100_000
_SEED = 7
_EPOCHS, _EPOCHS_OF_FEW, _FEW = 200, 500, 10_000
_REFINING, _REFINING_RATE = 40, 0.25
_PLACING = 8  # landmarks that another case is placed among
_HALVING = 0.02  # of cosine behind the nearest neighbour, which halves a neighbour's weight
_CORE = (0.5, 99.5)  # percentiles between which the places keep their distances
_RIM = 0.12  # of half the width: where what lies farther out is drawn together


def compute_map(vectors: np.ndarray, near: Hits, landmarks: int = LANDMARKS) -> np.ndarray:
    """Computes the map of unit vectors (cases, dim) as float32 coordinates (cases, 2).

    Deterministic on one machine; another may give another map, so it is the coordinates that are kept.

    Args:
        vectors: float32.
        near: the `NEIGHBOURS` others nearest to each, see `nearest_to_each`.
        landmarks: cases that are laid out from the start; with more the others are placed among them.
    """
    count = len(vectors)
    if count <= 3:  # too few for a neighbour graph: a line
        return np.column_stack([np.arange(count), np.zeros(count)]).astype(np.float32)
    graph = membership_graph(near.values, near.positions)
    if count <= landmarks:
        epochs = _EPOCHS_OF_FEW if count <= _FEW else _EPOCHS
        return fill_frame(lay_out(graph, principal_start(vectors), epochs))
    start = _placed_among(vectors, np.random.default_rng(_SEED).choice(count, landmarks, replace=False))
    return fill_frame(lay_out(graph, start, _REFINING, _REFINING_RATE))


def place(similarities: np.ndarray, coordinates: np.ndarray) -> MapPoint:
    """Places an image at the weighted mean of its neighbours' coordinates, the nearest counting most.

    Args:
        similarities: (neighbours,) cosine similarities, highest first.
        coordinates: (neighbours, 2) of the same neighbours.
    """
    x, y = place_each(similarities[None], coordinates[None])[0]
    return MapPoint(float(x), float(y))


def place_each(similarities: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Places images (images, 2) as `place` does one.

    Args:
        similarities: (images, neighbours) cosine similarities, highest first.
        coordinates: (images, neighbours, 2) of the same neighbours.
    """
    weights = np.exp2(-(similarities[:, :1] - similarities) / _HALVING)
    return (weights[..., None] * coordinates).sum(axis=1) / weights.sum(axis=1, keepdims=True)


def fill_frame(coordinates: np.ndarray) -> np.ndarray:
    """Lays a map (cases, 2) with its longer side across, and draws the outermost points in to a narrow rim.

    A handful of outliers would otherwise take most of the frame. Distances stay as they are but for those of
    the outermost half per cent on each side, whose order stays.
    """
    centred = coordinates - np.median(coordinates, axis=0)
    axes = np.linalg.eigh(np.cov(centred, rowvar=False, dtype=np.float64))[1][:, ::-1]
    turned = centred @ (axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]]))
    low, high = np.percentile(turned, _CORE, axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-9)
    from_middle = (turned - middle) / half
    beyond = np.maximum(np.abs(from_middle) - 1, 0)
    drawn_in = np.clip(from_middle, -1, 1) + np.sign(from_middle) * beyond / (1 + beyond / _RIM)
    return (drawn_in * half + middle).astype(np.float32)


def _placed_among(vectors: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Lays out the cases at some positions and places all others among them; returns places (cases, 2)."""
    chosen = np.sort(chosen)
    landmarks = np.ascontiguousarray(vectors[chosen])
    near = nearest_to_each(landmarks, NEIGHBOURS)
    places = lay_out(membership_graph(near.values, near.positions), principal_start(landmarks), _EPOCHS)
    similarities, positions, _ = nearest_of_many(vectors, landmarks, _PLACING)
    start = place_each(similarities, places[positions]).astype(np.float32)
    start[chosen] = places
    return start
