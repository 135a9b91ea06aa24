"""Which DICOM images belong together, and in which order: read from their headers, and then forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from mermed_core.imaging.dicom_header import MATRIX, number, stated, text, tile_grid
from mermed_core.imaging.dicom_slide import slide_copies, slide_size

_TAGS = (
    *("SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "Rows", "Columns", "NumberOfFrames", *MATRIX),
    "ImageType",
    *("ImagePositionPatient", "ImageOrientationPatient"),
)

_OTHER_PARTS = ("LABEL", "OVERVIEW")  # pictures of the glass, beside those of what lies on it


@dataclass(frozen=True)
class _Place:
    """Where an image stands: which series, the series' number, the place along it, and the image's number."""

    series: tuple[object, ...]
    series_number: float
    along: float | None
    instance: float


def group_series(files: Sequence[bytes | Path]) -> list[list[int]]:
    """Returns the positions of files that are leafed through together, in order.

    DICOM images of one series, size and direction form a group, ordered along the direction that their planes
    face, or by their numbers where some do not say where they lie. Every other file is a group of its own.
    Groups stand where their first file stood, those of a study in the order of the series' numbers.
    """
    places = [_place(data) for data in files]
    groups: dict[object, list[int]] = {}
    for position, place in enumerate(places):
        groups.setdefault(position if place is None else place.series, []).append(position)
    ordered = [_in_order(group, places) for group in groups.values()]
    numbers = [_series_number(group, places) for group in ordered]
    slots = [i for i, each in enumerate(numbers) if each is not None]
    by_number = sorted(slots, key=lambda i: numbers[i] or 0.0)
    result = list(ordered)
    for slot, source in zip(slots, by_number, strict=True):
        result[slot] = ordered[source]
    return result


def join_slides(files: Sequence[bytes | Path]) -> list[list[int]]:
    """Returns the positions of files that are one picture: the sizes of a slide, the largest first.

    Every other file stands alone, also one of a size that a slide has already; in the order of the files.
    """
    several = [group for group in group_series(files) if len(group) > 1]
    slides = [[group[each] for each in slide_copies([files[i] for i in group])] for group in several]
    taken = {position for slide in slides for position in slide}
    alone = [[position] for position in range(len(files)) if position not in taken]
    return sorted([*filter(None, slides), *alone], key=min)


def slide_files(path: Path) -> list[Path]:
    """Returns a file and, where it is a DICOM slide, smaller copies of it beside it, the largest first."""
    if slide_size(path) is None:
        return [path]
    beside = sorted(each for each in path.parent.iterdir() if each.is_file())
    joined = next(each for each in join_slides(beside) if beside.index(path) in each)
    return [beside[each] for each in joined[joined.index(beside.index(path)) :]]


def _series_number(group: list[int], places: list[_Place | None]) -> float | None:
    place = places[group[0]]
    return None if place is None else place.series_number


def _in_order(group: list[int], places: list[_Place | None]) -> list[int]:
    found = [(place, position) for position in group if (place := places[position]) is not None]
    if len(found) < 2:
        return group
    spatial = all(place.along is not None for place, _ in found)
    spatial = spatial and len({place.along for place, _ in found}) > 1
    key = (lambda each: (each[0].along, each[0].instance)) if spatial else (lambda each: each[0].instance)
    return [position for _, position in sorted(found, key=key)]


def _place(data: bytes | Path) -> _Place | None:
    """Returns the place of a DICOM image of a series; None for what is no DICOM file or says nothing."""
    header = stated(data, _TAGS)
    series = "" if header is None else text(header, "SeriesInstanceUID")
    if header is None or not series:
        return None
    if grid := tile_grid(header):  # the sizes of one slide, the largest first
        shown = [each for each in _OTHER_PARTS if each in (header.get("ImageType") or ())]
        key = (series, "slide", *shown)
        return _Place(key, number(header, "SeriesNumber") or 0.0, -float(grid.width), 0.0)
    facing = _numbers(header, "ImageOrientationPatient", 6)
    at = _numbers(header, "ImagePositionPatient", 3)
    along = None
    if facing is not None and at is not None:
        along = round(float(np.cross(facing[:3], facing[3:]) @ at), 3)
    size = number(header, "Rows"), number(header, "Columns")
    turned = None if facing is None else tuple(np.round(facing, 2) + 0.0)
    return _Place(
        (series, *size, turned),
        number(header, "SeriesNumber") or 0.0,
        along,
        number(header, "InstanceNumber") or 0.0,
    )


def _numbers(header: Dataset, keyword: str, count: int) -> np.ndarray | None:
    found = [number(header, keyword, position) for position in range(count)]
    return None if None in found else np.array(found, float)
