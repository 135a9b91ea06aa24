"""DICOM files to RGB pixels, as the file says that they should be shown."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset

from mermed_core.errors import ImageTooLargeError, UnsupportedFormatError
from mermed_core.imaging.colours import Pixels, colour_to_rgb, to_srgb, ybr_to_rgb
from mermed_core.imaging.dicom_header import (
    check_header,
    functional_group,
    has_overlay,
    items,
    number,
    parse_dicom,
    text,
    tile_grid,
)
from mermed_core.imaging.dicom_modality import header_modality
from mermed_core.imaging.dicom_pixels import StoredValues, read_stored_values
from mermed_core.imaging.dicom_slide import read_tiles, slide_size
from mermed_core.imaging.dicom_tables import apply_palette, read_grey_table
from mermed_core.imaging.frames import Box
from mermed_core.imaging.geometry import true_proportion
from mermed_core.imaging.grey_values import Decoded, Values, Window
from mermed_core.imaging.limits import Limits, check_size, too_large
from mermed_core.imaging.slides import FullSize, fitting, on_level, region_notes, size_notes
from mermed_core.imaging.windowing import scale_to_bytes, stretch_ends

_YBR_FULL = ("YBR_FULL", "YBR_FULL_422")
_YBR_PARTIAL = ("YBR_PARTIAL_420", "YBR_PARTIAL_422")
# The transform of JPEG 2000 is undone by its decoder; a header that still names it means RGB.
_RGB = ("RGB", "YBR_ICT", "YBR_RCT", "MONOCHROME1", "MONOCHROME2")
_MOST_WINDOWS = 8  # of those that a file states
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


def read_dicom(data: bytes, frame: int, limits: Limits, copies: Sequence[bytes] = ()) -> Decoded:
    """Reads one frame; of a slide, all tiles of the largest of its files that may be read.

    Args:
        data: the file.
        frame: which frame, from 0.
        limits: on what is read.
        copies: files of the same slide at smaller sizes, the largest first.

    Raises:
        ImageError: no pixels, too large, no such frame, compressed in a way that is not read, or damaged.
    """
    dataset = parse_dicom(data, limits)
    grid = tile_grid(dataset)
    if grid is None:
        return _read_part(dataset, frame, limits)
    sizes = [(grid.height, grid.width), *filter(None, map(slide_size, copies))]
    chosen = fitting(sizes, limits)
    if chosen is None:
        raise ImageTooLargeError(
            f"The slide has {grid.width} × {grid.height} pixels; at most {limits.max_pixels / 1e6:.0f} "
            "million are read at once. Open the files of its smaller sizes together with it."
        )
    if chosen == 0:
        return _read_part(dataset, frame, limits)
    read = _read_part(parse_dicom(copies[chosen - 1], limits), frame, limits)
    said = size_notes(sizes, chosen, _micrometres(dataset))
    full = FullSize(*sizes[0], said) if read.pixels.shape[:2] == sizes[chosen] else None
    return replace(read, notes=(*said, *read.notes), full=full)


def read_dicom_region(
    data: bytes, region: Box, limits: Limits, copies: Sequence[bytes] = ()
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns a region of a slide that is too large to be read whole, and notes on the level that it is of.

    Args:
        data: the file.
        region: inside it, in pixels.
        limits: on the pixels of the region; a larger one is read of a copy.
        copies: files of the same slide at smaller sizes, the largest first.

    Returns:
        Pixels (height, width, 3) uint8 or deep grey values (height, width).
    """
    sizes = [size for size in map(slide_size, (data, *copies)) if size is not None]
    chosen = fitting(sizes, limits, region) if sizes else None
    if chosen is None:
        raise too_large(region.width, region.height, limits)
    part = on_level(region, sizes[0], sizes[chosen])
    first = parse_dicom(data, limits)
    read = _read_part(parse_dicom(copies[chosen - 1], limits) if chosen else first, 0, limits, part)
    values = read.pixels if read.values is None else read.values.values
    return values, region_notes(sizes, chosen, _micrometres(first))


def _micrometres(dataset: Dataset) -> float | None:
    """Returns how wide a pixel is, None where the file does not say it."""
    _, millimetres = _pixel_size(dataset, 0)
    return None if millimetres is None else 1000 * millimetres


