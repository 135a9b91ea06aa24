import base64
import io

import numpy as np
from PIL import Image

from app.components.pictures import heat_uri, picture_uri, scale_gradient
from mermed_core.imaging.overlay import heat_colours


def decoded(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_small_pictures_arrive_without_loss():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    assert np.array_equal(decoded(picture_uri(pixels, 60)), pixels)


def test_large_pictures_are_shown_smaller_in_the_same_shape():
    assert decoded(picture_uri(np.zeros((1000, 4000, 3), np.uint8), 800)).shape == (200, 800)


def test_heat_is_the_more_opaque_the_hotter():
    heat = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    shown = decoded(heat_uri(heat))
    assert shown.shape == (16, 16, 4)
    assert shown[0, 0, 3] == 0
    assert shown[-1, -1, 3] == 255
    assert np.all(np.diff(shown[:, :, 3].astype(int).ravel()) >= 0)


def test_the_legend_is_the_scale_of_the_map():
    first, last = (tuple(int(value) for value in heat_colours(np.array(end))) for end in (0.0, 1.0))
    assert scale_gradient().startswith("linear-gradient(90deg, rgb({} {} {})".format(*first))
    assert scale_gradient().endswith("rgb({} {} {}))".format(*last))
