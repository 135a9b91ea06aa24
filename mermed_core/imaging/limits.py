"""What a file may hold at most, checked before anything of it is decoded."""

from dataclasses import dataclass, field

from mermed_core.errors import DamagedImageError, FrameError, ImageTooLargeError
from mermed_core.settings import upload_bytes


@dataclass(frozen=True)
class Limits:
    """What a file may hold at most; its bytes are the host's word, and pixels count for one frame."""

    max_bytes: int = field(default_factory=upload_bytes)
    max_pixels: int = 64_000_000
    max_frames: int = 4096


def check_frame(frame: int, frames: int, limits: Limits) -> None:
    """Raises ImageTooLargeError for too many frames, FrameError for a frame that does not exist."""
    if frames > limits.max_frames:
        raise ImageTooLargeError(
            f"The file has more than {limits.max_frames} frames, the most that are read. Save fewer of them."
        )
    if not 0 <= frame < frames:
        raise FrameError(
            f"There is no frame {frame + 1}; the file has {frames}. Choose one from 1 to {frames}."
        )


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raises ImageTooLargeError for more pixels than are read, DamagedImageError for none."""
    if width < 1 or height < 1:
        raise DamagedImageError("The file states an image without width or height. Export it again.")
    if width * height > limits.max_pixels:
        raise too_large(width, height, limits)


def too_large(width: int, height: int, limits: Limits) -> ImageTooLargeError:
    """Returns the error for more pixels than are read."""
    return ImageTooLargeError(
        f"The image has {width} × {height} pixels; at most {limits.max_pixels / 1e6:.0f} million are "
        "read. Save a smaller version."
    )
