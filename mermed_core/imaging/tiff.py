"""TIFF files to RGB pixels: numbers of any type, in any usual compression and either order of bytes."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from mermed_core.errors import DamagedImageError, UnsupportedFormatError
from mermed_core.imaging.colours import Pixels, colour_to_rgb, grey_to_rgb, is_deep, over_black, to_srgb
from mermed_core.imaging.geometry import true_proportion, upright
from mermed_core.imaging.grey_values import Decoded, decoded
from mermed_core.imaging.jpeg_headers import read_codestream
from mermed_core.imaging.limits import Limits, check_frame, check_size
from mermed_core.imaging.pictures import image_to_rgb
from mermed_core.imaging.tiff_directories import CUT_OFF, count_pages
from mermed_core.imaging.windowing import scale_to_bytes

if TYPE_CHECKING:
    from tifffile import TiffPage

_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLE_FORMAT = 258, 262, 274, 339
_X_RESOLUTION, _Y_RESOLUTION, _COLOUR_MAP, _ICC_PROFILE = 282, 283, 320, 34675
_TAGS = (_PHOTOMETRIC, _ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _COLOUR_MAP, _ICC_PROFILE)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6  # values of _PHOTOMETRIC
_ON_ITS_SIDE = (5, 6, 7, 8)  # values of _ORIENTATION
_JPEG, _JPEG2000 = (7,), (33003, 33005, 34712)
# None, LZW, Deflate (two numbers), PackBits, LZMA, Zstandard (two numbers).
_BYTE_COMPRESSIONS = (1, 5, 8, 32946, 32773, 34925, 34926, 50000)
_STRAIGHT_ALPHA, _PREMULTIPLIED_ALPHA = 2, 1  # values of ExtraSamples
_RARE = "This TIFF file is of a rare kind. Save it in grey or RGB without compression, or as PNG."


def read_tiff(data: bytes, page: int, limits: Limits) -> Decoded:
    """Reads one page.

    Pillow reads what has at most 8 bits a channel, and tifffile all else: Pillow swaps no bytes of compressed
    numbers, and takes some types for others.

    Raises:
        ImageError: too large, no such page, cut off, or of a kind that is not read.
    """
    pages = count_pages(data, limits)
    check_frame(page, pages, limits)
    shown = (f"Page {page + 1} of {pages} is shown.",) if pages > 1 else ()
    plain = _read_plain(data, page, limits)
    if plain:
        return decoded(plain[0], (*plain[1], *shown), pages)
    values, notes, white_is_zero = _read_numbers(data, page, limits)
    return decoded(values, (*notes, *shown), pages, white_is_zero=white_is_zero)


def _read_plain(data: bytes, page: int, limits: Limits) -> Pixels | None:
    """Returns what Pillow makes of a page; None where it cannot, or would get it wrong."""
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            image.seek(page)
            check_size(*image.size, limits)
            tags = dict(image.tag_v2) if isinstance(image, TiffImageFile) else {}
            if not _is_plain(tags):
                return None
            orientation = tags.get(_ORIENTATION)
            pixels, notes = image_to_rgb(image)  # upright by itself
            pixels, proportion = true_proportion(pixels, *_pixel_size(tags, orientation), limits)
            return pixels, (*notes, *proportion)
    except (UnidentifiedImageError, SyntaxError):  # the latter of a page after the first
        return None


def _is_plain(tags: Mapping[int, Any]) -> bool:
    """Tells from tags whether a page's channels are unsigned, of at most 8 bits, and its palette usual."""
    bits, sample_format = (int(np.max(tags.get(tag, 1))) for tag in (_BITS, _SAMPLE_FORMAT))
    palette = tags.get(_COLOUR_MAP)
    usual = palette is None or int(np.max(palette, initial=0)) > 255
    return bits <= 8 and sample_format == 1 and usual


def _pixel_size(tags: Mapping[int, Any], orientation: Any = None) -> tuple[float | None, float | None]:
    """Returns a pixel's height and width as the resolution means them; both of the page as it is turned."""
    try:
        height, width = 1 / float(tags[_Y_RESOLUTION]), 1 / float(tags[_X_RESOLUTION])
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return None, None
    return (width, height) if orientation in _ON_ITS_SIDE else (height, width)


