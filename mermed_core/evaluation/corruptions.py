"""Graded corruptions: what can degrade an image, in five severities (after Hendrycks & Dietterich 2019)."""

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageFilter
from skimage.color import hed2rgb, rgb2hed
from skimage.transform import rotate

from mermed_core.modalities import modality_key

SEVERITIES = (1, 2, 3, 4, 5)

_Corruption = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def _noise(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Adds Gaussian noise whose standard deviation is a share of the full range."""
    return pixels + 255 * strength * _field(pixels, random)


def _speckle(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Multiplies by 1 + Gaussian noise, as coherent waves do; black stays black."""
    return pixels * (1 + strength * _field(pixels, random))


def _field(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    # A grey image has one sensor value per pixel, so its channels must stay equal.
    grey = bool((pixels == pixels[:, :, :1]).all())
    return random.standard_normal((*pixels.shape[:2], 1 if grey else 3), dtype=np.float32)


def _blur(pixels: np.ndarray, share: float, _: np.random.Generator) -> np.ndarray:
    """Blurs by a Gaussian whose standard deviation is a share of the shorter side."""
    radius = share * min(pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def _contrast(pixels: np.ndarray, loss: float, _: np.random.Generator) -> np.ndarray:
    """Moves every value towards the mean of the image by a share of its distance."""
    return pixels + loss * (pixels.mean() - pixels)


def _brightness(pixels: np.ndarray, stops: float, random: np.random.Generator) -> np.ndarray:
    """Changes exposure or gain up or down; black stays black, and what becomes too bright is lost."""
    return pixels * 2.0 ** (stops * random.choice([-1, 1]))


def _jpeg(pixels: np.ndarray, quality: float, _: np.random.Generator) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(quality))
    return np.asarray(Image.open(buffer))


def _cropping(pixels: np.ndarray, loss: float, random: np.random.Generator) -> np.ndarray:
    """Crops a share of both sides, divided at random between the edges, and resizes to the old size."""
    height, width = pixels.shape[:2]
    top, left = random.uniform(0, loss, 2)
    box = (left * width, top * height, (left + 1 - loss) * width, (top + 1 - loss) * height)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, box=box))


def _rotation(pixels: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    """Rotates to either side; corners are filled by reflection, because black ones would be a clue."""
    return rotate(pixels, degrees * random.choice([-1, 1]), mode="reflect", preserve_range=True)


def _stain(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Adds haematoxylin and removes eosin, or the other way round (after Tellez et al. 2018)."""
    change = strength * random.choice([-1, 1]) * np.array([1, -1, 0])
    stains = rgb2hed(pixels)
    # Only the difference is added: a round trip changes colours that are no mixture of the stains.
    return pixels + 255 * (hed2rgb(stains * (1 + change)) - hed2rgb(stains))


CORRUPTIONS: dict[str, _Corruption] = {
    "noise": _noise,
    "speckle": _speckle,
    "blur": _blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "jpeg": _jpeg,
    "cropping": _cropping,
    "rotation": _rotation,
    "stain": _stain,
}
# The strength that each function is given at severity 1 to 5.
_STEPS: dict[str, tuple[float, float, float, float, float]] = {
    "noise": (0.02, 0.04, 0.07, 0.11, 0.16),
    "speckle": (0.1, 0.2, 0.3, 0.45, 0.6),
    "blur": (0.004, 0.008, 0.013, 0.02, 0.03),
    "contrast": (0.15, 0.3, 0.45, 0.6, 0.75),
    "brightness": (0.2, 0.4, 0.6, 0.8, 1.0),
    "jpeg": (60, 40, 25, 15, 8),
    "cropping": (0.05, 0.1, 0.15, 0.2, 0.3),
    "rotation": (3, 6, 10, 15, 25),
    "stain": (0.1, 0.2, 0.3, 0.4, 0.5),
}
_PROPER: dict[str, tuple[str, ...]] = {
    # Noise by dose, blur by kernel and motion, contrast by window; values are calibrated and stored lossless.
    "ct": ("noise", "blur", "contrast", "cropping", "rotation"),
    # Exposure varies, and public data sets have been through JPEG.
    "cxr": ("noise", "blur", "contrast", "brightness", "jpeg", "cropping", "rotation"),
    # Gain is brightness; the probe is always at the top, so images are never rotated.
    "ultrasound": ("speckle", "blur", "contrast", "brightness", "jpeg", "cropping"),
    # Stain by laboratory, blur by focus, JPEG by scanner; a tile has no border that could be cropped.
    "pathology": ("noise", "blur", "contrast", "brightness", "jpeg", "rotation", "stain"),
    # A photograph through media that may be cloudy, which lowers the contrast.
    "fundus": ("noise", "blur", "contrast", "brightness", "jpeg", "cropping", "rotation"),
    # Brightness by signal strength, rotation by tilt.
    "oct": ("speckle", "blur", "contrast", "brightness", "jpeg", "cropping", "rotation"),
    "dermatology": ("noise", "blur", "contrast", "brightness", "jpeg", "cropping", "rotation"),
}


def proper_to(modality: str) -> tuple[str, ...]:
    """Returns the names of the corruptions that occur in a modality, given by key or alias."""
    return _PROPER[modality_key(modality)]


def corrupt(pixels: np.ndarray, name: str, severity: int, seed: int | Sequence[int]) -> np.ndarray:
    """Returns pixels (height, width, 3) uint8 with one corruption; grey images stay grey.

    Lengths are shares of the image's side, so that large and small images are degraded alike. A seed gives
    the same noise, direction and edge at every severity.

    Args:
        pixels: (height, width, 3) uint8.
        name: one of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: of everything random, such as (seed, number of the case).

    Raises:
        ValueError: there is no such corruption or severity.
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"there is no corruption '{name}'; there are {', '.join(CORRUPTIONS)}.")
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be 1, 2, 3, 4 or 5, not {severity}.")
    changed = CORRUPTIONS[name](pixels, _STEPS[name][severity - 1], np.random.default_rng(seed))
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)
