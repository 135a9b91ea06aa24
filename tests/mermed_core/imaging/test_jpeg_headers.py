"""What a compressed picture says of its own size, on streams of real encoders and of made-up bytes."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mermed_core.errors import DamagedImageError
from mermed_core.imaging.jpeg_headers import jpeg2000_size, jpeg_size

GREY = np.zeros((20, 33), np.uint8)
RGB = np.zeros((20, 33, 3), np.uint8)


def encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [True, False])
@pytest.mark.parametrize(("pixels", "samples"), [(GREY, 1), (RGB, 3)])
def test_jpeg_states_its_size(pixels, samples, progressive):
    assert jpeg_size(encoded(pixels, "JPEG", progressive=progressive)) == (20, 33, samples)


@pytest.mark.parametrize("no_jp2", [True, False], ids=["stream", "file"])
@pytest.mark.parametrize(("pixels", "samples"), [(GREY, 1), (RGB, 3)])
def test_jpeg_2000_states_its_size_in_a_file_and_without(pixels, samples, no_jp2):
    assert jpeg2000_size(encoded(pixels, "JPEG2000", no_jp2=no_jp2)) == (20, 33, samples)


def test_a_jpeg_without_its_end_is_damaged():
    with pytest.raises(DamagedImageError):
        jpeg_size(encoded(RGB, "JPEG")[:-2])


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_size_or_our_error(data):
    for read, stream in ((jpeg_size, b"\xff\xd8" + data + b"\xff\xd9"), (jpeg2000_size, data)):
        try:
            assert len(read(stream)) == 3
        except DamagedImageError:
            continue


def test_fill_before_a_marker_and_padding_after_the_end_are_skipped():
    stream = encoded(RGB, "JPEG")
    assert jpeg_size(stream[:2] + b"\xff\xff\xff" + stream[2:] + b"\0") == (20, 33, 3)


def test_a_box_that_does_not_move_on_is_damaged():
    for length in (0, 1, 7):
        with pytest.raises(DamagedImageError):
            jpeg2000_size(length.to_bytes(4, "big") + b"free" + bytes(100))


def test_a_picture_whose_origin_is_not_zero_has_its_own_size():
    stream = bytearray(encoded(GREY, "JPEG2000", no_jp2=True))
    stream[8:24] = struct.pack(">4I", 133, 220, 100, 200)
    assert jpeg2000_size(bytes(stream)) == (20, 33, 1)


def segment(marker: int, content: bytes, length: int | None = None) -> bytes:
    return struct.pack(">HH", marker, len(content) + 2 if length is None else length) + content


FRAME = struct.pack(">BHHB", 8, 20, 33, 3)


@pytest.mark.parametrize("marker", range(0xFFC0, 0xFFE0))
def test_every_frame_header_states_the_size_and_no_other_segment(marker):
    """Those of ITU T.81, table B.1: all SOF, and DHP; not the tables (DHT), JPG and DAC between them."""
    stream = (
        b"\xff\xd8" + segment(marker, FRAME) + segment(0xFFC0, struct.pack(">BHHB", 8, 1, 2, 1)) + b"\xff\xd9"
    )
    starts = {*range(0xFFC0, 0xFFD0), 0xFFDE} - {0xFFC4, 0xFFC8, 0xFFCC}
    if marker == 0xFFDA:
        with pytest.raises(DamagedImageError):
            jpeg_size(stream)
    else:
        assert jpeg_size(stream) == ((20, 33, 3) if marker in starts else (1, 2, 1))


def test_a_frame_of_jpeg_ls_states_its_size():
    assert jpeg_size(b"\xff\xd8" + segment(0xFFF7, FRAME) + b"\xff\xd9") == (20, 33, 3)


@pytest.mark.parametrize("before", [segment(0xFFE0, b"", 1), segment(0xFFE0, b"", 0), segment(0xFEFF, b"")])
def test_a_segment_that_cannot_be_is_damaged(before):
    with pytest.raises(DamagedImageError):
        jpeg_size(b"\xff\xd8" + before + segment(0xFFC0, FRAME) + b"\xff\xd9")


def test_an_empty_segment_is_passed_over():
    assert jpeg_size(b"\xff\xd8" + segment(0xFFFE, b"") + segment(0xFFC0, FRAME) + b"\xff\xd9") == (20, 33, 3)


def test_an_empty_box_is_passed_over():
    stream = encoded(GREY, "JPEG2000", no_jp2=True)
    assert jpeg2000_size(struct.pack(">I4s", 8, b"free") + stream) == (20, 33, 1)
