"""Slides in DICOM: the tiles of a file laid together, and files that are one slide at several sizes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom

from mermed_core.imaging.dicom_header import MATRIX, TileGrid, stated, stored_frames, tile_grid
from mermed_core.imaging.dicom_pixels import StoredValues, read_stored_values
from mermed_core.imaging.frames import Box
from mermed_core.imaging.slides import Size, paste


def slide_size(source: bytes | Path) -> Size | None:
    """Returns height and width of the picture that a DICOM file's tiles make, None where they make none."""
    header = stated(source, ("Rows", "Columns", "NumberOfFrames", *MATRIX))
    grid = None if header is None else tile_grid(header)
    return (grid.height, grid.width) if grid else None


def slide_copies(files: Sequence[bytes | Path]) -> list[int]:
    """Returns the positions of files that are one slide at several sizes, the largest first.

    Args:
        files: of one series.

    Returns:
        None of them unless all are slides; of two of one size only the first.
    """
    known: dict[Size, int] = {}
    for position, data in enumerate(files):
        size = slide_size(data)
        if size is None:
            return []
        known.setdefault(size, position)
    return [known[size] for size in sorted(known, reverse=True)]


def read_tiles(dataset: pydicom.FileDataset, grid: TileGrid, part: Box) -> StoredValues:
    """Returns the stored values of a part of a picture; only the tiles that it touches are decoded."""
    rows = range(part.top // grid.tile_height, (part.top + part.height - 1) // grid.tile_height + 1)
    columns = range(part.left // grid.tile_width, (part.left + part.width - 1) // grid.tile_width + 1)
    frames = stored_frames(dataset)
    tile = read_stored_values(dataset, rows[0] * grid.across + columns[0], frames)
    kind = np.uint8 if 0 < tile.bits <= 8 and tile.values.min(initial=0) >= 0 else tile.values.dtype
    values = np.zeros((part.height, part.width, *tile.values.shape[2:]), kind)
    for row in rows:
        for column in columns:
            tile = read_stored_values(dataset, row * grid.across + column, frames)
            top, left = row * grid.tile_height - part.top, column * grid.tile_width - part.left
            paste(values, tile.values, top, left)
    return replace(tile, values=values, container=values)
