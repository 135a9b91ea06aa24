"""Pixels as data URIs: what a visitor sees of an image travels inside the page and never becomes a file."""

import base64
import io

import numpy as np
from PIL import Image
from plotly.colors import hex_to_rgb, sequential

SHOWN_SIDE = 900
_HEAT_SIDE = 320
# Dark to light with equal steps to the eye, so that no edge appears that is not in the map.
_SCALE = np.array([hex_to_rgb(colour) for colour in sequential.Inferno], dtype=np.float64)


def picture_uri(pixels: np.ndarray, side: int = SHOWN_SIDE) -> str:
    """Returns pixels (height, width, 3) uint8 as a lossless PNG, at most `side` px long."""
    return _png_uri(_fit(Image.fromarray(pixels), side))


def heat_uri(heat: np.ndarray) -> str:
    """Returns a map (height, width) in 0..1 as a PNG that is the more opaque the hotter it is."""
    small = np.asarray(_fit(Image.fromarray((heat * 255).astype(np.uint8)), _HEAT_SIDE)) / 255.0
    return _png_uri(Image.fromarray(np.dstack([colours(small), (small * 255).astype(np.uint8)]), "RGBA"))


def colours(values: np.ndarray) -> np.ndarray:
    """Returns the colours (..., 3) uint8 of values in 0..1 on the scale that the page shows."""
    steps = np.linspace(0, 1, len(_SCALE))
    return np.stack([np.interp(values, steps, _SCALE[:, i]) for i in range(3)], axis=-1).astype(np.uint8)


def scale_gradient() -> str:
    """Returns the scale from 0 to 1 as a CSS gradient."""
    stops = ", ".join("rgb({:.0f} {:.0f} {:.0f})".format(*colour) for colour in _SCALE)
    return f"linear-gradient(90deg, {stops})"


def jpeg_uri(data: bytes) -> str:
    """Returns the bytes of a JPEG (a thumbnail) as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _fit(image: Image.Image, side: int) -> Image.Image:
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _png_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