def _read_numbers(data: bytes, page: int, limits: Limits) -> tuple[np.ndarray, tuple[str, ...], bool]:
    """Reads a page of numbers of any type, compressed or not.

    Returns:
        Pixels (height, width, 3) uint8 or deep grey values (height, width), notes, and whether low grey
        values are bright.
    """
    values, tags, extra = read_values(data, page, limits)
    photometric, bits = tags[_PHOTOMETRIC], tags[_BITS]
    white_is_zero = photometric == _WHITE_IS_ZERO
    notes: tuple[str, ...] = ()
    if extra == _STRAIGHT_ALPHA and values.dtype.kind == "u":
        values, notes = over_black(values[..., :-1], values[..., -1])
    elif extra is not None and extra != _PREMULTIPLIED_ALPHA:
        notes = ("Further channels of the file are not shown.",)
    if photometric == _PALETTE and _COLOUR_MAP in tags:
        pixels, chosen = _through_palette(values[..., 0], tags[_COLOUR_MAP]), ()
    elif photometric in (_RGB, _YCBCR):
        pixels, chosen = colour_to_rgb(values[..., :3], bits if bits % 8 else None)
        image, converted = to_srgb(Image.fromarray(pixels), tags.get(_ICC_PROFILE))
        pixels, chosen = np.asarray(image), (*chosen, *converted)
    else:
        grey = values[..., 0]
        if bits < 8 and grey.dtype == np.uint8:
            grey = scale_to_bytes(grey, 0, float((1 << bits) - 1))
        pixels, chosen = (grey, ()) if is_deep(grey) else grey_to_rgb(grey, white_is_zero=white_is_zero)
    pixels, proportion = true_proportion(pixels, *_pixel_size(tags), limits)
    return upright(pixels, tags.get(_ORIENTATION)), (*chosen, *notes, *proportion), white_is_zero


def _through_palette(indices: np.ndarray, palette: Any) -> np.ndarray:
    """Returns the colours of indices; entries have 16 bits, but some programs write 8 into them."""
    table = np.asarray(palette).reshape(3, -1).T
    top = 255 if int(table.max(initial=0)) < 256 else 65535
    return scale_to_bytes(table[np.clip(indices.astype(np.int64), 0, len(table) - 1)], 0, top)


def read_values(data: bytes, page: int, limits: Limits) -> tuple[np.ndarray, dict[int, Any], int | None]:
    """Returns a page's values (height, width, samples), its tags by number, and what a further sample means.

    The third is None where no sample is further, and else the first value of ExtraSamples; samples after that
    one are left out.

    Raises:
        UnsupportedFormatError: compressed in a rare way, or neither grey, palette nor RGB.
        DamagedImageError: shorter than it says.
    """
    import tifffile  # slow to import, and few files need it

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        chosen = file.pages[page].aspage()
        height, width = chosen.imagelength, chosen.imagewidth
        check_size(width, height * chosen.imagedepth, limits)
        _check_kind(chosen)
        _check_segments(data, chosen, limits)
        values = chosen.asarray(maxworkers=1, squeeze=False)
        tags = {tag.code: _simple(tag.value) for tag in chosen.tags if tag.code in _TAGS}
        tags |= {_PHOTOMETRIC: int(chosen.photometric), _BITS: int(np.max(chosen.bitspersample))}
        extra, samples = chosen.extrasamples, chosen.samplesperpixel
    # From (separate samples, depth, height, width, interleaved samples) to samples last.
    values = np.moveaxis(values[:, 0], 0, -1).reshape(height, width, -1)
    colours = 3 if tags[_PHOTOMETRIC] in (_RGB, _YCBCR) else 1
    if values.shape[2] != samples or samples < colours:
        raise DamagedImageError(CUT_OFF)
    if samples == colours:
        return values, tags, None
    return values[..., : colours + 1], tags, int(extra[0]) if extra else 0


def _check_kind(page: "TiffPage") -> None:
    """Raises UnsupportedFormatError for a page whose numbers or colours are not read here."""
    compressions = (*_BYTE_COMPRESSIONS, *_JPEG, *_JPEG2000)
    photometrics = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE)
    read = page.photometric in photometrics or (page.photometric == _YCBCR and page.compression in _JPEG)
    if page.imagedepth != 1 or page.compression not in compressions or not read:
        raise UnsupportedFormatError(_RARE)
    if page.dtype is None or page.dtype.kind not in "buif":
        raise UnsupportedFormatError(_RARE)


def _check_segments(data: bytes, page: "TiffPage", limits: Limits) -> None:
    """Raises for strips or tiles that are missing, outside the file, or would unpack to more than is read."""
    if page.is_tiled:
        check_size(page.tilewidth, page.tilelength, limits)
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    inside = all(0 < start <= len(data) - length and length > 0 for start, length in segments)
    if not inside or len(segments) < int(np.prod(page.chunked)):
        raise DamagedImageError(CUT_OFF)
    if page.compression in (*_JPEG, *_JPEG2000):
        for start, length in segments:
            about = read_codestream(data[start : start + length])
            check_size(about.width, about.height, limits)


def _simple(value: Any) -> Any:
    """Returns a tag's value; a fraction, which tifffile gives as two numbers, as one."""
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return value[0] / value[1]
    return value
