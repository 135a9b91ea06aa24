"""Images that are of none of the seven modalities: read from files, taken from installed packages, or drawn.

Nothing is downloaded: the pictures come with scikit-image and pydicom, and the rest is drawn.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import skimage
from PIL import Image, ImageDraw
from pydicom.errors import InvalidDicomError

from mermed_core.errors import ImageError, ManifestError
from mermed_core.imaging.reader import read_image

logger = logging.getLogger(__name__)

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
    """Returns about 200 images that are not medical, as pixels (height, width, 3) by kind."""
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


def read_unknown(path: Path) -> dict[str, list[np.ndarray]]:
    """Reads images that are of none of the seven modalities, as pixels (height, width, 3) by kind.

    Args:
        path: a parquet file with a column `image` (struct of bytes and path, or plain bytes) and one `label`
            that names the kind, a folder of such files, or a folder with a folder of image files for each
            kind.

    Raises:
        ManifestError: there is no such file, or none that can be read.
    """
    if path.is_dir() and (folders := sorted(each for each in path.iterdir() if each.is_dir())):
        files = {
            folder.name: sorted(each for each in folder.iterdir() if each.is_file()) for folder in folders
        }
        kinds = {kind: _readable(each) for kind, each in files.items()}
    else:
        kinds = _read_tables(sorted(path.glob("*.parquet")) if path.is_dir() else [path])
    kinds = {kind: images for kind, images in kinds.items() if images}
    if not kinds:
        raise ManifestError(f"'{path}' holds no image of an unknown kind that can be read.")
    return kinds


def _read_tables(files: Sequence[Path]) -> dict[str, list[np.ndarray]]:
    encoded: dict[str, list[bytes]] = {}
    for file in files:
        try:
            table = pq.read_table(file, columns=["image", "label"])
        except (OSError, pa.ArrowException) as error:
            raise ManifestError(f"{file} cannot be read as images with a label ({error}).") from error
        for image, label in zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True):
            data = image.get("bytes") if isinstance(image, dict) else image
            encoded.setdefault(str(label), []).append(data if isinstance(data, bytes) else b"")
    return {kind: _readable(images) for kind, images in encoded.items()}


def _readable(images: Sequence[bytes | Path]) -> list[np.ndarray]:
    pixels = []
    for image in images:
        try:
            pixels.append(read_image(image).pixels)
        except ImageError as error:
            logger.warning("an image of an unknown kind is left out: %s", error)
    return pixels


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
