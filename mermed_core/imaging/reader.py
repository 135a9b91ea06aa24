"""Image files of any supported kind to RGB pixels, without anything of their headers.

The kind is decided by the content, never by the name. Whatever is wrong with a file ends as an `ImageError`.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from mermed_core.errors import (
    DamagedImageError,
    EmptyFileError,
    ImageError,
    ImageTooLargeError,
    UnsupportedFormatError,
)
from mermed_core.imaging.dicom import read_dicom, read_dicom_region
from mermed_core.imaging.dicom_header import count_dicom_frames
from mermed_core.imaging.frames import Box
from mermed_core.imaging.grey_values import GreyValues
from mermed_core.imaging.kinds import HEAD_BYTES, image_kind, refusal
from mermed_core.imaging.limits import Limits
from mermed_core.imaging.pictures import count_picture_frames, read_picture
from mermed_core.imaging.slides import FullSize
from mermed_core.imaging.tiff import read_tiff, read_tiff_region
from mermed_core.imaging.tiff_directories import count_pages

__all__ = [
    "Limits",
    "MedicalImage",
    "count_frames",
    "looks_like_image",
    "read_image",
    "read_region",
]


@dataclass(frozen=True)
class MedicalImage:
    """The pixels of one image, and nothing else of its file.

    Attributes:
        pixels: (height, width, 3) uint8 RGB.
        frames: how many the file has.
        frame: the one that this is, from 0.
        kind: DICOM, PNG, JPEG, TIFF, JPEG 2000, WebP, BMP, GIF or AVIF.
        notes: sentences for the person who looks at it, such as how it was windowed; never of the patient.
        header_modality: our key of the modality that a DICOM header names, or its tag where that is none
            of ours; a hint, and None where it names neither.
        grey: the deep grey values that the pixels were made of, where they were asked for and there are any.
        full: where the picture is too large to be read whole, so that the pixels are of a smaller copy, and
            `read_region` reads parts of it.
    """

    pixels: np.ndarray
    frames: int
    frame: int
    kind: str
    notes: tuple[str, ...]
    header_modality: str | None = None
    grey: GreyValues | None = None
    full: FullSize | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the whole picture in its own pixels, of which fewer may have been read."""
        return (
            (self.full.height, self.full.width) if self.full else (self.pixels.shape[0], self.pixels.shape[1])
        )


def read_image(
    source: bytes | Path,
    *,
    frame: int = 0,
    limits: Limits | None = None,
    keep_grey: bool = False,
    copies: Sequence[bytes | Path] = (),
) -> MedicalImage:
    """Reads one image of a file.

    Grey of more than 8 bits is stretched from its 0.5th to its 99.5th percentile, and colours are scaled from
    the bits they use; DICOM goes through its own window where it states one. Transparent parts become black,
    as the surround of most modalities is. EXIF orientation, colour profiles and the proportion of pixels are
    obeyed. Whatever was stretched, chosen, converted or left out stands in the notes.

    Args:
        source: the file's bytes, or its path.
        frame: which frame or page, from 0.
        limits: on bytes, pixels and frames, checked before pixels are decoded; default: those of the host.
        keep_grey: whether grey values of more than 8 bits are kept, for another window.
        copies: files of the same slide at smaller sizes, the largest first, or their paths.

    Raises:
        ImageError: one of its kinds, with a sentence that says what is wrong.
    """
    limits = limits or Limits()
    data = _bytes(source, limits)
    kind = image_kind(data)
    if kind is None:
        raise refusal(data)
    try:
        if kind == "DICOM":
            read = read_dicom(data, frame, limits, [_bytes(copy, limits) for copy in copies])
        elif kind == "TIFF":
            read = read_tiff(data, frame, limits)
        else:
            read = read_picture(data, kind, frame, limits)
        grey = GreyValues.of(read.values) if keep_grey and read.values else None
    except Exception as error:
        raise _sentence(error, kind) from error
    pixels = np.ascontiguousarray(read.pixels)
    return MedicalImage(pixels, read.frames, frame, kind, read.notes, read.modality, grey, read.full)


def read_region(
    source: bytes,
    region: Box,
    *,
    frame: int = 0,
    limits: Limits | None = None,
    copies: Sequence[bytes] = (),
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Reads a region of a picture that is too large to be read whole (`MedicalImage.full`).

    Args:
        source: the file's bytes.
        region: inside the picture, in pixels of its full size.
        frame: which frame or page, from 0.
        limits: on the pixels of the region; a larger one is read of a smaller copy. Default: the host's.
        copies: files of the same slide at smaller sizes, the largest first.

    Returns:
        Pixels (height, width, 3) uint8 or deep grey values (height, width), and notes on the level at which
        they were read.

    Raises:
        ImageError: the file is damaged there, or of no kind that holds such pictures.
    """
    limits = limits or Limits()
    kind = image_kind(source[:HEAD_BYTES])
    if kind not in ("TIFF", "DICOM"):
        raise refusal(source)
    try:
        if kind == "DICOM":
            return read_dicom_region(source, region, limits, copies)
        return read_tiff_region(source, frame, region, limits)
    except Exception as error:
        raise _sentence(error, kind) from error


def count_frames(source: bytes | Path, *, limits: Limits | None = None) -> int:
    """Returns how many frames or pages a file has; no pixels are decoded, and little of the file is read.

    Args:
        source: the file's bytes, or its path.
        limits: on bytes and frames, by default the host's. More frames than are allowed count as one more.

    Raises:
        ImageError: it is no image, holds no picture, or its structure is damaged.
    """
    limits, head = limits or Limits(), _head(source)
    kind = image_kind(head)
    if kind is None:
        raise refusal(head)
    try:
        with _opened(source) as file:
            if kind == "DICOM":
                return count_dicom_frames(file, limits)
            if kind == "TIFF":
                held = source if isinstance(source, bytes) else mmap(file.fileno(), 0, access=ACCESS_READ)
                return count_pages(held, limits)
            return count_picture_frames(file, kind)
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
    return _read(source, HEAD_BYTES)


def _bytes(source: bytes | Path, limits: Limits) -> bytes:
    data = _read(source, limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        raise ImageTooLargeError(
            f"The file has {ceil(size / 2**20)} MB; at most {limits.max_bytes // 2**20} MB are read. Save a "
            "smaller version or a single frame; whoever runs the program can allow more (MERMED_UPLOAD_MB)."
        )
    return data


def _read(source: bytes | Path, count: int) -> bytes:
    try:
        if isinstance(source, Path) and source.is_dir():
            raise UnsupportedFormatError("This is a folder. Choose one image file in it.")
        if isinstance(source, Path) and not source.is_file():
            raise UnsupportedFormatError("There is no such file. Check its name and folder.")
        with _opened(source) as file:
            data = file.read(count)
    except OSError as error:
        raise DamagedImageError("The file cannot be opened. Check that you may read it.") from error
    if not data:
        raise EmptyFileError("The file is empty. Export or send it again.")
    return data
