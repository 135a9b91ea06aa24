"""Draws one phantom, or a manifest of them."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from PIL import Image

from mermed_core.data.manifest import Manifest
from mermed_core.data.phantoms.canvas import Array, Canvas
from mermed_core.data.phantoms.microscopy import paint_pathology, paint_skin
from mermed_core.data.phantoms.radiology import paint_ct, paint_cxr, paint_ultrasound
from mermed_core.data.phantoms.retina import paint_fundus, paint_oct
from mermed_core.modalities import MODALITY_KEYS, modality_key
from mermed_core.records import SYNTHETIC_PREFIX

NORMAL = "synthetic normal"
SIZE = 160
_Painter = Callable[[Canvas, Canvas | None], tuple[Array, Array]]
_PAINTERS: dict[str, dict[str, _Painter]] = {
    "ct": {"synthetic nodule": paint_ct},
    "cxr": {"synthetic opacity": paint_cxr},
    "ultrasound": {"synthetic mass": paint_ultrasound},
    "pathology": {"synthetic crowded nuclei": paint_pathology},
    "fundus": {"synthetic exudates": paint_fundus},
    "oct": {"synthetic fluid": paint_oct, "synthetic drusen": partial(paint_oct, drusen=True)},
    "dermatology": {"synthetic pigmented lesion": paint_skin},
}
FINDINGS: dict[str, tuple[str, ...]] = {key: tuple(painters) for key, painters in _PAINTERS.items()}
_SPLITS = ("train",) * 7 + ("val",) + ("test",) * 2


@dataclass(frozen=True)
class Phantom:
    """A drawn image.

    Attributes:
        pixels: (size, size, 3) uint8 RGB.
        mask: (size, size) bool, the finding; all False without one.
        modality: key.
        label: `NORMAL` or one of the modality's `FINDINGS`.
    """

    pixels: np.ndarray
    mask: np.ndarray
    modality: str
    label: str


def draw_phantom(modality: str, label: str = NORMAL, *, seed: int, size: int = SIZE) -> Phantom:
    """Draws a phantom; the same seed gives the same anatomy with and without a finding.

    Args:
        modality: key or alias.
        label: `NORMAL`, or one of `FINDINGS[modality]`.
        seed: decides everything that varies.
        size: side in pixels.

    Raises:
        ValueError: the modality has no such finding.
    """
    key = modality_key(modality)
    painters = _PAINTERS[key]
    if label not in (NORMAL, *painters):
        raise ValueError(f"{key} phantoms have no '{label}'; they have {', '.join(painters)}.")
    painter = painters.get(label, next(iter(painters.values())))
    anatomy, finding = np.random.default_rng([seed, MODALITY_KEYS.index(key)]).spawn(2)
    image, weight = painter(Canvas(size, anatomy), None if label == NORMAL else Canvas(size, finding))
    pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return Phantom(pixels, weight > 0.5, key, label)


def phantom_manifest(count_per_modality: int, seed: int = 0) -> Manifest:
    """Draws phantoms of every modality as a manifest of PNG images; every second one is normal.

    Seven of ten are of the train split, one of val, two of test.
    """
    rows = []
    for key in MODALITY_KEYS:
        labels = [item for finding in FINDINGS[key] for item in (NORMAL, finding)]
        for number in range(count_per_modality):
            label = labels[number % len(labels)]
            phantom = draw_phantom(key, label, seed=seed * 1_000_003 + number)
            rows.append(
                {
                    "case_id": f"{SYNTHETIC_PREFIX}{key}/{seed}-{number:06d}",
                    "image": _png(phantom.pixels),
                    "modality": key,
                    "labels": [label],
                    "split": _SPLITS[(number // len(labels)) % len(_SPLITS)],
                    "source": f"{SYNTHETIC_PREFIX}{key}",
                }
            )
    return Manifest.from_frame(pd.DataFrame(rows))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
