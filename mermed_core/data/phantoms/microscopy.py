"""Pathology and skin phantoms: colour images (size, size, 3) in about 0..1, and the finding's weight."""

import numpy as np

from mermed_core.data.phantoms.canvas import Array, Canvas, blend

_EOSIN = (0.90, 0.68, 0.80)
_HAEMATOXYLIN = (0.42, 0.25, 0.55)
_SKIN_TONES = ((0.93, 0.76, 0.68), (0.86, 0.66, 0.55), (0.74, 0.53, 0.42), (0.55, 0.38, 0.29))


def paint_pathology(canvas: Canvas, finding: Canvas | None) -> tuple[Array, Array]:
    """H&E-like tissue: nuclei on eosin; the finding is a field of large, crowded, dark nuclei."""
    tone = np.array(_EOSIN) + canvas.random.normal(0, 0.02, 3)
    image = tone + 0.05 * canvas.smooth_noise(0.03, stretch=3)[:, :, None] * (0.5, 1.0, 0.6)
    image = blend(image, (0.97, 0.94, 0.97), 0.8 * np.clip(canvas.smooth_noise(0.12) - 1.1, 0, 1))
    weight = np.zeros((canvas.size, canvas.size))
    image = _scatter(canvas, image, int(canvas.between(60, 100)), (0.025, 0.04), 0.8, None)
    if finding:
        at = (finding.between(-0.35, 0.35), finding.between(-0.35, 0.35))
        weight = finding.blob(at, finding.between(0.35, 0.5), rough=0.3)
        image = blend(image, (0.78, 0.55, 0.76), 0.5 * weight)
        image = _scatter(finding, image, 420, (0.045, 0.08), 1.0, weight)
    return image + canvas.grain(0.012)[:, :, None], weight


def _scatter(
    canvas: Canvas, image: Array, count: int, radii: tuple[float, float], dark: float, where: Array | None
) -> Array:
    """Draws nuclei at random places, only where a weight (size, size) is high if one is given."""
    from skimage.draw import ellipse  # slow to import, see Canvas.smooth_noise

    image = image.copy()
    half = canvas.size / 2
    for row, column in canvas.random.integers(0, canvas.size, (count, 2)):
        radius, other = half * canvas.random.uniform(*radii, 2)
        turn, depth = canvas.between(0, np.pi), dark * canvas.between(0.75, 1.0)
        if where is None or where[row, column] > 0.5:
            place = ellipse(row, column, radius, other, shape=image.shape[:2], rotation=turn)
            image[place] = (1 - depth) * image[place] + depth * np.array(_HAEMATOXYLIN)
    return image


def paint_skin(canvas: Canvas, finding: Canvas | None) -> tuple[Array, Array]:
    """Dermoscopy-like skin with pores and hairs; the finding is an irregular pigmented lesion."""
    tone = np.array(_SKIN_TONES[canvas.random.integers(len(_SKIN_TONES))]) + canvas.random.normal(0, 0.02, 3)
    rows, columns = canvas.grid
    light = 1 - 0.12 * (rows**2 + columns**2) + 0.03 * canvas.smooth_noise(0.25)
    image = tone * light[:, :, None] + 0.02 * canvas.smooth_noise(0.02)[:, :, None]
    weight = np.zeros_like(rows)
    if finding:
        at = (finding.between(-0.2, 0.2), finding.between(-0.2, 0.2))
        weight = finding.blob(at, finding.between(0.3, 0.5), rough=0.35, soft=0.08)
        brown = tone * np.array((0.5, 0.4, 0.38)) * finding.between(0.7, 1.1)
        image = blend(image, tuple(brown), 0.9 * weight)
        patches = weight * np.clip(finding.smooth_noise(0.09), 0, 1)
        image = blend(image, tuple(brown * 0.45), 0.8 * patches)
    for _ in range(canvas.random.integers(0, 8)):
        image = blend(image, (0.16, 0.11, 0.09), 0.75 * _hair(canvas))
    return image + canvas.grain(0.01)[:, :, None], weight


def _hair(canvas: Canvas) -> Array:
    rows, columns = canvas.grid
    angle, bend = canvas.between(0, np.pi), canvas.between(-0.3, 0.3)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle) - canvas.between(-0.9, 0.9) - bend * along**2
    return np.exp(-((across / 0.012) ** 2)) * (np.abs(along) < canvas.between(0.4, 1.2))
