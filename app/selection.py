"""Which cases are selected: a bit for each point of the map as a browser sends it, or ids as programs do."""

import base64
import binascii

import numpy as np

from mermed_core.collections.collection import Collection
from mermed_core.errors import CollectionError


def from_map(order: np.ndarray, bits: object) -> np.ndarray:
    """Returns the positions of the points that the map's script names, sorted.

    Args:
        order: (cases,) the position in the collection of each point.
        bits: base64 of a bit a point, the first in the lowest bit of the first byte.

    Raises:
        CollectionError: the bits are no base64, or not as many as there are points.
    """
    try:
        packed = np.frombuffer(base64.b64decode(str(bits), validate=True), np.uint8)
    except (binascii.Error, ValueError) as error:
        raise CollectionError("The selection cannot be read; select on the map again.") from error
    if len(packed) != (len(order) + 7) // 8:
        raise CollectionError("The selection is of another collection; reload the page and select again.")
    return np.sort(order[np.unpackbits(packed, bitorder="little")[: len(order)].astype(bool)])


def from_text(collection: Collection, selected: str) -> np.ndarray:
    """Returns the positions of some cases, ids one a line, in their order.

    Raises:
        CollectionError: a case does not exist.
    """
    return np.array([collection.position(line) for line in selected.splitlines() if line], np.int64)
