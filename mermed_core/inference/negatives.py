"""When a grey picture is taken for a negative; docs/experiments.md has the figures."""

from collections.abc import Callable

import numpy as np

from mermed_core.imaging.checks import is_empty
from mermed_core.imaging.colours import is_grey

SAID = "The picture is a negative: dark and light were exchanged before it was analysed."
# Of smaller pictures, nearly all of them parts cut out of others, one in twenty would falsely be called one.
_LEAST_SIDE = 96
_LIKELY, _UNLIKELY = 0.5, 0.2


def embed_as_taken(
    pixels: np.ndarray,
    embed: Callable[[np.ndarray], np.ndarray],
    probability: Callable[[np.ndarray], float],
    negative: bool | None = None,
) -> tuple[np.ndarray, bool]:
    """Embeds a picture, a negative with dark and light exchanged.

    A negative looks like one, and does not where dark and light are exchanged; a part cut out of a picture
    often looks like one either way. An empty picture is neither.

    Args:
        pixels: (height, width, 3) uint8.
        embed: returns the vector of pixels, made without assuming a modality.
        probability: returns how probably a grey picture is a negative, from its vector.
        negative: whether it is one, where that is known.

    Returns:
        The vector, and whether the picture is a negative.
    """
    if negative is not None:
        return embed(as_taken(pixels, negative)), negative
    vector = embed(pixels)
    if probability(vector) > _LIKELY and min(pixels.shape[:2]) >= _LEAST_SIDE and is_grey(pixels):
        turned = embed(as_taken(pixels, True))
        if probability(turned) < _UNLIKELY and not is_empty(pixels):
            return turned, True
    return vector, False


def as_taken(pixels: np.ndarray, negative: bool) -> np.ndarray:
    """Returns the pixels as they were taken, of an image that may be a negative."""
    return 255 - pixels if negative else pixels
