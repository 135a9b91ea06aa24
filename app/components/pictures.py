"""Pixels as data URIs: what a visitor sees of an image travels inside the page and never becomes a file."""

import base64

import numpy as np

from mermed_core.imaging.codecs import encode_png
from mermed_core.imaging.overlay import SCALE, fitted, heat_colours

_HEAT_SIDE = 320


def picture_uri(pixels: np.ndarray, side: int) -> str:
    """Returns pixels (height, width, 3) uint8 as a lossless PNG, at most `side` px long."""
    return png_uri(fitted(pixels, side))


def heat_uri(heat: np.ndarray) -> str:
    """Returns a map (height, width) in 0..1 as a PNG that is the more opaque the hotter it is."""
    small = fitted((heat * 255).astype(np.uint8), _HEAT_SIDE) / 255.0
    return png_uri(np.dstack([heat_colours(small), (small * 255).astype(np.uint8)]))


def scale_gradient() -> str:
    """Returns the scale from 0 to 1 as a CSS gradient."""
    stops = ", ".join("rgb({:.0f} {:.0f} {:.0f})".format(*colour) for colour in SCALE)
    return f"linear-gradient(90deg, {stops})"


def jpeg_uri(data: bytes) -> str:
    """Returns the bytes of a JPEG (a thumbnail) as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def png_uri(pixels: np.ndarray) -> str:
    """Returns pixels (height, width[, 3 or 4]) uint8 as a PNG that travels inside the page."""
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()
