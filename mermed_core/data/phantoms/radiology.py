"""CT, chest X-ray and ultrasound phantoms: grey images (size, size), and the weight of the finding."""

import numpy as np

from mermed_core.data.phantoms.canvas import Array, Canvas, blend


def paint_ct(canvas: Canvas, finding: Canvas | None) -> tuple[Array, Array]:
    """Axial chest slice: body, fat, lungs with vessels, heart, spine, ribs; the finding is a nodule."""
    tall, wide = canvas.between(0.6, 0.72), canvas.between(0.82, 0.94)
    image = np.full((canvas.size, canvas.size), 0.02)
    image = blend(image, 0.42, canvas.ellipse((0, 0), (tall, wide)))
    image = blend(
        image, 0.58 + 0.02 * canvas.smooth_noise(0.04), canvas.ellipse((0.01, 0), (tall - 0.07, wide - 0.08))
    )
    for turn in np.linspace(0.15, 0.85, 7):
        for side in (-1, 1):
            at = ((tall - 0.09) * -np.cos(np.pi * turn), side * (wide - 0.1) * np.sin(np.pi * turn))
            image = blend(
                image, 0.95, canvas.ellipse(at, (0.05, 0.022), angle=side * np.pi * turn, soft=0.02)
            )
    size = canvas.between(0.9, 1.1)
    lungs = [
        canvas.ellipse((-0.03, side * 0.43), (0.43 * size, 0.28 * size), angle=side * -0.2)
        for side in (-1, 1)
    ]
    vessels = np.clip(canvas.smooth_noise(0.02) - 1.2, 0, 1.5) / 1.5
    for lung in lungs:
        image = blend(image, 0.1 + 0.45 * vessels, lung)
    heart = canvas.ellipse((-0.1, 0.1), (canvas.between(0.22, 0.3), canvas.between(0.24, 0.32)), angle=0.5)
    image = blend(image, 0.64, heart)
    image = blend(image, 0.92, canvas.ellipse((0.38, 0), (0.12, 0.13)))
    image = blend(image, 0.5, canvas.ellipse((0.47, 0), (0.05, 0.06)))
    weight = np.zeros_like(image)
    if finding:
        at = (finding.between(-0.22, 0.12), finding.random.choice([-1, 1]) * finding.between(0.4, 0.52))
        weight = finding.blob(at, finding.between(0.06, 0.12), rough=0.25, soft=0.02)
        image = blend(image, finding.between(0.55, 0.7), weight)
    return image + canvas.grain(0.018), weight


def paint_cxr(canvas: Canvas, finding: Canvas | None) -> tuple[Array, Array]:
    """Frontal chest X-ray: shoulders, lungs, ribs, clavicles, heart, diaphragm; the finding is an opacity."""
    rows, columns = canvas.grid
    shift, wide = canvas.between(-0.06, 0.06), canvas.between(0.92, 1.08)
    across = (columns - shift) / wide
    image = 0.62 + 0.1 * np.abs(rows) - 0.12 * across**2 + 0.02 * canvas.smooth_noise(0.1)
    image = blend(image, 0.05, 1 / (1 + np.exp(-(np.abs(across) - 0.75 - 0.4 * (rows + 0.8)) * 25)))
    top, bottom = canvas.between(-0.72, -0.62), canvas.between(0.45, 0.6)
    middle, half = (top + bottom) / 2, (bottom - top) / 2
    lungs = np.zeros_like(image)
    for side in (-1, 1):
        at = (middle, shift + side * 0.42 * wide)
        lungs = np.maximum(lungs, canvas.ellipse(at, (half, 0.31 * wide), angle=side * 0.1, soft=0.08))
    image = blend(image, 0.2 + 0.03 * canvas.smooth_noise(0.03), lungs)
    phase, step = canvas.between(0, 1), canvas.between(0.16, 0.2)
    arcs = (rows + 0.35 * across**2 - 0.25 * np.abs(across)) / step + phase
    ribs = np.clip(np.cos(2 * np.pi * arcs), 0, 1) ** 2 * (np.abs(across) < 0.82)
    image = image + 0.1 * ribs * (0.35 + 0.65 * lungs)
    for side in (-1, 1):
        line = rows + 0.66 - 0.2 * side * across
        image = image + 0.14 * np.exp(-((line / 0.035) ** 2)) * (side * across > 0.08) * (side * across < 0.7)
    image = blend(image, 0.78, 0.8 * canvas.ellipse((0.1, shift), (1.2, 0.09), soft=0.1))
    heart = canvas.ellipse((0.22, shift + 0.14), (0.32, canvas.between(0.26, 0.38)), angle=-0.5, soft=0.08)
    image = blend(image, 0.8, heart)
    for side, drop in ((-1, 0.0), (1, 0.05)):
        dome = canvas.ellipse((bottom + 0.32 + drop, shift + side * 0.42), (0.34, 0.45), soft=0.05)
        image = blend(image, 0.82, dome)
    weight = np.zeros_like(image)
    if finding:
        at = (finding.between(-0.35, 0.25), shift + finding.random.choice([-0.47, 0.47]))
        weight = finding.blob(at, finding.between(0.13, 0.22), rough=0.35, soft=0.14)
        texture = np.clip(0.6 + 0.08 * finding.smooth_noise(0.04), 0, 1)
        image = blend(image, texture, 0.9 * weight)
    return image + canvas.grain(0.015), weight


def paint_ultrasound(canvas: Canvas, finding: Canvas | None) -> tuple[Array, Array]:
    """Ultrasound: layers under Rayleigh speckle, in a sector or a band; the finding is a dark mass."""
    rows, columns = canvas.grid
    depth = (rows + 1) / 2
    wave = 0.04 * canvas.smooth_noise(0.5)
    layers = sum(
        canvas.between(0.1, 0.3) * np.exp(-(((depth + wave - at) / 0.03) ** 2))
        for at in np.sort(canvas.random.uniform(0.08, 0.75, 5))
    )
    tissue = 0.34 + 0.1 * canvas.smooth_noise(0.1, stretch=2.5) + layers
    weight = np.zeros_like(rows)
    if finding:
        at = (finding.between(-0.25, 0.2), finding.between(-0.3, 0.3))
        radius = finding.between(0.17, 0.28)
        weight = finding.blob(at, radius, rough=0.3, soft=0.04)
        tissue = blend(tissue, 0.06, 0.92 * weight)
        behind = (np.abs(columns - at[1]) < 0.6 * radius) & (rows > at[0] + radius)
        tissue = np.where(behind, 0.6 * tissue, tissue)
    speckle = canvas.random.rayleigh(0.8, rows.shape) * 0.6 + 0.4 * (
        1 + 0.5 * canvas.smooth_noise(0.012, stretch=2)
    )
    image = np.clip(tissue, 0.02, None) * np.clip(speckle, 0.05, 3) * (1.1 - 0.55 * depth)
    return np.where(_field_of_view(canvas), image, 0.0), weight


def _field_of_view(canvas: Canvas) -> Array:
    rows, columns = canvas.grid
    if canvas.random.random() < 0.5:
        return (np.abs(columns) < 0.97) & (rows > -0.95)
    reach, angle = np.hypot(rows + 1.45, columns), np.arctan2(columns, rows + 1.45)
    return (np.abs(angle) < canvas.between(0.55, 0.7)) & (reach > 0.5) & (reach < 2.35)
