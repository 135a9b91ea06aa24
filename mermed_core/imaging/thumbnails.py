"""Small pictures of images, as a collection keeps them."""

import io

import numpy as np
from PIL import Image

THUMBNAIL_SIDE = 160


def make_thumbnail(pixels: np.ndarray, side: int = THUMBNAIL_SIDE) -> bytes:
    """Returns pixels (height, width, 3) uint8 as JPEG bytes, longest side at most `side` px."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
