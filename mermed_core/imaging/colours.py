"""Numbers of any range, with or without alpha, to RGB pixels; and colour profiles to sRGB."""

import io

import numpy as np
from PIL import Image, ImageCms

from mermed_core.imaging.windowing import scale_to_bytes, stretch_to_bytes

Pixels = tuple[np.ndarray, tuple[str, ...]]
"""Pixels (height, width, 3) uint8, and notes for the person who looks at them."""

STRETCHED = "The grey values were stretched from the darkest to the brightest 0.5 %."
_TRANSPARENT = "Transparent parts are shown black."
_USUAL_BITS = (8, 10, 12, 14, 16)
_UNCHANGED = 2  # a profile that moves no channel by more is as good as sRGB
_LOOKED_AT = 256  # pixels of the longer side
_COLOURLESS, _MOSTLY = 12, 0.97  # levels between the channels, share of the pixels
_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def is_grey(pixels: np.ndarray) -> bool:
    """Returns whether pixels (height, width, 3) uint8 show hardly any colour, as annotations may."""
    step = max(1, max(pixels.shape[:2]) // _LOOKED_AT)
    few = pixels[::step, ::step]
    return bool(np.mean(few.max(axis=2) - few.min(axis=2) <= _COLOURLESS) >= _MOSTLY)


def is_deep(values: np.ndarray) -> bool:
    """Returns whether values are grey, (height, width), and have more than 8 bits."""
    return values.ndim == 2 and values.dtype not in (np.uint8, np.bool_)


def grey_to_rgb(values: np.ndarray, *, white_is_zero: bool = False) -> Pixels:
    """Returns pixels of grey values (height, width): bytes as they are, anything else stretched, and said."""
    notes: tuple[str, ...] = ()
    if values.dtype == np.bool_:
        pixels = values.astype(np.uint8) * np.uint8(255)
    elif values.dtype == np.uint8:
        pixels = values
    else:
        pixels, notes = stretch_to_bytes(values.astype(np.float64)), (STRETCHED,)
    return np.repeat((255 - pixels if white_is_zero else pixels)[:, :, None], 3, axis=2), notes


def colour_to_rgb(values: np.ndarray, stated_bits: int | None = None) -> Pixels:
    """Returns pixels of red, green and blue values (height, width, 3) of any numeric type.

    Values in 16 bits often use 12 of them only; the range is then what they use, and a note says so.

    Args:
        values: whole numbers from 0, or others, which are stretched from the least to the greatest.
        stated_bits: how many bits the file says that it uses, None where it says no more than its type.
    """
    if values.dtype == np.uint8 and stated_bits in (None, 8):
        return values, ()
    if values.dtype.kind == "f" or int(values.min(initial=0)) < 0:
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        if low >= 0 and high <= 1:  # shares of the full colour
            return scale_to_bytes(values, 0, 1), ()
        note = "The colours were stretched from the least to the greatest value."
        return scale_to_bytes(values, low, high), (note,)
    bits = stated_bits or values.dtype.itemsize * 8
    used = next((b for b in _USUAL_BITS if int(values.max(initial=0)) < 1 << b), bits)
    notes: tuple[str, ...] = ()
    if used < bits and bits >= 16:
        notes = (f"The colours use {used} of {bits} bits and were scaled from those.",)
        bits = used
    return scale_to_bytes(values, 0, float((1 << bits) - 1)), notes


def over_black(values: np.ndarray, alpha: np.ndarray) -> Pixels:
    """Lays values (height, width[, 3]) over black by their alpha (height, width), of one unsigned type."""
    full = np.iinfo(alpha.dtype).max
    if alpha.min(initial=full) == full:
        return values, ()
    shares = alpha[..., None] if values.ndim == 3 else alpha
    laid = np.rint(values * (shares.astype(np.float64) / full)).astype(values.dtype)
    return laid, (_TRANSPARENT,)


def ybr_to_rgb(values: np.ndarray, bits: int, *, partial: bool = False) -> np.ndarray:
    """Turns luma and colour differences (height, width, 3) into red, green and blue of the same bits.

    Args:
        values: whole numbers from 0.
        bits: of a value.
        partial: luma takes 16 to 235 of 255 only, and differences 16 to 240.

    Source: DICOM PS3.3, C.7.6.3.1.2; ITU-R BT.601.
    """
    scale = (1 << bits) / 256
    luma, blue, red = (values[..., channel].astype(np.float32) for channel in range(3))
    blue, red = blue - 128 * scale, red - 128 * scale
    if partial:
        luma, blue, red = (luma - 16 * scale) * (255 / 219), blue * (255 / 224), red * (255 / 224)
    green = luma - 0.344136 * blue - 0.714136 * red
    rgb = np.rint(np.stack([luma + 1.402 * red, green, luma + 1.772 * blue], axis=-1))
    return np.clip(rgb, 0, (1 << bits) - 1).astype(np.uint8 if bits <= 8 else np.uint16)


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """Returns an image (L, RGB or CMYK) with the colours that its ICC profile means, as sRGB.

    A profile that means sRGB within two steps of 255 changes nothing. One that is damaged or of another
    number of channels is left aside, and a note says so.
    """
    if not profile:
        return image, ()
    try:
        meant = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = str(getattr(meant.profile, "xcolor_space", "")).strip()
        if _MODE_OF_SPACE.get(space) != image.mode:
            return image, ("The file's colour profile is not for pixels of its kind and was left aside.",)
        transform = ImageCms.buildTransform(meant, ImageCms.createProfile("sRGB"), image.mode, "RGB")
        if image.mode != "CMYK" and _changes_nothing(transform, image.mode):
            return image, ()
        changed = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image, ("The file's colour profile is damaged and was left aside.",)
    return changed or image, ("The colours were turned into sRGB by the file's colour profile.",)


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    steps = np.linspace(0, 255, 18 if mode == "RGB" else 256).astype(np.uint8)
    if mode == "RGB":
        probe = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(18, -1, 3)
    else:
        probe = steps[None]
    changed = ImageCms.applyTransform(Image.fromarray(probe), transform)
    if changed is None:
        return False
    wanted = probe if mode == "RGB" else np.repeat(probe[..., None], 3, axis=2)
    return bool(np.abs(np.asarray(changed).astype(int) - wanted.astype(int)).max() <= _UNCHANGED)
