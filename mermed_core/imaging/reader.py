"""Image files of any supported kind to RGB pixels, without anything of their headers.

The kind is decided by the content, never by the name. Whatever is wrong with a file ends as an `ImageError`.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO

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
from mermed_core.imaging.dicom import count_dicom_frames, read_dicom
from mermed_core.imaging.kinds import HEAD_BYTES, image_kind, refusal
from mermed_core.imaging.limits import LIMITS, Limits, check_frame, check_size
from mermed_core.imaging.windowing import scale_to_bytes, stretch_to_bytes

__all__ = ["LIMITS", "Limits", "MedicalImage", "count_frames", "looks_like_image", "read_image"]

_MANY_FRAMES = ("GIF", "WebP", "AVIF", "PNG")  # kinds of moving pictures, which Pillow reads
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
        kind: DICOM, PNG, JPEG, TIFF, JPEG 2000, WebP, BMP, GIF or AVIF.
        notes: sentences for the person who looks at it, such as how it was windowed; never of the patient.
        header_modality: our key of the modality that a DICOM header names, a hint; None where it names none.
    """

    pixels: np.ndarray
    frames: int
    frame: int
    kind: str
    notes: tuple[str, ...]
    header_modality: str | None = None


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
    kind, modality = image_kind(data), None
    if kind is None:
        raise refusal(data)
    try:
        if kind == "DICOM":
            pixels, frames, notes, modality = read_dicom(data, frame, limits)
        elif kind == "TIFF":
            pixels, frames, notes = _read_tiff(data, frame, limits)
        else:
            pixels, frames, notes = _read_picture(data, kind, frame, limits)
    except Exception as error:
        raise _sentence(error, kind) from error
    return MedicalImage(np.ascontiguousarray(pixels), frames, frame, kind, notes, modality)


def count_frames(source: bytes | Path, *, limits: Limits = LIMITS) -> int:
    """Returns how many frames or pages a file has; no pixels are decoded, and little of the file is read.

    Args:
        source: the file's bytes, or its path.
        limits: on bytes and frames. More frames than are allowed count as one more than the limit.

    Raises:
        ImageError: it is no image, holds no picture, or its structure is damaged.
    """
    head = _head(source)
    kind = image_kind(head)
    if kind is None:
        raise refusal(head)
    try:
        with _opened(source) as file:
            if kind == "DICOM":
                return count_dicom_frames(file, limits)
            if kind == "TIFF":
                held = source if isinstance(source, bytes) else mmap(file.fileno(), 0, access=ACCESS_READ)
                return tiff.count_pages(held, limits)
            if kind not in _MANY_FRAMES:
                return 1  # the second picture of a JPEG is a thumbnail or another exposure
            with Image.open(file, formats=(kind.upper(),)) as image:
                return getattr(image, "n_frames", 1)
    except Exception as error:
        raise _sentence(error, kind) from error


def looks_like_image(source: bytes | Path) -> str | None:
    """Returns the kind of a file by its content, None where it is no image that is read here.

    Args:
        source: a path, or the first bytes of a file (4096 are enough).

    Returns:
        DICOM, PNG, JPEG, TIFF, JPEG 2000, WebP, BMP, GIF or AVIF.
    """
    try:
        return image_kind(_head(source))
    except ImageError:
        return None


def _sentence(error: Exception, kind: str) -> ImageError:
    """Returns what went wrong as an error of ours; decoders raise anything at all on damaged bytes."""
    if isinstance(error, ImageError):
        return error
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError)):
        return ImageTooLargeError("The image has more pixels than can be read. Save a smaller version.")
    return DamagedImageError(
        f"The {kind} file is damaged, cut off or of a rare variant. Export or send it again."
    )


def _opened(source: bytes | Path) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _head(source: bytes | Path) -> bytes:
    """Returns the first bytes of a file, which tell its kind."""
    try:
        if isinstance(source, Path) and source.is_dir():
            raise UnsupportedFormatError("This is a folder. Choose one image file in it.")
        if isinstance(source, Path) and not source.is_file():
            raise UnsupportedFormatError("There is no such file. Check its name and folder.")
        with _opened(source) as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DamagedImageError("The file cannot be opened. Check that you may read it.") from error
    if not head:
        raise EmptyFileError("The file is empty. Export or send it again.")
    return head


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


def _read_picture(
    data: bytes, kind: str, frame: int, limits: Limits
) -> tuple[np.ndarray, int, tuple[str, ...]]:
    with Image.open(io.BytesIO(data), formats=(kind.upper().replace(" ", ""),)) as image:
        frames = getattr(image, "n_frames", 1) if kind in _MANY_FRAMES else 1
        check_frame(frame, frames, limits)
        check_size(*image.size, limits)
        if frames > 1:
            image.seek(frame)
        pixels, notes = _to_rgb(image)
        shown = (f"Frame {frame + 1} of {frames} is shown.",) if frames > 1 else ()
        return _upright(pixels, _orientation(image)), frames, (*notes, *shown)


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
