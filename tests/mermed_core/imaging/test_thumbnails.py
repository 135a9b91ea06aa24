"""Thumbnails: JPEG, of the image's shape, never larger than it."""

import io

import numpy as np
import pytest
from PIL import Image

from mermed_core.imaging.thumbnails import THUMBNAIL_SIDE, make_thumbnail


@pytest.mark.parametrize(("shape", "shown"), [((400, 800, 3), (80, 160)), ((20, 10, 3), (20, 10))])
def test_thumbnails_keep_their_shape_and_never_grow(shape, shown):
    data = make_thumbnail(np.zeros(shape, np.uint8))
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    assert (image.height, image.width) == shown
    assert max(image.size) <= THUMBNAIL_SIDE
