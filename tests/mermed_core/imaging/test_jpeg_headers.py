"""What a compressed picture says of itself, on streams of real encoders and of made-up bytes."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mermed_core.errors import DamagedImageError, ImageError, UnsupportedFormatError
from mermed_core.imaging.jpeg_headers import Codestream, read_codestream

GREY = np.zeros((20, 33), np.uint8)
RGB = np.random.default_rng(0).integers(0, 256, (20, 33, 3), dtype=np.uint8)
DEEP = (RGB[..., 0].astype(np.uint16) * 16).astype(np.uint16)


def encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def size(stream: bytes) -> tuple[int, int, int]:
    about = read_codestream(stream)
    return about.height, about.width, about.samples


@pytest.mark.parametrize("progressive", [True, False])
@pytest.mark.parametrize(("pixels", "samples"), [(GREY, 1), (RGB, 3)])
def test_jpeg_states_its_size(pixels, samples, progressive):
    stream = encoded(pixels, "JPEG", progressive=progressive)
    about = read_codestream(stream)
    assert (about.family, about.height, about.width, about.samples) == ("JPEG", 20, 33, samples)
    assert (about.precision, about.lossless, about.end) == (8, False, len(stream))


@pytest.mark.parametrize("no_jp2", [True, False], ids=["stream", "file"])
@pytest.mark.parametrize(("pixels", "samples"), [(GREY, 1), (RGB, 3)])
def test_jpeg_2000_states_its_size_in_a_file_and_without(pixels, samples, no_jp2):
    assert size(encoded(pixels, "JPEG2000", no_jp2=no_jp2)) == (20, 33, samples)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_2000_states_its_bits_its_sign_and_whether_it_loses_anything(bits, signed):
    pixels = (RGB[..., 0].astype(int) - 100 * signed).astype(
        f"{'i' if signed else 'u'}{1 if bits == 8 else 2}"
    )
    for reversible in (True, False):
        stream = bytes(
            imagecodecs.jpeg2k_encode(
                pixels,
                codecformat="j2k",
                reversible=reversible,
                level=0 if reversible else 60,
                bitspersample=bits,
            )
        )
        about = read_codestream(stream)
        assert (about.precision, about.signed, about.lossless) == (bits, signed, reversible)


def test_jpeg_2000_states_its_colour_transform():
    for transform in (True, False):
        about = read_codestream(bytes(imagecodecs.jpeg2k_encode(RGB, codecformat="j2k", mct=transform)))
        assert about.ycbcr is (False if transform else None)


@pytest.mark.parametrize("predictor", range(1, 8))
def test_lossless_jpeg_states_its_predictor(predictor):
    about = read_codestream(
        bytes(imagecodecs.jpeg8_encode(DEEP, lossless=True, predictor=predictor, bitspersample=12))
    )
    assert about == Codestream(
        "JPEG Lossless",
        20,
        33,
        1,
        12,
        ycbcr=False,
        predictor=predictor,
        precision_at=about.precision_at,
        end=about.end,
    )


def test_jpeg_ls_states_whether_it_loses_anything():
    assert read_codestream(bytes(imagecodecs.jpegls_encode(DEEP))).lossless
    near = read_codestream(bytes(imagecodecs.jpegls_encode(RGB[..., 0], level=3)))
    assert (near.family, near.lossless, near.precision) == ("JPEG-LS", False, 8)


@pytest.mark.parametrize(
    ("marks", "components", "ycbcr"),
    [
        (b"", b"\1\2\3", None),
        (b"", b"RGB", False),
        (b"JFIF", b"\1\2\3", True),
        (b"Adobe0", b"\1\2\3", False),
        (b"Adobe1", b"\1\2\3", True),
    ],
)
def test_markers_and_names_of_components_tell_the_colours(marks, components, ycbcr):
    extra = b""
    if marks == b"JFIF":
        extra = segment(0xFFE0, b"JFIF\0\1\2\0\0\1\0\1\0\0")
    elif marks:
        extra = segment(0xFFEE, b"Adobe\0d\0\0\0\0" + bytes([int(marks[-1:])]))
    frame = struct.pack(">BHHB", 8, 20, 33, 3) + b"".join(bytes([name, 0x11, 0]) for name in components)
    assert read_codestream(b"\xff\xd8" + extra + segment(0xFFC0, frame) + END).ycbcr is ycbcr


@pytest.mark.parametrize("kind", ["baseline", "progressive", "lossless", "JPEG-LS"])
@pytest.mark.parametrize("after", [b"", b"\0", b"    ", b"\r\n", b"VENDOR  ", b"\xff\xd9", b"\xff\xd8\xff"])
def test_what_lies_behind_the_end_is_not_of_the_picture(kind, after):
    stream = {
        "baseline": lambda: encoded(RGB, "JPEG", quality=98),
        "progressive": lambda: encoded(RGB, "JPEG", progressive=True, quality=98),
        "lossless": lambda: bytes(imagecodecs.jpeg8_encode(RGB, lossless=True)),
        "JPEG-LS": lambda: bytes(imagecodecs.jpegls_encode(RGB)),
    }[kind]()
    assert read_codestream(stream + after).end == len(stream)


def test_an_end_within_a_thumbnail_is_not_the_end():
    stream = encoded(RGB, "JPEG")
    thumbnail = segment(0xFFE1, b"Exif\0\0" + encoded(GREY, "JPEG"))
    assert read_codestream(stream[:2] + thumbnail + stream[2:]).end == len(stream) + len(thumbnail)


def test_a_jpeg_without_its_end_is_damaged():
    for stream in (encoded(RGB, "JPEG"), bytes(imagecodecs.jpegls_encode(RGB))):
        with pytest.raises(DamagedImageError):
            read_codestream(stream[:-2])


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_size_or_our_error(data):
    for start in (b"\xff\xd8", b"\xff\xd8\xff\xc0", b"\xff\x4f\xff\x51", b""):
        try:
            assert read_codestream(start + data).end >= 0
        except ImageError:
            continue


def test_fill_before_a_marker_is_skipped():
    stream = encoded(RGB, "JPEG")
    assert size(stream[:2] + b"\xff\xff\xff" + stream[2:] + b"\0") == (20, 33, 3)


def test_a_box_that_does_not_move_on_is_damaged():
    for length in (0, 1, 7):
        with pytest.raises(DamagedImageError):
            read_codestream(length.to_bytes(4, "big") + b"free" + bytes(100))


def test_a_picture_whose_origin_is_not_zero_has_its_own_size():
    stream = bytearray(encoded(GREY, "JPEG2000", no_jp2=True))
    stream[8:24] = struct.pack(">4I", 133, 220, 100, 200)
    assert size(bytes(stream)) == (20, 33, 1)


def test_channels_of_different_bits_are_refused():
    stream = bytearray(encoded(RGB, "JPEG2000", no_jp2=True))
    stream[42] = 11
    with pytest.raises(UnsupportedFormatError, match="differ in their bits"):
        read_codestream(bytes(stream))


def segment(marker: int, content: bytes, length: int | None = None) -> bytes:
    return struct.pack(">HH", marker, len(content) + 2 if length is None else length) + content


FRAME = struct.pack(">BHHB", 8, 20, 33, 3)
END = segment(0xFFDA, b"\1\1\0\0\x3f\0") + b"\xff\xd9"


@pytest.mark.parametrize("marker", range(0xFFC0, 0xFFE0))
def test_every_frame_header_states_the_size_and_no_other_segment(marker):
    """Those of ITU T.81, table B.1: all SOF; not the tables (DHT), JPG and DAC between them."""
    stream = b"\xff\xd8" + segment(marker, FRAME) + segment(0xFFC0, struct.pack(">BHHB", 8, 1, 2, 1)) + END
    frames = {*range(0xFFC0, 0xFFD0)} - {0xFFC4, 0xFFC8, 0xFFCC}
    if marker == 0xFFDA:
        with pytest.raises(DamagedImageError):
            read_codestream(stream)
    elif marker == 0xFFDE:
        with pytest.raises(UnsupportedFormatError, match="layers"):
            read_codestream(stream)
    else:
        assert size(stream) == ((20, 33, 3) if marker in frames else (1, 2, 1))


@pytest.mark.parametrize("before", [segment(0xFFE0, b"", 1), segment(0xFFE0, b"", 0), segment(0xFEFF, b"")])
def test_a_segment_that_cannot_be_is_damaged(before):
    with pytest.raises(DamagedImageError):
        read_codestream(b"\xff\xd8" + before + segment(0xFFC0, FRAME) + END)


def test_an_empty_segment_is_passed_over():
    assert size(b"\xff\xd8" + segment(0xFFFE, b"") + segment(0xFFC0, FRAME) + END) == (20, 33, 3)


def test_an_empty_box_is_passed_over():
    stream = encoded(GREY, "JPEG2000", no_jp2=True)
    assert size(struct.pack(">I4s", 8, b"free") + stream) == (20, 33, 1)
