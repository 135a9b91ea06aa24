"""What the painters share: a square canvas, soft shapes and smooth noise. Coordinates run from -1 to 1."""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Canvas:
    """A square of `size` pixels with its own source of chance.

    Attributes:
        size: side in pixels.
        random: decides the anatomy.
    """

    size: int
    random: np.random.Generator

    @property
    def grid(self) -> tuple[Array, Array]:
        """Rows and columns of every pixel, (size, size) each, -1..1 from top left."""
        axis = np.linspace(-1, 1, self.size)
        return axis[:, None].repeat(self.size, 1), axis[None].repeat(self.size, 0)

    def between(self, low: float, high: float) -> float:
        """Returns a number drawn evenly."""
        return float(self.random.uniform(low, high))

    def smooth_noise(self, sigma: float, stretch: float = 1.0) -> Array:
        """Returns noise of mean 0 and standard deviation 1, smooth over `sigma` (of the half side)."""
        from skimage.filters import gaussian  # slow to import, and the page needs this package's names only

        pixels = sigma * self.size / 2
        noise = gaussian(self.random.normal(size=(self.size, self.size)), (pixels, pixels * stretch))  # pyright: ignore[reportArgumentType]
        return (noise - noise.mean()) / max(float(noise.std()), 1e-9)

    def grain(self, strength: float) -> Array:
        """Returns fine-grained noise."""
        return strength * self.random.normal(size=(self.size, self.size))

    def ellipse(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        *,
        angle: float = 0.0,
        soft: float = 0.03,
    ) -> Array:
        """Returns a soft ellipse (size, size) in 0..1; 0.5 at its border, `soft` wide."""
        distance, scale = self._polar(centre, radii, angle)[0], min(radii)
        return _step((1 - distance) * scale, soft)

    def blob(
        self, centre: tuple[float, float], radius: float, *, rough: float = 0.2, soft: float = 0.03
    ) -> Array:
        """Returns a soft shape with an irregular border, (size, size) in 0..1."""
        distance, angle = self._polar(centre, (radius, radius), 0.0)
        border = np.ones_like(distance)
        for wave in range(2, 7):
            border += rough / wave * self.random.normal() * np.cos(wave * angle + self.between(0, 2 * np.pi))
        return _step((border - distance) * radius, soft)

    def _polar(
        self, centre: tuple[float, float], radii: tuple[float, float], angle: float
    ) -> tuple[Array, Array]:
        rows, columns = self.grid
        down, right = rows - centre[0], columns - centre[1]
        turned = down * np.cos(angle) - right * np.sin(angle), down * np.sin(angle) + right * np.cos(angle)
        a, b = turned[0] / radii[0], turned[1] / radii[1]
        return np.hypot(a, b), np.arctan2(a, b)


def blend(image: Array, colour: float | tuple[float, float, float] | Array, weight: Array) -> Array:
    """Paints a grey value or colour over an image (size, size[, 3]) where weight (size, size) is high."""
    if image.ndim == 3:
        weight = weight[:, :, None]
    return image * (1 - weight) + np.asarray(colour) * weight


def _step(distance: Array, soft: float) -> Array:
    return 1 / (1 + np.exp(-np.clip(4 * distance / soft, -40, 40)))
