"""Images that no medical model should judge, and the share of them that is rejected as out of distribution.

Nothing is downloaded: the pictures come with scikit-image and pydicom, and the rest is drawn.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import skimage
from PIL import Image, ImageDraw
from pydicom.errors import InvalidDicomError

from mermed_core.errors import ImageError
from mermed_core.imaging.reader import read_image
from mermed_core.models.embedder import Embedder
from mermed_core.models.heads import Head
from mermed_core.models.ood import OODDetector

# Those pictures of scikit-image that are not medical: without cell, ihc, microaneurysms, phantom and retina.
_PICTURES = {
    "photographs": (
        "astronaut.png",
        "camera.png",
        "chelsea.png",
        "clock_motion.png",
        "coffee.png",
        "coins.png",
        "hubble_deep_field.jpg",
        "moon.png",
        "motorcycle_left.png",
        "rocket.jpg",
    ),
    "textures": ("brick.png", "grass.png", "gravel.png"),
    "graphics": ("chessboard_RGB.png", "color.png", "horse.png", "logo.png"),
    "documents": ("page.png", "text.png"),
}
_CROPS = 8  # of each photograph and texture
_DRAWN = 20  # of each kind that is drawn
_WORDS = ("total", "invoice", "name", "date", "settings", "send", "monday", "page", "cancel", "report", "42")


def unknown_images(seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Returns about 200 images that are not medical, as pixels (height, width, 3) uint8 by their kind."""
    random = np.random.default_rng(seed)
    folder = Path(skimage.__file__).parent / "data"
    images = {kind: [read_image(folder / name).pixels for name in names] for kind, names in _PICTURES.items()}
    images["crops"] = [
        _crop(picture, random)
        for picture in images["photographs"] + images["textures"]
        for _ in range(_CROPS)
    ]
    for kind, draw in (
        ("documents", _document),
        ("noise", _noise),
        ("gradients", _gradient),
        ("solid colours", _solid),
    ):
        images[kind] = images.get(kind, []) + [draw(random) for _ in range(_DRAWN)]
    return images


def unknown_medical(folder: Path | None = None) -> list[np.ndarray]:
    """Returns the MR images in a folder of DICOM files; MR is not one of the seven modalities.

    Files that cannot be read and duplicates of the same pixels are left out.

    Args:
        folder: None for the test files that come with pydicom.
    """
    folder = folder or Path(pydicom.__file__).parent / "data" / "test_files"
    images: dict[bytes, np.ndarray] = {}
    for path in sorted(folder.glob("*.dcm")):
        try:
            if pydicom.dcmread(path, specific_tags=["Modality"]).get("Modality") == "MR":
                pixels = read_image(path).pixels
                images[pixels.tobytes()] = pixels
        except (ImageError, InvalidDicomError):
            continue
    return list(images.values())


def rejection(
    embedder: Embedder, modality_head: Head, detector: OODDetector, images: Sequence[np.ndarray]
) -> float:
    """Returns the share of images (height, width, 3) that the detector rejects, NaN without images.

    It is used as in serving: the modality head reads the neutral embedding, and the detector reads the
    embedding of the modality that the head names.
    """
    rejected = []
    for pixels in images:
        neutral = embedder.embed(pixels, None)
        modality = modality_head.classes[int(modality_head.logits(neutral[None]).argmax())]
        score = detector.scores(embedder.embed(pixels, modality)[None])[0]
        rejected.append(score > detector.threshold)
    return float(np.mean(rejected)) if rejected else float("nan")


def rejection_by_kind(
    embedder: Embedder, modality_head: Head, detector: OODDetector, *, seed: int = 0
) -> dict[str, float]:
    """Returns the share rejected, 0..1, of every kind of image that this file can find or draw."""
    kinds = {**unknown_images(seed), "MR": unknown_medical()}
    return {kind: rejection(embedder, modality_head, detector, images) for kind, images in kinds.items()}


def _crop(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Cuts a square of a third to all of the shorter side."""
    side = int(random.uniform(1 / 3, 1) * min(picture.shape[:2]))
    top, left = (int(random.integers(0, length - side + 1)) for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def _document(random: np.random.Generator) -> np.ndarray:
    """Draws a page, a form or a window: lines of words in columns, some of them boxed, under a bar."""
    width, height = (int(length) for length in random.integers(300, 700, 2))
    dark = random.random() < 0.3
    paper, ink = (tuple(int(value) for value in random.integers(*limits, 3)) for limits in _tones(dark))
    image = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(image)
    if random.random() < 0.5:
        pen.rectangle((0, 0, width, 40), fill=tuple(int(value) for value in random.integers(0, 256, 3)))
    columns, size = int(random.integers(1, 4)), int(random.integers(10, 22))
    for left in np.linspace(20, width, columns, endpoint=False):
        right = left + width / columns - 40
        for top in range(60, height - size, int(size * random.uniform(1.3, 3))):
            if random.random() < 0.15:
                pen.rectangle((left, top - 2, right, top + size + 2), outline=ink, width=2)
            words = random.choice(_WORDS, max(1, int((right - left) / (4 * size))))
            pen.text((left + 4, top), " ".join(words), fill=ink, font_size=size)
    return np.asarray(image)


def _tones(dark: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the range of values of the paper and of the ink."""
    return ((0, 50), (180, 256)) if dark else ((225, 256), (0, 90))


def _noise(random: np.random.Generator) -> np.ndarray:
    """Draws noise in blocks of 1 to 32 px, grey or coloured."""
    block, channels = 2 ** int(random.integers(0, 6)), int(random.choice([1, 3]))
    cells = random.integers(0, 256, (256 // block, 256 // block, channels), dtype=np.uint8)
    return cells.repeat(block, 0).repeat(block, 1).repeat(3 // channels, 2)


def _gradient(random: np.random.Generator) -> np.ndarray:
    """Draws a straight transition from one colour to another, at any angle."""
    start, end = random.integers(0, 256, (2, 3))
    rows, columns = np.mgrid[-1:1:256j, -1:1:256j]
    angle = random.uniform(0, 2 * np.pi)
    share = (rows * np.sin(angle) + columns * np.cos(angle))[:, :, None] / 2**1.5 + 0.5
    return (start + share * (end - start)).astype(np.uint8)


def _solid(random: np.random.Generator) -> np.ndarray:
    return np.full((256, 256, 3), random.integers(0, 256, 3), np.uint8)
