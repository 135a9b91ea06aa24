"""Which cases are selected, as text that the page keeps: ids where they are few, else one bit a case."""

import base64
import binascii
from collections.abc import Sequence

import numpy as np

from mermed_core.collections.collection import Collection
from mermed_core.errors import CollectionError

_BITS = "bits:"
_FEW = 500


def from_map(order: np.ndarray, points: Sequence[object], bits: str) -> np.ndarray:
    """Returns the positions of points that the map's script names, sorted; what is no point is left out.

    Args:
        order: (cases,) the position in the collection of each point.
        points: numbers of points, where they are few.
        bits: base64 of a bit a point, the first in the lowest bit of the first byte; "" for `points`.

    Raises:
        CollectionError: the bits are no base64, or not as many as there are points.
    """
    if bits:
        return np.sort(order[_unpacked(bits, len(order))])
    known = {point for point in points if type(point) is int and 0 <= point < len(order)}
    return np.sort(order[sorted(known)])


def as_text(collection: Collection, positions: np.ndarray, *, few: int = _FEW) -> str:
    """Returns sorted positions as case ids, one a line, or as "bits:" and base64 of a bit a record.

    Args:
        collection: whose cases they are.
        positions: rows of its records.
        few: up to so many cases are ids.
    """
    if len(positions) <= few:
        return "\n".join(collection.records["case_id"].iloc[positions])
    mask = np.zeros(len(collection), bool)
    mask[positions] = True
    return _BITS + base64.b64encode(np.packbits(mask, bitorder="little").tobytes()).decode()


def from_text(collection: Collection, selected: str) -> np.ndarray:
    """Returns the positions that `as_text` or a program wrote, in its order.

    Raises:
        CollectionError: a case does not exist, or the bits do not fit the collection.
    """
    if selected.startswith(_BITS):
        return np.flatnonzero(_unpacked(selected.removeprefix(_BITS), len(collection)))
    return np.array([collection.position(line) for line in selected.splitlines() if line], np.int64)


def _unpacked(bits: str, count: int) -> np.ndarray:
    try:
        packed = np.frombuffer(base64.b64decode(bits, validate=True), np.uint8)
    except (binascii.Error, ValueError) as error:
        raise CollectionError("The selection cannot be read; select on the map again.") from error
    if len(packed) != (count + 7) // 8:
        raise CollectionError("The selection is of another collection; reload the page and select again.")
    return np.unpackbits(packed, bitorder="little")[:count].astype(bool)
