"""The look-up tables of a DICOM header: grey-scale tables and colour palettes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from mermed_core.errors import DamagedImageError
from mermed_core.imaging.windowing import look_up

_COLOURS = ("Red", "Green", "Blue")
_DAMAGED = "A table of the DICOM file is damaged. Export or send it again."


@dataclass(frozen=True)
class GreyTable:
    """A modality or VOI table.

    Attributes:
        first: the value that its first entry stands for.
        entries: one for each value from there on.
        top: the greatest number that its entries can have: white.
        narrowed: whether the entries use so few of the stated bits that `top` was taken from them.
    """

    first: int
    entries: np.ndarray
    top: int
    narrowed: bool

    def shown(self, values: np.ndarray) -> np.ndarray:
        """Returns the entry of each value; those outside take the first or the last."""
        return look_up(values, self.first, self.entries)


def read_grey_table(item: Dataset, dataset: pydicom.FileDataset, values: np.ndarray) -> GreyTable:
    """Returns the table of an item of ModalityLUTSequence or VOILUTSequence.

    Tables claim 16 bits often enough where their entries have 12, which would leave the picture dark: where
    no entry reaches the upper half of the stated range, the range is that of the bits that they use.

    Args:
        item: the sequence's item.
        dataset: the file's, for its byte order.
        values: those to look up; a table may state its first value unsigned where they are signed.
    """
    count, first, bits = _descriptor(item, "LUTDescriptor")
    if first >= 2**15 and values.min(initial=0) < 0:
        first -= 2**16
    entries = _numbers(item.get("LUTData"), count, dataset)
    used = max(1, int(entries.max(initial=0)).bit_length())
    narrowed = used < bits
    top = (1 << (used if narrowed or not 0 < bits <= 16 else max(bits, used))) - 1
    return GreyTable(first, entries, top, narrowed)


def apply_palette(
    values: np.ndarray, dataset: pydicom.FileDataset
) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """Returns red, green and blue (height, width, 3) of palette indices, how many bits they have, and notes.

    Entries of 8 bits are written as bytes, or each in a word of 16 bits, whatever the descriptor says.
    """
    count, first, stated = _descriptor(dataset, "RedPaletteColorLookupTableDescriptor")
    if first >= 2**15 and values.min(initial=0) < 0:
        first -= 2**16
    if dataset.get("RedPaletteColorLookupTableData"):
        channels = [
            _numbers(dataset.get(f"{colour}PaletteColorLookupTableData"), count, dataset)
            for colour in _COLOURS
        ]
        table = np.stack([channel[: min(map(len, channels))] for channel in channels], axis=-1)
    else:  # in segments, which pydicom unfolds
        if count > 256 and stated == 8:
            raise DamagedImageError(_DAMAGED)
        table = apply_color_lut(np.arange(first, first + count), dataset)[..., :3]
    bits = 8 if int(table.max(initial=0)) < 256 else 16
    notes = ("The palette's colours use 8 of 16 bits and were scaled from those.",) if bits < stated else ()
    return look_up(values, first, table), bits, notes


def _descriptor(holder: Dataset, keyword: str) -> tuple[int, int, int]:
    """Returns how many entries a table has, the value of the first, and the bits of an entry."""
    try:
        count, first, bits = (int(value) for value in holder[keyword].value)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedImageError(_DAMAGED) from error
    return count or 2**16, first, bits


def _numbers(data: Any, count: int, dataset: pydicom.FileDataset) -> np.ndarray:
    """Returns a table's entries, whether pydicom took them for bytes or for numbers."""
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        data = data[: len(data) // 2 * 2] if len(data) >= 2 * count else data
        numbers = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * count else np.uint8)
    else:
        numbers = np.atleast_1d(np.asarray(data if data is not None else [], np.int64))
    if not len(numbers):
        raise DamagedImageError(_DAMAGED)
    return numbers[:count].astype(np.int32)
