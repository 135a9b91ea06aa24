import pytest

from mermed_core.errors import DamagedImageError, FrameError, ImageTooLargeError
from mermed_core.imaging.limits import LIMITS, Limits, check_frame, check_size


def test_sizes_and_frames_are_checked():
    check_size(8000, 8000, LIMITS)
    check_size(1, 1, LIMITS)
    check_frame(0, 1, LIMITS)
    check_frame(3, 4, Limits(max_frames=4))
    with pytest.raises(ImageTooLargeError, match="at most 64 million"):
        check_size(8001, 8000, LIMITS)
    for width, height in ((0, 5), (5, 0), (-1, -1)):
        with pytest.raises(DamagedImageError):
            check_size(width, height, LIMITS)
    with pytest.raises(FrameError, match="no frame 2"):
        check_frame(1, 1, LIMITS)
    with pytest.raises(ImageTooLargeError):
        check_frame(0, 5, Limits(max_frames=4))