def _read_part(dataset: pydicom.FileDataset, frame: int, limits: Limits, part: Box | None = None) -> Decoded:
    """Reads one frame, or the tiles of a slide or of a part of it."""
    frames = check_header(dataset, frame, limits)
    grid = tile_grid(dataset)
    if grid is None:
        stored = read_stored_values(dataset, frame, frames)
    else:
        part = part or Box(0, 0, grid.height, grid.width)
        check_size(part.width, part.height, limits)
        stored = read_tiles(dataset, grid, part)
    values, size = None, _pixel_size(dataset, frame)
    modality = header_modality(text(dataset, "Modality"), text(dataset, "BodyPartExamined"))
    if stored.values.ndim == 3 or stored.photometric == "PALETTE COLOR":
        pixels, notes = _colour(stored, dataset)
    else:
        grey, notes, values = _grey(stored, dataset, frame)
        pixels = np.repeat(grey[:, :, None], 3, axis=2)
        proportionate, _ = true_proportion(values.values, *size, limits)
        hounsfield = text(dataset, "Modality") == "CT"
        values = replace(values, values=proportionate, hounsfield=hounsfield)
    pixels, proportion = true_proportion(pixels, *size, limits)
    shown = (f"Frame {frame + 1} of {frames} is shown.",) if frames > 1 else ()
    notes = (*notes, *proportion, *shown, *_text_and_lines(dataset))
    return Decoded(pixels, frames, notes, values, modality)


def _text_and_lines(dataset: Dataset) -> tuple[str, ...]:
    notes = []
    if has_overlay(dataset):
        notes.append("Lines or text that the file keeps apart from its picture are not shown.")
    if text(dataset, "BurnedInAnnotation") == "YES":
        notes.append("The file says that text is burned into the picture: it may name the patient.")
    return tuple(notes)


def _pixel_size(dataset: Dataset, frame: int) -> tuple[float | None, float | None]:
    """Returns the height and the width of a pixel, in a unit of their own; None where nothing says them."""
    measures = functional_group(dataset, frame, "PixelMeasuresSequence")
    for holder, keyword in [(measures, "PixelSpacing"), *((dataset, keyword) for keyword in _SPACINGS)]:
        if holder is not None and number(holder, keyword) and number(holder, keyword, 1):
            return number(holder, keyword), number(holder, keyword, 1)
    return number(dataset, "PixelAspectRatio"), number(dataset, "PixelAspectRatio", 1)


def _colour(stored: StoredValues, dataset: pydicom.FileDataset) -> Pixels:
    values, photometric, bits = stored.values, stored.photometric, stored.bits
    notes: tuple[str, ...] = ()
    if photometric == "PALETTE COLOR":
        values, bits, notes = apply_palette(values, dataset)
    elif photometric in (*_YBR_FULL, *_YBR_PARTIAL):
        values = ybr_to_rgb(values, bits, partial=photometric in _YBR_PARTIAL)
    elif photometric not in _RGB:
        raise UnsupportedFormatError(
            "The DICOM file's colours are not red, green and blue. Export it as RGB."
        )
    pixels, scaled = colour_to_rgb(values, bits or None)
    image, converted = to_srgb(Image.fromarray(pixels), _profile(dataset))
    return np.asarray(image), (*notes, *scaled, *converted)


def _profile(dataset: Dataset) -> bytes | None:
    for holder in (dataset, *items(dataset, "OpticalPathSequence")):
        profile = holder.get("ICCProfile")
        if isinstance(profile, bytes) and profile:
            return profile
    return None


def _grey(
    stored: StoredValues, dataset: pydicom.FileDataset, frame: int
) -> tuple[np.ndarray, tuple[str, ...], Values]:
    """Returns grey values (height, width) uint8 through rescale and window, how in words, and before it."""
    values = stored.values
    rescaled, padding = _rescaled(values, dataset, frame), _padding(stored, dataset)
    show, notes = _own_way(rescaled, dataset, frame)
    image = np.where(padding, np.nan, rescaled)
    if show is None and stored.bits == 8 and np.array_equal(rescaled, values) and values.min(initial=0) >= 0:
        show, notes = _as_stored_bytes, (f"{notes[0]} grey values are shown as they are stored.",)
    elif show is None:
        show = partial(_stretched, ends=stretch_ends(image))
        notes = (f"{notes[0]} grey values were stretched from the darkest to the brightest 0.5 %.",)
    grey = show(rescaled)
    inverted = stored.photometric == "MONOCHROME1" or text(dataset, "PresentationLUTShape") == "INVERSE"
    if inverted:
        grey, notes = 255 - grey, (*notes, "Dark and bright are exchanged, as the file asks.")
    if dataset.get("RedPaletteColorLookupTableDescriptor"):
        notes = (*notes, "The file's colours for a part of its grey values are not shown.")
    before = Values(image, show, _stated_windows(dataset, frame), inverted, notes=notes)
    return np.where(padding, np.uint8(0), grey), notes, before


