"""Where the visitor's image falls on the collection's map: a small still picture with a star."""

from weakref import WeakKeyDictionary

import numpy as np
from PIL import ImageColor

from mermed_core.collections.collection import Collection
from mermed_core.modalities import MODALITIES
from mermed_core.records import Analysis

from ..texts import answer_text
from .pictures import png_uri
from .templates import render

_SIZE = (160, 90)  # columns and rows of the picture
_MARGIN = 0.05
_SKETCHES: WeakKeyDictionary[Collection, str] = WeakKeyDictionary()


def place(collection: Collection | None, analysis: Analysis) -> str:
    """Returns the map with a star where the image falls; "" without a collection or a place."""
    if collection is None or analysis.point is None or not analysis.neighbours:
        return ""
    (x,), (y,) = _shares(collection, np.array([[analysis.point.x, analysis.point.y]])).T
    return render(
        "place.html",
        words=answer_text,
        sketch=_sketch(collection),
        x=f"{100 * min(max(float(x), 0.02), 0.98):.1f}",
        y=f"{100 * min(max(float(y), 0.04), 0.96):.1f}",
        said=answer_text.place_among(len(collection), analysis.neighbours[0].case.modality)
        if analysis.in_distribution
        else answer_text.place_of_unknown(len(collection)),
    )


def _shares(collection: Collection, points: np.ndarray) -> np.ndarray:
    """Returns where points (points, 2) of the map lie in the picture, 0..1 from its left and its top."""
    low, high = np.quantile(collection.coordinates, [0.001, 0.999], axis=0)
    shares = (points - low) / np.maximum(high - low, 1e-9)
    shares[:, 1] = 1 - shares[:, 1]  # the map counts upwards
    return _MARGIN + (1 - 2 * _MARGIN) * shares


def _sketch(collection: Collection) -> str:
    """Returns the map as a picture, drawn once; it goes with the collection, which may be a visitor's own."""
    if collection not in _SKETCHES:
        _SKETCHES[collection] = _drawn(collection)
    return _SKETCHES[collection]


def _drawn(collection: Collection) -> str:
    """Returns the map as a picture: a cell has the colour of its most frequent modality."""
    columns, rows = _SIZE
    places = (_shares(collection, np.asarray(collection.coordinates)) * _SIZE).astype(int)
    cells = np.clip(places[:, 1], 0, rows - 1) * columns + np.clip(places[:, 0], 0, columns - 1)
    of = collection.columns["modality"]
    counts = np.stack(
        [np.bincount(cells[of.contains([key])], minlength=rows * columns) for key in MODALITIES]
    )
    colours = np.array([ImageColor.getrgb(each.colour)[:3] for each in MODALITIES.values()], np.uint8)
    total = counts.sum(axis=0)
    opacity = np.where(total > 0, 90 + 165 * np.minimum(np.log1p(total) / np.log(20), 1), 0).astype(np.uint8)
    pixels = np.column_stack([colours[counts.argmax(axis=0)], opacity]).reshape(rows, columns, 4)
    return png_uri(pixels)
