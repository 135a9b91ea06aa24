"""Image files of any supported kind to RGB pixels, without anything of their headers.

The kind is decided by the content, never by the name. Whatever is wrong with a file ends as an `ImageError`.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mermed_core.errors import (
    DamagedImageError,
    EmptyFileError,
    ImageError,
    ImageTooLargeError,
    UnsupportedFormatError,
)
from mermed_core.imaging import tiff
from mermed_core.imaging.dicom import is_dicom, read_dicom
from mermed_core.imaging.windowing import (
    LIMITS,
    Limits,
    check_frame,
    check_size,
    scale_to_bytes,
    stretch_to_bytes,
)

__all__ = ["LIMITS", "Limits", "MedicalImage", "read_image"]

_READABLE = "Use PNG, JPEG, TIFF, WebP, BMP or DICOM."
_LOOKS_LIKE = (
    (b"%PDF", "a PDF document: export the picture in it as PNG or JPEG first"),
    (b"PK\x03\x04", "a zip archive: unpack it and choose one image"),
    (b"\x1f\x8b", "a compressed archive: unpack it and choose one image"),
    (b"Rar!", "a compressed archive: unpack it and choose one image"),
    (b"7z\xbc\xaf", "a compressed archive: unpack it and choose one image"),
    (b"GIF8", "a GIF, which keeps too few colours: use the original picture"),
    (b"<", "a web page or text"),
)
_STRETCHED = "The grey values were stretched from the darkest to the brightest 0.5 %."
# What brings pixels (height, width, 3) upright, by the EXIF orientation.
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
_EXIF_BYTES = 2**16  # as many as a JPEG can hold; directories that overlap could unpack more to gigabytes


@dataclass(frozen=True)
class MedicalImage:
    """The pixels of one image, and nothing else of its file.

    Attributes:
        pixels: (height, width, 3) uint8 RGB.
        frames: how many the file has.
        frame: the one that this is, from 0.
        kind: PNG, JPEG, TIFF, WebP, BMP or DICOM.
        notes: sentences for the person who looks at it, such as how it was windowed; never of the patient.
    """

    pixels: np.ndarray
    frames: int
    frame: int
    kind: str
    notes: tuple[str, ...]


def read_image(source: bytes | Path, *, frame: int = 0, limits: Limits = LIMITS) -> MedicalImage:
    """Reads one image of a file.

    Greyscale of more than 8 bits is stretched from its 0.5th to its 99.5th percentile; DICOM goes through its
    own window where it states one. Transparent parts become black, as the surround of most modalities is.
    EXIF orientation is obeyed.

    Args:
        source: the file's bytes, or its path.
        frame: which frame or page, from 0.
        limits: on bytes, pixels and frames; checked before pixels are decoded.

    Raises:
        ImageError: one of its kinds, with a sentence that says what is wrong.
    """
    data = _bytes(source, limits)
    kind = _kind(data)
    try:
        if kind == "DICOM":
            pixels, frames, notes = read_dicom(data, frame, limits)
        elif kind == "TIFF":
            pixels, frames, notes = _read_tiff(data, frame, limits)
        else:
            check_frame(frame, 1, limits)  # the second picture of a JPEG is a thumbnail or another exposure
            (pixels, notes), frames = _read_picture(data, kind, limits), 1
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise ImageTooLargeError(
            "The image has more pixels than can be read. Save a smaller version."
        ) from error
    except Exception as error:  # decoders raise anything at all on damaged bytes
        raise DamagedImageError(
            f"The {kind} file is damaged, cut off or of a rare variant. Export or send it again."
        ) from error
    return MedicalImage(np.ascontiguousarray(pixels), frames, frame, kind, notes)


def _bytes(source: bytes | Path, limits: Limits) -> bytes:
    try:
        if isinstance(source, Path) and source.is_dir():
            raise UnsupportedFormatError("This is a folder. Choose one image file in it.")
        if isinstance(source, Path) and not source.is_file():
            raise UnsupportedFormatError("There is no such file. Check its name and folder.")
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > limits.max_bytes:
            raise ImageTooLargeError(
                f"The file has {size / 2**20:.0f} MB; at most {limits.max_bytes / 2**20:.0f} MB are read. "
                "Save a smaller version or a single frame."
            )
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise DamagedImageError("The file cannot be opened. Check that you may read it.") from error
    if not data:
        raise EmptyFileError("The file is empty. Export or send it again.")
    return data


def _kind(data: bytes) -> str:
    """Returns the kind of a file by its first bytes.

    Raises:
        UnsupportedFormatError: it is none of those read here; says what it looks like.
    """
    marks = {
        "DICOM": is_dicom(data),
        "PNG": data.startswith(b"\x89PNG"),
        "JPEG": data.startswith(b"\xff\xd8\xff"),
        "TIFF": data.startswith(tiff.MARKS),
        "WebP": data[:4] == b"RIFF" and data[8:12] == b"WEBP",
        "BMP": data[:2] == b"BM" and data[15:18] == bytes(3),  # the header's size, which is below 256
    }
    for kind, found in marks.items():
        if found:
            return kind
    if data[4:8] == b"ftyp":
        raise UnsupportedFormatError(f"This is a HEIC photo or a film: save it as JPEG. {_READABLE}")
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    for mark, words in _LOOKS_LIKE:
        if start.startswith(mark):
            raise UnsupportedFormatError(f"This is {words}. {_READABLE}")
    raise UnsupportedFormatError(f"This is not an image of a kind that can be read here. {_READABLE}")


def _read_picture(data: bytes, kind: str, limits: Limits) -> tuple[np.ndarray, tuple[str, ...]]:
    with Image.open(io.BytesIO(data), formats=(kind.upper(),)) as image:
        check_size(*image.size, limits)
        pixels, notes = _to_rgb(image)
        return _upright(pixels, _orientation(image)), notes


def _read_tiff(data: bytes, page: int, limits: Limits) -> tuple[np.ndarray, int, tuple[str, ...]]:
    pages = tiff.count_pages(data, limits)
    check_frame(page, pages, limits)
    shown = _read_tiff_page(data, page, limits)
    if shown is None:
        values, tags = tiff.read_rare(data, page, limits)
        pixels, notes = _numbers_to_rgb(values, tags)
        shown = _upright(pixels, tags.get(tiff.ORIENTATION)), notes
    pixels, notes = shown
    return pixels, pages, (*notes, f"Page {page + 1} of {pages} is shown.") if pages > 1 else notes


def _read_tiff_page(data: bytes, page: int, limits: Limits) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Returns what Pillow makes of a page, upright by itself; None where it cannot or gets it wrong."""
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            image.seek(page)
            check_size(*image.size, limits)
            return None if tiff.misread(_tags(image)) else _to_rgb(image)
    except (UnidentifiedImageError, SyntaxError):  # the latter of a page after the first
        return None


