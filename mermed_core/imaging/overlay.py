"""A heat map over an image, and words burned into it, as pixels that leave the program."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from plotly.colors import hex_to_rgb, sequential

from mermed_core.imaging.fonts import font_file

# Dark to light with equal steps to the eye, so that no edge appears that is not in the map.
SCALE = np.array([hex_to_rgb(colour) for colour in sequential.Inferno], dtype=np.float64)
OPACITY = 0.6  # of the hottest place
_LEAST_WIDTH = 512  # a picture that is smaller has no room for a line of text
_TEXT_SHARE = 42  # this part of the width is the height of the text
_GROUND, _INK, _ALERT = (11, 15, 20), (235, 238, 242), (255, 196, 0)


def heat_colours(values: np.ndarray) -> np.ndarray:
    """Returns the colours (..., 3) uint8 of values in 0..1."""
    steps = np.linspace(0, 1, len(SCALE))
    return np.stack([np.interp(values, steps, SCALE[:, i]) for i in range(3)], axis=-1).astype(np.uint8)


def laid_over(pixels: np.ndarray, heat: np.ndarray, opacity: float = OPACITY) -> np.ndarray:
    """Lays a heat map over an image, the more opaque the hotter it is.

    Args:
        pixels: (height, width, 3) uint8.
        heat: (height, width) in 0..1.
        opacity: of the hottest place, 0..1.

    Returns:
        (height, width, 3) uint8.
    """
    share = (heat * opacity)[..., None]
    return np.rint(pixels * (1 - share) + heat_colours(heat) * share).astype(np.uint8)


def fitted(pixels: np.ndarray, side: int) -> np.ndarray:
    """Returns pixels (height, width[, 3]) uint8 with their longest side at most `side` px.

    By torch's antialiased cubic, which on interleaved bytes takes a seventh of the time of Pillow's Lanczos.
    """
    longest = max(pixels.shape[:2])
    if longest <= side:
        return pixels
    import torch  # whoever opens a collection is spared its half a gigabyte
    from torch.nn import functional as F

    size = [max(1, round(length * side / longest)) for length in pixels.shape[:2]]
    held = np.require(pixels, requirements=("C", "W"))  # a decoder's may be read-only, tensors cannot
    channels = torch.from_numpy(held.reshape(1, *pixels.shape[:2], -1)).permute(0, 3, 1, 2)
    resized = F.interpolate(channels, size=size, mode="bicubic", antialias=True)
    return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy()).reshape(*size, *pixels.shape[2:])


def with_words(pixels: np.ndarray, alert: str, lines: Sequence[str]) -> np.ndarray:
    """Returns the image between two bands of text, so that no pixel of it is hidden.

    Args:
        pixels: (height, width, 3) uint8; a small image is enlarged until the text can be read.
        alert: what stands above the image, in a signal colour.
        lines: what stands below it; wrapped where too long.
    """
    image = Image.fromarray(pixels)
    if image.width < _LEAST_WIDTH:
        scale = _LEAST_WIDTH / image.width
        image = image.resize((_LEAST_WIDTH, max(1, round(image.height * scale))), Image.Resampling.BICUBIC)
    size = max(14, image.width // _TEXT_SHARE)
    above = _band(image.width, (alert,), size, _ALERT, bold=True)
    below = _band(image.width, lines, size, _INK)
    return np.vstack([above, np.asarray(image), below])


def _band(
    width: int, lines: Sequence[str], size: int, colour: tuple[int, int, int], *, bold: bool = False
) -> np.ndarray:
    font = ImageFont.truetype(str(font_file(bold=bold)), size)
    margin = size // 2
    wrapped = [part for line in lines for part in _wrapped(line, font, width - 2 * margin)]
    step = round(size * 1.35)
    image = Image.new("RGB", (width, step * len(wrapped) + 2 * margin), _GROUND)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(wrapped):
        draw.text((margin, margin + number * step), line, font=font, fill=colour)
    return np.asarray(image)


def _wrapped(line: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Returns a line in parts that fit, broken between words; a word that is too long alone stays whole."""
    parts = [""]
    for word in line.split():
        longer = f"{parts[-1]} {word}".strip()
        if font.getlength(longer) <= width or not parts[-1]:
            parts[-1] = longer
        else:
            parts.append(word)
    return parts
