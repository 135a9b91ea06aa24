"""What hospitals, devices and people do to an image without changing what it shows, drawn at random.

Frames and borders, screenshots and photographs of a screen, crops, compression, resolution, tone, colour and
stain: heads and detector that were fitted on such copies too answer about the image, not about its way.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from skimage.color import hed2rgb, rgb2hed

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
_MOST_CHANGES = 3
_WORDS = ("Zoom", "Series 2", "W 400", "L 40", "Tools", "File", "Patient", "Export")


def border(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Puts an even border of 3 to 14 % around an image (height, width, 3) uint8."""
    width = max(1, int(random.uniform(0.03, 0.14) * max(pixels.shape[:2])))
    value = int(random.choice([255, 240, 128, 30, 0]))
    return np.pad(pixels, ((width, width), (width, width), (0, 0)), constant_values=value)


def padding(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Pads an image with black, or at times white, to a larger square."""
    height, width = pixels.shape[:2]
    side = int(max(height, width) * random.uniform(1.0, 1.25))
    padded = np.full((side, side, 3), 255 if random.random() < 0.25 else 0, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    padded[top : top + height, left : left + width] = pixels
    return padded


def screenshot(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Puts an image into the window of a viewer: a title bar, an even background, words beside it."""
    height, width = pixels.shape[:2]
    size = int(width * random.uniform(1.1, 1.5)), int(height * random.uniform(1.15, 1.5))
    dark = random.random() < 0.5
    paper, ink = (
        _colour(random, *limits) for limits in (((20, 60), (180, 250)) if dark else ((215, 256), (20, 90)))
    )
    window = Image.new("RGB", size, paper)
    pen = ImageDraw.Draw(window)
    bar = max(4, int(size[1] * random.uniform(0.04, 0.1)))
    pen.rectangle((0, 0, size[0], bar), fill=_colour(random, 0, 256))
    pen.text((4, 1), f"Viewer {random.integers(1000)}", fill=ink, font_size=max(6, int(bar * 0.7)))
    left = int((size[0] - width) * random.random())
    top = bar + int(max(0, size[1] - bar - height) * random.random())
    window.paste(Image.fromarray(pixels), (left, top))
    for line in range(int(random.integers(0, 6))):
        start = int(random.integers(0, left + 1)) if left > 20 else 2
        place = (start, min(size[1] - 8, bar + 10 + line * 14))
        pen.text(place, str(random.choice(_WORDS)), fill=ink, font_size=max(6, int(size[1] * 0.035)))
    return np.asarray(window)


def photograph(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Photographs an image from a screen: in perspective, with moiré, glare and a cast of colour."""
    height, width = pixels.shape[:2]
    scene = Image.new("RGB", (int(width * 1.2), int(height * 1.2)), _colour(random, 0, 90))
    scene.paste(Image.fromarray(pixels), (int(width * 0.1), int(height * 0.1)))
    width, height = scene.size
    corners = np.array([[0.05, 0.05], [0.05, 0.95], [0.95, 0.95], [0.95, 0.05]])
    corners = (corners + random.uniform(-0.06, 0.06, (4, 2))) * (width, height)
    scene = scene.transform(
        scene.size, Image.Transform.QUAD, list(corners.ravel()), Image.Resampling.BILINEAR
    )
    rows, columns = np.mgrid[0:height, 0:width]
    moire = 1 + 0.06 * np.sin(columns * random.uniform(0.5, 2.5) + rows * random.uniform(0.2, 1))
    away = (columns - random.uniform(0, width)) ** 2 + (rows - random.uniform(0, height)) ** 2
    glare = 60 * random.random() * np.exp(-away / (2 * (0.25 * width) ** 2))
    seen = np.asarray(scene, np.float32) * moire[..., None] * random.uniform(0.8, 1.05) + glare[..., None]
    return to_uint8((seen + random.uniform(0, 20)) * random.uniform(0.9, 1.1, 3))


def crop(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Cuts up to 16 % off every side."""
    height, width = pixels.shape[:2]
    share = random.uniform(0.04, 0.16) * random.uniform(0.3, 1, 4)
    top, bottom, left, right = (share * (height, height, width, width)).astype(int)
    return pixels[top : height - bottom, left : width - right]


def mirror(pixels: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Mirrors an image, left to right."""
    return pixels[:, ::-1]


def compression(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Compresses an image as JPEG of quality 15 to 60."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(random.integers(15, 60)))
    return np.asarray(Image.open(buffer))


def resolution(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Makes an image smaller, to 35 to 80 % of its sides."""
    share = random.uniform(0.35, 0.8)
    height, width = (max(24, int(length * share)) for length in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def tone(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Changes gamma, contrast and brightness, as another window does."""
    values = (pixels.astype(np.float32) / 255) ** np.exp(random.uniform(-0.5, 0.5))
    values = (values - 0.5) * random.uniform(0.65, 1.35) + 0.5 + random.uniform(-0.12, 0.12)
    return to_uint8(values * 255)


def colour(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Changes white balance and saturation, as another camera does."""
    values = pixels.astype(np.float32) * random.uniform(0.75, 1.25, 3)
    grey = values.mean(axis=2, keepdims=True)
    return to_uint8(grey + (values - grey) * random.uniform(0.3, 1.6))


def grey_world(pixels: np.ndarray) -> np.ndarray:
    """Balances an image's colours so that its mean is grey (Buchsbaum 1980), whatever the light and camera.

    Of dermoscopy that makes classifiers hold better elsewhere (Barata, Celebi and Marques 2015).
    """
    values = pixels.astype(np.float32)
    means = values.mean(axis=(0, 1))
    return to_uint8(values * (means.mean() / np.maximum(means, 1)))


def stain(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Changes how strongly a section took haematoxylin, eosin and DAB (Tellez et al. 2019)."""
    stains = rgb2hed(pixels) * random.uniform(0.5, 1.6, 3) + random.uniform(-0.02, 0.02, 3)
    return to_uint8(hed2rgb(stains) * 255)


def softness(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Blurs an image slightly."""
    blurred = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(random.uniform(0.5, 1.6)))
    return np.asarray(blurred)


def noise(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Adds Gaussian noise, grey or coloured."""
    channels = 1 if random.random() < 0.6 else 3
    return to_uint8(pixels + random.normal(0, random.uniform(4, 16), (*pixels.shape[:2], channels)))


_ALWAYS: tuple[Change, ...] = (
    *(tone, tone, crop, crop),  # the most frequent in practice
    *(border, padding, screenshot, photograph, mirror, compression, resolution, softness, noise),
)
_OF_MODALITY: dict[str, tuple[Change, ...]] = {
    "pathology": (colour, stain, stain, stain),
    "fundus": (colour, colour),
    "dermatology": (colour, colour),
}


def change(pixels: np.ndarray, modality: str, random: np.random.Generator) -> np.ndarray:
    """Returns a copy of an image (height, width, 3) uint8 with one to three changes of its modality."""
    pool = (*_ALWAYS, *_OF_MODALITY.get(modality, ()))
    chosen = random.permutation(len(pool))[: int(random.integers(1, _MOST_CHANGES + 1))]
    for index in chosen:
        pixels = np.ascontiguousarray(pool[index](pixels, random))
    return pixels


def _colour(random: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in random.integers(low, high, 3))
    return red, green, blue


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Returns numbers as pixels: cut to 0 to 255."""
    return np.clip(values, 0, 255).astype(np.uint8)