def _as_stored_bytes(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint8)


def _stretched(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    return scale_to_bytes(np.where(np.isfinite(values), values, ends[0]), *ends)


def _rescaled(values: np.ndarray, dataset: pydicom.FileDataset, frame: int) -> np.ndarray:
    """Returns stored values in their unit (such as Hounsfield), float64."""
    macro = functional_group(dataset, frame, "PixelValueTransformationSequence")
    tables = items(dataset, "ModalityLUTSequence")
    if macro is None and tables:
        return read_grey_table(tables[0], dataset, values).shown(values).astype(np.float64)
    holder = macro or dataset
    # A slope of zero would leave nothing of the picture; it is written where none is meant.
    return values * (number(holder, "RescaleSlope") or 1.0) + (number(holder, "RescaleIntercept") or 0.0)


def _padding(stored: StoredValues, dataset: Dataset) -> np.ndarray:
    """Returns where the header says that there is no image, as booleans of the shape of the values.

    A padding value that does not fit into the bits that count is sought in the whole container; one that fits
    nowhere marks nothing.
    """
    values, signed = stored.values, number(dataset, "PixelRepresentation") == 1
    value, limit = number(dataset, "PixelPaddingValue"), number(dataset, "PixelPaddingRangeLimit")
    if value is None or not stored.bits:
        return np.zeros(values.shape, bool)
    both = (value, value if limit is None else limit)
    bounds = [_as_stored(int(bound), stored.bits, signed) for bound in both]
    low, high = min(bounds), max(bounds)
    least, most = (-(1 << stored.bits - 1), 1 << stored.bits - 1) if signed else (0, 1 << stored.bits)
    held = stored.container if low >= most or high < least else values
    return (held >= low) & (held <= high)


def _as_stored(value: int, bits: int, signed: bool) -> int:
    """Returns a padding value as the pixels have it: it is written unsigned for signed ones, or reversed."""
    if not signed:
        return value + 2**16 if value < 0 else value
    if value >= 2**15:
        return value - 2**16
    return value - (1 << bits) if 1 << bits - 1 <= value < 1 << bits else value


def _own_way(
    values: np.ndarray, dataset: pydicom.FileDataset, frame: int
) -> tuple[Callable[[np.ndarray], np.ndarray] | None, tuple[str, ...]]:
    """Returns how the file wants grey values shown, or None and the first half of a note why not."""
    holder = functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    centre, width = number(holder, "WindowCenter"), number(holder, "WindowWidth")
    function = text(holder, "VOILUTFunction") or "LINEAR"
    tables = items(holder, "VOILUTSequence")
    if tables:
        show, notes = _through_table(values, tables, dataset)
    elif centre is None or width is None or width < (1 if function == "LINEAR" else 1e-9):
        return None, ("The file states no window;",)
    else:
        show = Window(centre, width, function).show
        choice = ", the first of several" if number(holder, "WindowCenter", 1) is not None else ""
        notes = (f"Shown through the file's own window (centre {centre:g}, width {width:g}{choice}).",)
    ends = show(np.array([values.min(), values.max()]))
    if tables or ends[0] == ends[1]:
        shown = show(values)
        if shown.min() == shown.max() and values.min() < values.max():
            return None, ("Through the file's own window nothing is seen;",)
    return show, notes


def _stated_windows(dataset: pydicom.FileDataset, frame: int) -> tuple[Window, ...]:
    """Returns the windows that a file states for a frame and that show something."""
    holder = functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    function = text(holder, "VOILUTFunction")
    function = function if function in ("LINEAR_EXACT", "SIGMOID") else "LINEAR"
    found = []
    for position in range(_MOST_WINDOWS):
        centre, width = (number(holder, keyword, position) for keyword in ("WindowCenter", "WindowWidth"))
        if centre is not None and width is not None and width >= (1 if function == "LINEAR" else 1e-9):
            found.append(Window(centre, width, function))
    return tuple(found)


def _through_table(
    values: np.ndarray, tables: list[Dataset], dataset: pydicom.FileDataset
) -> tuple[Callable[[np.ndarray], np.ndarray], tuple[str, ...]]:
    table = read_grey_table(tables[0], dataset, values)
    choice = ", the first of several" if len(tables) > 1 else ""
    notes = [f"Shown through the file's own grey-scale table{choice}."]
    if table.narrowed:
        notes.append("The table uses fewer bits than it states and was scaled from those it uses.")
    return lambda each: scale_to_bytes(table.shown(each), 0, float(table.top)), tuple(notes)
