"""Fundus and OCT phantoms: the eye's background from the front and in section."""

import numpy as np

from mermed_core.data.phantoms.canvas import Array, Canvas, blend

_RETINA = (0.78, 0.36, 0.15)
_DISC = (0.98, 0.85, 0.55)
_VESSEL = (0.45, 0.10, 0.06)
_EXUDATE = (0.98, 0.92, 0.50)
# Depth below the inner surface where each retinal layer ends, and its brightness.
_LAYERS = ((0.06, 0.75), (0.14, 0.5), (0.2, 0.32), (0.26, 0.48), (0.38, 0.22), (0.42, 0.6), (0.46, 0.35))


def paint_fundus(canvas: Canvas, finding: Canvas | None) -> tuple[Array, Array]:
    """Fundus photograph: disc, macula and branching vessels in a round field; the finding is exudates."""
    rows, columns = canvas.grid
    side = canvas.random.choice([-1, 1])
    disc, macula = (canvas.between(-0.08, 0.08), side * canvas.between(0.42, 0.55)), (0.05, -side * 0.1)
    tone = np.array(_RETINA) * canvas.between(0.8, 1.1)
    light = 1.05 - 0.4 * (rows**2 + columns**2) + 0.05 * canvas.smooth_noise(0.15)
    image = tone * light[:, :, None]
    image = blend(image, tuple(tone * 0.5), 0.6 * canvas.ellipse(macula, (0.2, 0.2), soft=0.3))
    weight = np.zeros_like(rows)
    if finding:
        at = (macula[0] + finding.between(-0.25, 0.25), macula[1] + finding.between(-0.2, 0.2))
        region = finding.blob(at, finding.between(0.22, 0.34), rough=0.3)
        weight = np.clip(1.6 * (finding.smooth_noise(0.035) - 0.5), 0, 1) * (region > 0.5)
        image = blend(image, _EXUDATE, weight)
        weight = region * (weight.max() > 0)
    image = blend(image, _VESSEL, 0.8 * _vessels(canvas, disc, side))
    image = blend(image, _DISC, canvas.ellipse(disc, (0.13, 0.115), soft=0.05))
    image = blend(image, (1.0, 0.95, 0.8), canvas.ellipse(disc, (0.06, 0.055), soft=0.05))
    field = canvas.ellipse((0, 0), (0.96, 0.96), soft=0.02)
    return blend(np.zeros_like(image), image, field) + canvas.grain(0.008)[:, :, None], weight


def _vessels(canvas: Canvas, disc: tuple[float, float], side: int) -> Array:
    """Returns the vessel tree's weight: arcades that leave the disc up and down, and their branches."""
    weight = np.zeros((canvas.size, canvas.size))
    trunks = [(angle, 0.02) for angle in (0.9, -0.9, 1.7, -1.7, 2.5, -2.5)]
    while trunks:
        angle, width = trunks.pop()
        _grow(
            canvas,
            weight,
            disc,
            angle * -side,
            width,
            bend=canvas.between(0.01, 0.04) * np.sign(angle) * side,
        )
    return weight


def _grow(
    canvas: Canvas, weight: Array, start: tuple[float, float], angle: float, width: float, bend: float
) -> None:
    """Draws one vessel into `weight` by a bending walk that throws off thinner branches."""
    from skimage.draw import line  # slow to import, see Canvas.smooth_noise

    place, half = np.array(start), canvas.size / 2
    for step in range(28):
        ahead = place + 0.05 * np.array((np.sin(angle), np.cos(angle)))
        corners = np.clip(((np.stack([place, ahead]) + 1) * half).astype(int), 0, canvas.size - 1)
        thick = max(0, round(width * half - 0.5))
        for row in range(-thick, thick + 1):
            rows, columns = line(*corners[0], *corners[1])
            weight[np.clip(rows + row, 0, canvas.size - 1), columns] = max(
                0.55, 1 - 10 * abs(row) / canvas.size
            )
        place, angle = ahead, angle + bend + 0.12 * canvas.random.normal()
        if step % 7 == 6 and width > 0.01:
            _grow(canvas, weight, tuple(place), angle + canvas.random.choice([-0.7, 0.7]), 0.55 * width, 0.0)
        width *= 0.975
        if np.hypot(*place) > 0.98:
            return


def paint_oct(canvas: Canvas, finding: Canvas | None, *, drusen: bool = False) -> tuple[Array, Array]:
    """OCT B-scan: retinal layers with a foveal pit; the finding is fluid, or drusen under the retina."""
    rows, columns = canvas.grid
    middle = canvas.between(-0.2, 0.2)
    tilt = canvas.between(-0.12, 0.12) * columns + canvas.between(-0.05, 0.15) * columns**2
    top = canvas.between(-0.45, -0.2) + tilt
    pit = 0.17 * np.exp(-(((columns - middle) / 0.2) ** 2))
    floor = top + canvas.between(0.5, 0.58)
    weight = np.zeros_like(rows)
    if finding and drusen:
        lift = sum(
            finding.between(0.06, 0.13) * np.exp(-(((columns - at) / finding.between(0.07, 0.14)) ** 2))
            for at in finding.random.uniform(-0.7, 0.7, finding.random.integers(2, 5))
        )
        weight = ((rows > floor - lift - 0.02) & (rows < floor + 0.05) & (lift > 0.025)).astype(float)
        floor = floor - lift
    depth = (rows - top - pit) / np.maximum(floor - top - pit, 0.05) * 0.46
    image = np.full_like(rows, 0.04)
    previous = 0.0
    for end, brightness in _LAYERS:
        image = np.where((depth >= previous) & (depth < end), brightness, image)
        previous = end
    below = rows - floor
    image = np.where((below >= 0) & (below < 0.06), 0.95, image)
    image = np.where(below >= 0.06, 0.5 * np.exp(-np.clip(below, 0, None) / 0.3), image)
    if finding and not drusen:
        for _ in range(finding.random.integers(1, 4)):
            at = (0.0, middle + finding.between(-0.35, 0.35))
            inside = float(np.median((top + 0.3)[np.abs(columns - at[1]) < 0.05]))
            hole = finding.ellipse((inside, at[1]), (finding.between(0.07, 0.12), finding.between(0.1, 0.2)))
            weight = np.maximum(weight, hole)
        image = blend(image, 0.04, weight)
    speckle = canvas.random.rayleigh(0.75, rows.shape) * 0.5 + 0.45
    return image * speckle + np.abs(canvas.grain(0.03)), weight