def _to_rgb(image: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns pixels (height, width, 3) uint8 of a Pillow image of any mode, and notes."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _numbers_to_rgb(np.asarray(image), _tags(image))
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB")), ()
    image = image.convert("RGBA")
    transparent = image.getchannel("A").getextrema() != (255, 255)
    image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.asarray(image.convert("RGB")), ("Transparent parts are shown black.",) if transparent else ()


def _numbers_to_rgb(values: np.ndarray, tags: Mapping[int, Any]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns pixels (height, width, 3) uint8 of values (height, width) or (height, width, 3) of any type."""
    if values.ndim == 3 and values.dtype.kind == "u":
        return scale_to_bytes(values, 0, float(np.iinfo(values.dtype).max)), ()
    pixels = stretch_to_bytes(values.astype(np.float64))
    if tags.get(tiff.PHOTOMETRIC) == tiff.WHITE_IS_ZERO:
        pixels = 255 - pixels
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels, (_STRETCHED,)


def _tags(image: Image.Image) -> Mapping[int, Any]:
    return getattr(image, "tag_v2", {})  # only TIFF has them


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation of a loaded image, 1 where there is none that can be read."""
    stored = image.info.get("exif") or b""
    if not stored or len(stored) > _EXIF_BYTES:
        return 1
    exif = Image.Exif()
    try:
        exif.load(stored)
        return exif.get(tiff.ORIENTATION, 1)
    except Exception:  # Pillow names no closed set; the picture is no worse for a broken remark of its camera
        return 1


def _upright(pixels: np.ndarray, orientation: Any) -> np.ndarray:
    return _UPRIGHT[orientation](pixels) if orientation in _UPRIGHT else pixels
