"""What reading pictures and DICOM share: limits, and grey values of any range to 0..255."""

from dataclasses import dataclass

import numpy as np

from mermed_core.errors import FrameError, ImageTooLargeError


@dataclass(frozen=True)
class Limits:
    """What a file may hold at most; pixels count for one frame."""

    max_bytes: int = 128 * 2**20
    max_pixels: int = 64_000_000
    max_frames: int = 4096


LIMITS = Limits()


def check_frame(frame: int, frames: int, limits: Limits) -> None:
    """Raises ImageTooLargeError for too many frames, FrameError for a frame that does not exist."""
    if frames > limits.max_frames:
        raise ImageTooLargeError(f"The file has {frames} frames; at most {limits.max_frames} are read.")
    if not 0 <= frame < frames:
        raise FrameError(f"There is no frame {frame + 1}; the file has {frames}.")


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raises ImageTooLargeError for more pixels than are read."""
    if width * height > limits.max_pixels:
        raise ImageTooLargeError(
            f"The image has {width} × {height} pixels; at most {limits.max_pixels / 1e6:.0f} million are "
            "read. Save a smaller version."
        )


def stretch_to_bytes(values: np.ndarray) -> np.ndarray:
    """Stretches grey values (height, width) of any type from their 0.5th to 99.5th percentile to uint8.

    What is not finite becomes black; a constant image becomes black.
    """
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(values[finite], [0.5, 99.5])
    if low == high:  # nearly constant: a few pixels may still differ
        low, high = float(values[finite].min()), float(values[finite].max())
    return scale_to_bytes(np.where(finite, values, low), float(low), float(high))


def scale_to_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Maps low..high to 0..255 and clips the rest; all 0 where low equals high."""
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    shares = (values.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
