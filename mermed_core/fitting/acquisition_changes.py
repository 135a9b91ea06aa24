"""What another scanner, probe, window or stain would have made of an image, drawn at random.

A modality of which only three or four sources are known is known as those few look. Their images redrawn as a
convex probe, a bone window or an immunohistochemical stain would show them teach the detector how wide the
modality is (domain randomisation, Tobin et al. 2017). What is drawn so keeps the modality, not the findings.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.color import hed2rgb, rgb2hed

from mermed_core.fitting.image_changes import Change, to_uint8

_MOST_CHANGES = 2
_LEAST_SIDE = 24  # pixels
_MARKS = ("C6/M5", "1 D 3.2cm", "MI 1.1", "TIS 0.4", "12 Hz", "D 14", "R", "+", "GN 60")
_INKS = ((240, 220, 60), (230, 230, 230), (90, 200, 240), (90, 240, 120))


def detail(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Shows a part of an image (height, width, 3) uint8, 35 to 75 % of its sides, as a closer view does."""
    return _part(pixels, random.uniform(0.35, 0.75) * random.uniform(0.85, 1.15, 2), random)


def close_up(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Shows a small and soft part of an image, 25 to 50 % of its sides, as an organ that is cut out."""
    part = _part(pixels, random.uniform(0.25, 0.5) * np.ones(2), random)
    return np.asarray(Image.fromarray(part).filter(ImageFilter.GaussianBlur(random.uniform(0, 1.2))))


def stretch(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Makes an image wider or narrower by up to half, as another scan's proportions do."""
    height, width = pixels.shape[:2]
    wide = max(_LEAST_SIDE, int(width * np.exp(random.uniform(-0.45, 0.45))))
    return np.asarray(Image.fromarray(pixels).resize((wide, height), Image.Resampling.BILINEAR))


def distance(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Shows an image smaller, somewhere in a larger even field, as a larger field of view does."""
    height, width = pixels.shape[:2]
    larger = random.uniform(1.15, 1.8)
    paper = int(pixels[:3].mean()) if random.random() < 0.5 else 0
    field = np.full((int(height * larger), int(width * larger), 3), paper, np.uint8)
    top, left = (
        int(random.integers(0, more)) for more in (len(field) - height + 1, field.shape[1] - width + 1)
    )
    field[top : top + height, left : left + width] = pixels
    return field


def window(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Shows a grey image in a narrow or high window, at times with a grey background, as bone windows do."""
    if random.random() < 0.5:
        low = random.uniform(0.35, 0.7)
        high = random.uniform(low + 0.1, 1.05)
    else:
        low = random.uniform(-0.1, 0.3)
        high = random.uniform(low + 0.25, 1.1)
    shown = np.clip((pixels.astype(np.float32) / 255 - low) / (high - low), 0, 1)
    base = float(random.choice([0, 0, random.uniform(0.1, 0.5)]))
    return to_uint8((base + (1 - base) * shown) * 255)


def sector(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Shows an ultrasound image as a convex or sector probe does: a fan on black, with a machine's marks."""
    if random.random() < 0.3:
        pixels = detail(pixels, random)
    height = int(random.integers(180, 320))
    width = int(height * random.uniform(1.0, 1.5))
    half, inner = np.deg2rad(random.uniform(28, 62)), random.uniform(0, 0.35)  # radians, depths
    across, down = 2 * (1 + inner) * np.sin(half), (1 + inner) - inner * np.cos(half)
    scale = min(width / across, height / down) * random.uniform(0.85, 1.02)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    sideways = (columns - width / 2) / scale
    forwards = rows / scale + inner * np.cos(half) - (height / scale - down) * random.uniform(0, 0.5)
    beam = (np.arctan2(sideways, forwards) / half + 1) / 2
    depth = np.hypot(sideways, forwards) - inner
    inside = (beam > 0) & (beam < 1) & (depth > 0) & (depth < 1)
    places = [depth * (pixels.shape[0] - 1), beam * (pixels.shape[1] - 1)]
    fan = np.stack(
        [
            map_coordinates(pixels[..., channel].astype(np.float32), places, order=1, mode="nearest") * inside
            for channel in range(3)
        ],
        axis=2,
    )
    if random.random() < 0.3:  # the outer beams are weaker
        fan *= 1 - 0.6 * (np.clip(beam, 0, 1) * 2 - 1)[..., None] ** 2
    return _marked(to_uint8(fan), random)


def gain(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Changes the gain by depth, and at times the speckle, as another ultrasound or OCT machine does."""
    height, width = pixels.shape[:2]
    by_depth = np.interp(np.linspace(0, 1, height), np.linspace(0, 1, 5), random.uniform(0.5, 1.4, 5))
    shown = pixels.astype(np.float32) * by_depth[:, None, None].astype(np.float32)
    if random.random() < 0.5:
        shape = random.uniform(4, 12)
        shown *= (random.gamma(shape, 1, (height, width, 1)) / shape).astype(np.float32)
        shown = gaussian_filter(shown, (random.uniform(0.3, 0.8), random.uniform(0.5, 1.6), 0))
    return to_uint8(shown)


def immunohistochemistry(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Stains a section of haematoxylin and eosin anew: blue nuclei, some of them brown with DAB.

    The stains are separated as Ruifrok and Johnston (2001) do.
    """
    stains = np.clip(rgb2hed(np.clip(pixels, 3, 255)), 0, None)
    nuclei, eosin = gaussian_filter(stains[..., 0], 1.2), stains[..., 1]
    limit = np.quantile(nuclei, random.uniform(0.5, 0.9))
    field = gaussian_filter(random.normal(size=nuclei.shape), random.uniform(4, 15))
    taken = field / (field.std() + 1e-9) > random.uniform(-1.5, 1.2)
    positive = taken / (1 + np.exp(np.clip((limit - nuclei) / (0.15 * nuclei.std() + 1e-9), -50, 50)))
    carrier = eosin if random.random() < 0.3 else nuclei  # membranes and cytoplasm, or nuclei
    brown = positive * carrier * random.uniform(0.8, 2.2) + eosin * random.uniform(0, 0.15)
    blue = nuclei * (1 - 0.8 * positive) * random.uniform(0.3, 1.0) + eosin * random.uniform(0, 0.15)
    return to_uint8(hed2rgb(np.stack([blue, eosin * random.uniform(0, 0.08), brown], axis=2)) * 255)


def hue(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Mixes the colours a little, as another camera, light or scanner does."""
    mixed = np.eye(3) + random.normal(0, 0.12, (3, 3))
    values = pixels.astype(np.float32)
    return to_uint8(255 - (255 - values) @ mixed if random.random() < 0.5 else values @ mixed)


_OF_MODALITY: dict[str, tuple[Change, ...]] = {
    "ct": (window, window, detail, distance, stretch),
    "cxr": (window, detail, stretch),
    "ultrasound": (sector, sector, gain, gain, detail, close_up, close_up, stretch),
    "pathology": (immunohistochemistry, immunohistochemistry, immunohistochemistry, detail, hue),
    "fundus": (detail, detail, hue, stretch),
    "oct": (stretch, stretch, detail, gain, distance),
    "dermatology": (detail, detail, hue, stretch),
}
# Unknown kinds are redrawn in every way, so that a fan or a window alone does not speak for a modality.
_OF_UNKNOWN: tuple[Change, ...] = (sector, window, detail, distance, stretch, gain, hue, immunohistochemistry)


def acquired_elsewhere(pixels: np.ndarray, modality: str, random: np.random.Generator) -> np.ndarray:
    """Returns a copy of an image (height, width, 3) uint8 as another device of its modality might show it.

    Args:
        pixels: the image.
        modality: its key; "" for an image of none of the seven.
        random: which one or two changes, and how strong.
    """
    pool = _OF_MODALITY.get(modality, _OF_UNKNOWN)
    for index in random.permutation(len(pool))[: int(random.integers(1, _MOST_CHANGES + 1))]:
        pixels = np.ascontiguousarray(pool[index](pixels, random))
    return pixels


def _part(pixels: np.ndarray, shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns a part of an image anywhere in it, of these shares of its height and width."""
    sides = np.array(pixels.shape[:2])
    part = np.minimum(np.maximum((sides * shares).astype(int), _LEAST_SIDE), sides)
    top, left = (int(random.integers(0, free + 1)) for free in sides - part)
    return pixels[top : top + part[0], left : left + part[1]]


def _marked(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Writes what ultrasound machines write beside the fan: words, a bar of greys, a ruler."""
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    height, width = pixels.shape[:2]
    for _ in range(int(random.integers(0, 6))):
        left = random.choice([random.uniform(0, 0.2), random.uniform(0.75, 0.95)]) * width
        top = random.choice([random.uniform(0, 0.12), random.uniform(0.85, 0.96)]) * height
        size = max(6, int(height * random.uniform(0.03, 0.06)))
        pen.text(
            (left, top), str(random.choice(_MARKS)), fill=_INKS[random.integers(len(_INKS))], font_size=size
        )
    if random.random() < 0.4:
        first, last = int(height * 0.15), int(height * 0.5)
        for row in range(first, last):
            grey = round(255 * (last - row) / (last - first))
            pen.line((2, row, 2 + max(2, width // 60), row), fill=(grey, grey, grey))
    if random.random() < 0.5:
        for row in range(int(height * 0.15), int(height * 0.9), max(1, height // 10)):
            pen.line((width - 4, row, width - 1, row), fill=(200, 200, 200))
    return np.asarray(image)
