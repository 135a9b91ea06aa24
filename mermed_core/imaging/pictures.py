"""Pictures that are neither DICOM nor TIFF to RGB pixels: PNG, JPEG, JPEG 2000, WebP, BMP, GIF and AVIF."""

import io
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL import Image, UnidentifiedImageError

from mermed_core.errors import ImageTooLargeError
from mermed_core.imaging.codecs import decode_stream
from mermed_core.imaging.colours import Pixels, colour_to_rgb, grey_to_rgb, over_black, to_srgb
from mermed_core.imaging.geometry import true_proportion, upright
from mermed_core.imaging.grey_values import Decoded, decoded
from mermed_core.imaging.jpeg_headers import read_codestream
from mermed_core.imaging.limits import Limits, check_frame, check_size

_MOVING = ("GIF", "WebP", "AVIF", "PNG")  # kinds that may hold several frames
_DECODED_FRAMES = 16  # frames of the largest size that may be decoded to reach the chosen one
_ORIENTATION = 274
_EXIF_BYTES = 2**16  # as many as a JPEG can hold; directories that overlap could unpack more to gigabytes


def read_picture(data: bytes, kind: str, frame: int, limits: Limits) -> Decoded:
    """Reads one frame.

    Raises:
        ImageError: too large, no such frame, or damaged; other errors are those of the decoders.
    """
    try:
        image = _opened(io.BytesIO(data), kind)
    except UnidentifiedImageError:
        if kind != "JPEG":
            raise
        check_frame(frame, 1, limits)
        return decoded(*_read_rare_jpeg(data, limits), 1)
    with image:
        frames = _frames(image, kind)
        check_frame(frame, frames, limits)
        check_size(*image.size, limits)
        size = _pixel_size(image, kind)
        if image.width * image.height * frame > _DECODED_FRAMES * limits.max_pixels:
            raise ImageTooLargeError(
                "The frame lies too far behind the first. Save it as a picture of its own."
            )
        if frame:
            image.seek(frame)
        values, notes = _read_deep(data, image, kind) or _read_usual(image)
        values, proportion = true_proportion(values, *size, limits)
        shown = (f"Frame {frame + 1} of {frames} is shown.",) if frames > 1 else ()
        return decoded(upright(values, _orientation(image)), (*notes, *proportion, *shown), frames)


def count_picture_frames(file: BinaryIO, kind: str) -> int:
    """Returns how many frames an open file of a kind has; the second picture of a JPEG is a thumbnail."""
    if kind not in _MOVING:
        return 1
    with _opened(file, kind) as image:
        return _frames(image, kind)


def image_to_rgb(image: Image.Image) -> Pixels:
    """Returns pixels (height, width, 3) uint8 of a Pillow image of any mode, in sRGB and over black."""
    if _is_numbers(image):
        return grey_to_rgb(np.asarray(image))
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        shown, notes = to_srgb(image, profile)
        inks = () if shown is not image else ("The colours of printer's inks were turned into RGB.",)
        return np.asarray(shown.convert("RGB")), (*notes, *inks)
    grey, alpha = image.mode in ("1", "L", "LA", "La"), None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
    shown, notes = to_srgb(image.convert("L" if grey and profile else "RGB"), profile)
    pixels = np.asarray(shown.convert("RGB"))
    if alpha is None:
        return pixels, notes
    pixels, transparent = over_black(pixels, alpha)
    return pixels, (*notes, *transparent)


def _read_usual(image: Image.Image) -> Pixels:
    """Returns what Pillow makes of a picture; deep grey values as they are."""
    return (np.asarray(image), ()) if _is_numbers(image) else image_to_rgb(image)


def _is_numbers(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def _opened(file: BinaryIO, kind: str) -> Image.Image:
    return Image.open(file, formats=(kind.upper().replace(" ", ""),))


def _frames(image: Image.Image, kind: str) -> int:
    return getattr(image, "n_frames", 1) if kind in _MOVING else 1


def _read_deep(data: bytes, image: Image.Image, kind: str) -> Pixels | None:
    """Returns pixels of colours of more than 8 bits, of which Pillow would drop all but the highest 8.

    Where the file's colours are grey and transparent, the grey values come back instead.
    """
    if kind == "PNG" and data[24] == 16 and data[25] != 0:  # bits and type of colour, in the first chunk
        values = imagecodecs.png_decode(data)
        if values.dtype != np.uint16 or values.shape[:2] != (image.height, image.width):
            return None
        bits = None
    elif kind == "JPEG 2000" and image.mode in ("RGB", "RGBA"):
        about = read_codestream(data)
        if about.precision <= 8 or about.signed:
            return None
        values, bits = decode_stream(data, about), about.precision
    else:
        return None
    notes: tuple[str, ...] = ()
    if values.ndim == 3 and values.shape[2] in (2, 4):
        values, notes = over_black(values[..., :-1], values[..., -1])
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim == 2:
        return values, notes
    pixels, scaled = colour_to_rgb(values, bits)
    shown, converted = to_srgb(Image.fromarray(pixels), image.info.get("icc_profile"))
    return np.asarray(shown), (*scaled, *converted, *notes)


def _read_rare_jpeg(data: bytes, limits: Limits) -> Pixels:
    """Returns a JPEG of 12 bits, a lossless one or JPEG-LS, which Pillow does not open, grey or RGB."""
    about = read_codestream(data)
    check_size(about.width, about.height, limits)
    values = decode_stream(data, about, ycbcr=about.ycbcr is not False)
    return (values, ()) if values.ndim == 2 else colour_to_rgb(values, about.precision)


def _pixel_size(image: Image.Image, kind: str) -> tuple[float | None, float | None]:
    """Returns the height and width of a pixel as the file's resolution means them, in a unit of their own."""
    density = image.info.get("jfif_density") if kind == "JPEG" else image.info.get("dpi")
    if kind == "PNG":
        density = density or image.info.get("aspect")
    try:
        across, down = (float(value) for value in density or ())
        return 1 / down, 1 / across
    except (ArithmeticError, TypeError, ValueError):
        return None, None


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation of a loaded image, 1 where there is none that can be read."""
    stored = image.info.get("exif") or b""
    if not stored or len(stored) > _EXIF_BYTES:
        return 1
    exif = Image.Exif()
    try:
        exif.load(stored)
        return exif.get(_ORIENTATION, 1)
    except Exception:  # Pillow names no closed set; the picture is no worse for a broken remark of its camera
        return 1
