"""TIFF files to RGB pixels: numbers of any type, in any usual compression and either order of bytes."""

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from mermed_core.imaging.colours import Pixels, colour_to_rgb, grey_to_rgb, is_deep, over_black, to_srgb
from mermed_core.imaging.frames import Box
from mermed_core.imaging.geometry import true_proportion, upright
from mermed_core.imaging.grey_values import Decoded, decoded
from mermed_core.imaging.limits import Limits, check_frame, check_size, too_large
from mermed_core.imaging.pictures import image_to_rgb
from mermed_core.imaging.slides import FullSize, fitting, on_level, region_notes, size_notes
from mermed_core.imaging.tiff_directories import picture_pages, read_pages
from mermed_core.imaging.tiff_slide import levels, micrometres, size_of
from mermed_core.imaging.tiff_values import (
    BITS,
    COLOUR_MAP,
    ICC_PROFILE,
    ORIENTATION,
    PALETTE,
    PHOTOMETRIC,
    RGB,
    WHITE_IS_ZERO,
    X_RESOLUTION,
    Y_RESOLUTION,
    YCBCR,
    page_values,
    read_values,
)
from mermed_core.imaging.windowing import scale_to_bytes

_SAMPLE_FORMAT = 339
_ON_ITS_SIDE = (5, 6, 7, 8)  # values of ORIENTATION
_STRAIGHT_ALPHA, _PREMULTIPLIED_ALPHA = 2, 1  # values of ExtraSamples


def read_tiff(data: bytes, frame: int, limits: Limits) -> Decoded:
    """Reads one page; of one that is too large, its largest copy that is not.

    Pillow reads what has at most 8 bits a channel, and tifffile all else: Pillow swaps no bytes of compressed
    numbers, and takes some types for others.

    Raises:
        ImageError: too large, no such page, cut off, or of a kind that is not read.
    """
    page, frames, large = _found(data, frame, limits)
    shown = (f"Page {frame + 1} of {frames} is shown.",) if frames > 1 else ()
    if large:
        return _read_slide(data, page, limits, shown, frames)
    plain = _read_plain(data, page, limits)
    if plain:
        return decoded(plain[0], (*plain[1], *shown), frames)
    values, tags, extra = read_values(data, page, limits)
    pixels, notes = _as_picture(values, tags, extra)
    pixels, proportion = true_proportion(pixels, *_pixel_size(tags), limits)
    pixels = upright(pixels, tags.get(ORIENTATION))
    return decoded(pixels, (*notes, *proportion, *shown), frames, white_is_zero=_white_is_zero(tags))


