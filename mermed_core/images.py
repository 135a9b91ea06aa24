"""Image files of any supported kind to RGB pixels, without anything of their headers.

The kind is decided by the content, never by the name. Whatever is wrong with a file ends as an `ImageError`.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mermed_core.dicom import is_dicom, read_dicom
from mermed_core.errors import (
    DamagedImageError,
    EmptyFileError,
    ImageError,
    ImageTooLargeError,
    UnsupportedFormatError,
)
from mermed_core.pixels import LIMITS, Limits, check_frame, check_size, stretch_to_bytes

__all__ = ["LIMITS", "Limits", "MedicalImage", "read_image"]

KINDS = {"PNG": "PNG", "JPEG": "JPEG", "MPO": "JPEG", "TIFF": "TIFF", "WEBP": "WebP", "BMP": "BMP"}
_FORMATS = tuple(name for name in KINDS if name != "MPO")  # Pillow opens an MPO as JPEG and renames it then
_READABLE = "Use PNG, JPEG, TIFF, WebP, BMP or DICOM."
_LOOKS_LIKE = (
    (b"%PDF", "a PDF document: export the picture in it as PNG or JPEG first"),
    (b"PK\x03\x04", "a zip archive: unpack it and choose one image"),
    (b"\x1f\x8b", "a compressed archive: unpack it and choose one image"),
    (b"GIF8", "a GIF, which keeps too few colours: use the original picture"),
    (b"<", "a web page or text"),
)


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
    try:
        if is_dicom(data):
            pixels, frames, notes = read_dicom(data, frame, limits)
            return MedicalImage(pixels, frames, frame, "DICOM", notes)
        return _read_picture(data, frame, limits)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError("The image has far too many pixels. Save a smaller version.") from error
    except (
        Exception
    ) as error:  # decoders raise anything on damaged bytes; no other kind of fault can reach this
        raise DamagedImageError(
            "The file starts like an image but is damaged or cut off. Export or send it again."
        ) from error


def _bytes(source: bytes | Path, limits: Limits) -> bytes:
    if isinstance(source, bytes):
        size = len(source)
    else:
        if not source.is_file():
            raise UnsupportedFormatError("There is no such file.")
        size = source.stat().st_size
    if size == 0:
        raise EmptyFileError("The file is empty. Export or send it again.")
    if size > limits.max_bytes:
        raise ImageTooLargeError(
            f"The file has {size / 2**20:.0f} MB; at most {limits.max_bytes / 2**20:.0f} MB are read. "
            "Save a smaller version or a single frame."
        )
    try:
        return source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise DamagedImageError("The file cannot be read from the disk.") from error


def _read_picture(data: bytes, frame: int, limits: Limits) -> MedicalImage:
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise _unsupported(data) from error
    with image:
        kind = KINDS[image.format or ""]
        # Only TIFF pages are frames; the second picture of a JPEG is a thumbnail or another exposure.
        frames = int(getattr(image, "n_frames", 1)) if kind == "TIFF" else 1
        check_frame(frame, frames, limits)
        if frame:
            image.seek(frame)
        check_size(*image.size, limits)
        pixels, notes = _to_rgb(ImageOps.exif_transpose(image))
    if frames > 1:
        notes = (*notes, f"Page {frame + 1} of {frames} is shown.")
    return MedicalImage(pixels, frames, frame, kind, notes)


def _to_rgb(image: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        grey = stretch_to_bytes(np.asarray(image))
        note = "The grey values were stretched from the darkest to the brightest 0.5 %."
        return np.repeat(grey[:, :, None], 3, axis=2), (note,)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.array(image.convert("RGB")), ()


def _unsupported(data: bytes) -> UnsupportedFormatError:
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    for mark, words in _LOOKS_LIKE:
        if start.startswith(mark):
            return UnsupportedFormatError(f"This is {words}. {_READABLE}")
    return UnsupportedFormatError(f"This is not an image of a kind that can be read here. {_READABLE}")
