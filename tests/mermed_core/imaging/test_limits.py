"""What may be read at most is checked before it is decoded, and the host says how many bytes."""

import numpy as np
import pytest
from PIL import Image

from mermed_core.errors import DamagedImageError, FrameError, ImageTooLargeError
from mermed_core.imaging.limits import Limits, check_frame, check_size
from mermed_core.imaging.reader import read_image


def test_sizes_and_frames_are_checked():
    check_size(8000, 8000, Limits())
    check_size(1, 1, Limits())
    check_frame(0, 1, Limits())
    check_frame(3, 4, Limits(max_frames=4))
    with pytest.raises(ImageTooLargeError, match="at most 64 million"):
        check_size(8001, 8000, Limits())
    for width, height in ((0, 5), (5, 0), (-1, -1)):
        with pytest.raises(DamagedImageError):
            check_size(width, height, Limits())
    with pytest.raises(FrameError, match="no frame 2"):
        check_frame(1, 1, Limits())
    with pytest.raises(ImageTooLargeError):
        check_frame(0, 5, Limits(max_frames=4))


def test_the_host_says_how_large_a_file_may_be_wherever_it_is_read(monkeypatch, tmp_path):
    path = tmp_path / "scan.bmp"
    Image.fromarray(np.zeros((700, 1000, 3), np.uint8)).save(path)  # 2.003 MB
    assert Limits().max_bytes == 128 * 2**20
    monkeypatch.setenv("MERMED_UPLOAD_MB", "3")
    assert read_image(path).pixels.shape == (700, 1000, 3)
    monkeypatch.setenv("MERMED_UPLOAD_MB", "2")
    for source in (path, path.read_bytes()):
        with pytest.raises(ImageTooLargeError, match=r"has 3 MB; at most 2 MB are read.*MERMED_UPLOAD_MB"):
            read_image(source)