def read_tiff_region(
    data: bytes, frame: int, region: Box, limits: Limits
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns a region of a page that is too large to be read whole, and notes on the level that it is of.

    Args:
        data: the file.
        frame: which picture.
        region: inside it, in pixels of its full size.
        limits: on the pixels of the region; a larger one is read of a smaller copy.

    Returns:
        Pixels (height, width, 3) uint8 or deep grey values (height, width).
    """
    import tifffile

    page, _, _ = _found(data, frame, limits)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        found = levels(file, page)
        sizes = [size_of(each) for each in found]
        number = fitting(sizes, limits, region)
        if number is None:
            raise too_large(region.width, region.height, limits)
        part = on_level(region, sizes[0], sizes[number])
        pixels, _ = _as_picture(*page_values(data, found[number], limits, part))
        return pixels, region_notes(sizes, number, micrometres(found[0]))


def _found(data: bytes, frame: int, limits: Limits) -> tuple[int, int, bool]:
    """Returns on which page a picture is, how many there are, and whether it is too large to read whole."""
    pages = read_pages(data, limits)
    pictures = picture_pages(pages)
    frames = len(pages) if len(pages) > limits.max_frames else len(pictures)
    check_frame(frame, frames, limits)
    page = pages[pictures[frame]]
    return pictures[frame], frames, page.height * page.width > limits.max_pixels


def _read_slide(data: bytes, page: int, limits: Limits, shown: tuple[str, ...], frames: int) -> Decoded:
    """Reads the largest copy of a page that may be read."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        found = levels(file, page)
        sizes = [size_of(each) for each in found]
        number = fitting(sizes, limits)
        if number is None:
            raise too_large(sizes[0][1], sizes[0][0], limits)
        values, tags, extra = page_values(data, found[number], limits)
        width = micrometres(found[0])
    pixels, notes = _as_picture(values, tags, extra)
    pixels, proportion = true_proportion(pixels, *_pixel_size(tags), limits)
    orientation = tags.get(ORIENTATION, 1)
    as_stored = not proportion and orientation not in range(2, 9)
    said = size_notes(sizes, number, width)
    full = FullSize(*sizes[0], said) if as_stored else None
    notes = (*notes, *proportion, *shown)
    read = decoded(upright(pixels, orientation), notes, frames, white_is_zero=_white_is_zero(tags))
    return replace(read, notes=(*said, *read.notes), full=full)


def _read_plain(data: bytes, page: int, limits: Limits) -> Pixels | None:
    """Returns what Pillow makes of a page; None where it cannot, or would get it wrong."""
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            image.seek(page)
            check_size(*image.size, limits)
            tags = dict(image.tag_v2) if isinstance(image, TiffImageFile) else {}
            if not _is_plain(tags):
                return None
            orientation = tags.get(ORIENTATION)
            pixels, notes = image_to_rgb(image)  # upright by itself
            pixels, proportion = true_proportion(pixels, *_pixel_size(tags, orientation), limits)
            return pixels, (*notes, *proportion)
    except (UnidentifiedImageError, SyntaxError):  # the latter of a page after the first
        return None


def _is_plain(tags: Mapping[int, Any]) -> bool:
    """Tells from tags whether a page's channels are unsigned, of at most 8 bits, and its palette usual."""
    bits, sample_format = (int(np.max(tags.get(tag, 1))) for tag in (BITS, _SAMPLE_FORMAT))
    palette = tags.get(COLOUR_MAP)
    usual = palette is None or int(np.max(palette, initial=0)) > 255
    return bits <= 8 and sample_format == 1 and usual


def _pixel_size(tags: Mapping[int, Any], orientation: Any = None) -> tuple[float | None, float | None]:
    """Returns a pixel's height and width as the resolution means them; both of the page as it is turned."""
    try:
        height, width = 1 / float(tags[Y_RESOLUTION]), 1 / float(tags[X_RESOLUTION])
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return None, None
    return (width, height) if orientation in _ON_ITS_SIDE else (height, width)


def _white_is_zero(tags: Mapping[int, Any]) -> bool:
    return tags[PHOTOMETRIC] == WHITE_IS_ZERO


def _as_picture(values: np.ndarray, tags: Mapping[int, Any], extra: int | None) -> Pixels:
    """Returns what `read_values` gave as pixels (height, width, 3) uint8 or deep grey values."""
    photometric, bits = tags[PHOTOMETRIC], tags[BITS]
    notes: tuple[str, ...] = ()
    if extra == _STRAIGHT_ALPHA and values.dtype.kind == "u":
        values, notes = over_black(values[..., :-1], values[..., -1])
    elif extra is not None and extra != _PREMULTIPLIED_ALPHA:
        notes = ("Further channels of the file are not shown.",)
    if photometric == PALETTE and COLOUR_MAP in tags:
        return _through_palette(values[..., 0], tags[COLOUR_MAP]), notes
    if photometric in (RGB, YCBCR):
        pixels, chosen = colour_to_rgb(values[..., :3], bits if bits % 8 else None)
        image, converted = to_srgb(Image.fromarray(pixels), tags.get(ICC_PROFILE))
        return np.asarray(image), (*chosen, *converted, *notes)
    grey = values[..., 0]
    if bits < 8 and grey.dtype == np.uint8:
        grey = scale_to_bytes(grey, 0, float((1 << bits) - 1))
    if is_deep(grey):
        return grey, notes
    pixels, chosen = grey_to_rgb(grey, white_is_zero=_white_is_zero(tags))
    return pixels, (*chosen, *notes)


def _through_palette(indices: np.ndarray, palette: Any) -> np.ndarray:
    """Returns the colours of indices; entries have 16 bits, but some programs write 8 into them."""
    table = np.asarray(palette).reshape(3, -1).T
    top = 255 if int(table.max(initial=0)) < 256 else 65535
    return scale_to_bytes(table[np.clip(indices.astype(np.int64), 0, len(table) - 1)], 0, top)
