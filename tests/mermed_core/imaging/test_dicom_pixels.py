"""Bits that count in every transfer syntax, colours in every space, streams that contradict the header."""

import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from mermed_core.errors import DamagedImageError, UnsupportedFormatError
from mermed_core.imaging.dicom_pixels import significant_bits
from mermed_core.imaging.reader import read_image

RAMP = np.rint(np.add.outer(np.arange(24) / 23 * 0.2, np.arange(40) / 39 * 0.8) * 4095).astype(np.uint16)
RAMP[4:8, 4:12], RAMP[12:18, 20:30] = 4095, 0
SIGNED = (RAMP.astype(int) - 2048).astype(np.int16)
OVERLAY = np.where(RAMP > 2000, 0xA000, 0).astype(np.uint16)
RGB = np.random.default_rng(3).integers(0, 256, (16, 24, 3), dtype=np.uint8)
SMOOTH = np.stack([np.add.outer(np.arange(16) * 5, np.arange(24) * 6)] * 3, axis=-1).astype(np.uint8)
SMOOTH[..., 2] = 255 - SMOOTH[..., 2]
TWELVE = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
COMPRESSED = (RLELossless, JPEGLSLossless, JPEGLosslessSV1, JPEG2000Lossless)
NATIVE = (ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def grey(data: bytes) -> np.ndarray:
    pixels = read_image(data).pixels
    assert (pixels[..., 0] == pixels[..., 2]).all()
    return pixels[..., 0].astype(int)


def linear(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1) * 255


def native(make_dicom: Callable[..., bytes], containers: np.ndarray, syntax: str, **stated: Any) -> bytes:
    if syntax == ExplicitVRBigEndian:
        return make_dicom(containers, syntax, PixelData=containers.byteswap().tobytes(), **stated)
    data = make_dicom(containers, **stated)
    dataset, buffer = pydicom.dcmread(io.BytesIO(data)), io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED, HTJ2KLossless])
def test_overlays_above_the_bits_that_count_are_left_out(make_dicom, compress, syntax):
    containers = (RAMP | OVERLAY).astype(np.uint16)
    if syntax in NATIVE:
        data = native(make_dicom, containers, syntax, **TWELVE)
    else:
        data = compress(make_dicom(RAMP, **TWELVE), syntax, containers[None])
    np.testing.assert_allclose(grey(data), linear(RAMP, 2048, 4096), atol=0.51)


@pytest.mark.parametrize("extended", [True, False], ids=["sign-extended", "12 bits"])
@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED])
def test_values_below_zero_in_twelve_bits(make_dicom, compress, syntax, extended):
    stated = {**TWELVE, "PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 4000}
    containers = SIGNED if extended else (SIGNED.astype(int) & 0xFFF).astype(np.uint16)
    if syntax in NATIVE:
        data = native(make_dicom, containers, syntax, **stated)
    else:
        data = compress(make_dicom(RAMP, **stated), syntax, containers[None])
    np.testing.assert_allclose(grey(data), linear(SIGNED, 0, 4000), atol=0.51)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("stored", "high"), [(12, 15), (12, 13), (10, 15), (8, 15)])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless])
def test_values_in_the_upper_bits(make_dicom, compress, syntax, stored, high, signed):
    values = (RAMP >> (12 - stored)).astype(int)
    shift = high + 1 - stored
    containers = ((values << shift) | 1).astype(np.uint16)  # a bit of rubbish below
    numbers = np.where(values >= 1 << stored - 1, values - (1 << stored), values) if signed else values
    centre = 0 if signed else 1 << stored - 1
    stated = {
        "BitsStored": stored,
        "HighBit": high,
        "PixelRepresentation": int(signed),
        "WindowCenter": centre,
        "WindowWidth": 1 << stored,
    }
    data = make_dicom(containers, **stated)
    data = data if syntax == ExplicitVRLittleEndian else compress(data, syntax)
    np.testing.assert_allclose(grey(data), linear(numbers, centre, 1 << stored), atol=0.51)


def test_a_stream_that_is_signed_where_the_header_is_not_and_the_reverse(make_dicom, with_streams):
    def stream(values: np.ndarray) -> bytes:
        return bytes(
            imagecodecs.jpeg2k_encode(values, codecformat="j2k", reversible=True, level=0, bitspersample=12)
        )

    unsigned = make_dicom(RAMP, **TWELVE)
    wrapped = np.where(RAMP >= 2048, RAMP.astype(int) - 4096, RAMP).astype(np.int16)
    np.testing.assert_allclose(
        grey(with_streams(unsigned, JPEG2000Lossless, [stream(wrapped)])), linear(RAMP, 2048, 4096), atol=0.51
    )
    signed = make_dicom(SIGNED, **{**TWELVE, "WindowCenter": 0})
    folded = (SIGNED.astype(int) & 0xFFF).astype(np.uint16)
    np.testing.assert_allclose(
        grey(with_streams(signed, JPEG2000Lossless, [stream(folded)])), linear(SIGNED, 0, 4096), atol=0.51
    )


@pytest.mark.parametrize("syntax", [JPEG2000, JPEGLSNearLossless, JPEGExtended12Bit])
def test_loss_that_overshoots_the_bits_is_cut_and_does_not_wrap(make_dicom, with_streams, syntax):
    """Ten bits in a stream of twelve or sixteen: what exceeds 1023 is white."""
    values = np.where(RAMP > 2000, 1023, 0).astype(np.uint16)
    stream = {
        JPEG2000: lambda: bytes(
            imagecodecs.jpeg2k_encode(values, codecformat="j2k", level=45, bitspersample=12)
        ),
        JPEGLSNearLossless: lambda: bytes(imagecodecs.jpegls_encode(values, level=5)),
        JPEGExtended12Bit: lambda: bytes(imagecodecs.jpeg8_encode(values, level=60, bitspersample=12)),
    }[syntax]()
    data = make_dicom(values, BitsStored=10, HighBit=9, WindowCenter=512, WindowWidth=1024)
    shown = grey(with_streams(data, syntax, [stream]))
    assert shown[values == 1023].min() > 200
    assert shown[values == 0].max() < 55


@given(
    st.integers(1, 16).flatmap(lambda stored: st.tuples(st.just(stored), st.integers(stored - 1, 15))),
    st.booleans(),
    st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=20),
)
def test_the_bits_that_count_are_those_of_the_standard(bits, signed, containers):
    """Against the bits written out as text, as PS3.5 8.1.1 draws them."""
    stored, high = bits
    shown = significant_bits(
        np.array(containers, np.int32), stored=stored, high=high, signed=signed, precision=16, clip=False
    )
    for container, value in zip(containers, shown, strict=True):
        cell = format(container, "016b")[15 - high : 16 - high + stored - 1]
        expected = int(cell, 2)
        assert value == (expected - (1 << stored) if signed and cell[0] == "1" else expected)


def test_bits_that_cannot_be_are_taken_as_all(make_dicom):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for stated in (
        {"BitsStored": 12},
        {"BitsStored": 0},
        {"HighBit": 3},
        {"HighBit": 40},
        {"BitsStored": None},
    ):
        np.testing.assert_array_equal(grey(make_dicom(values, **stated)), values)


@pytest.mark.parametrize("after", [b"    ", b"\r\n", b"VENDOR  ", b"\0\0\xff\xff"])
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLSLossless, JPEGLosslessSV1, JPEG2000Lossless])
def test_bytes_behind_the_end_of_a_stream_change_nothing(make_dicom, with_streams, compress, syntax, after):
    values = (RAMP >> 4).astype(np.uint8)
    if syntax == JPEGBaseline8Bit:
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "JPEG", quality=98)
        stream = buffer.getvalue()
    else:
        dataset = pydicom.dcmread(io.BytesIO(compress(make_dicom(values), syntax)))
        stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    whole, longer = (grey(with_streams(make_dicom(values), syntax, [s])) for s in (stream, stream + after))
    np.testing.assert_array_equal(longer, whole)
    np.testing.assert_allclose(whole, values, atol=6)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("space", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_colours_in_either_space_and_order(make_dicom, compress, syntax, space, planar):
    stored = RGB if space == "RGB" else convert_color_space(RGB, "RGB", "YBR_FULL")
    stated: dict[str, Any] = {"PhotometricInterpretation": space}
    if syntax == ExplicitVRLittleEndian:
        held = stored.transpose(2, 0, 1) if planar else stored
        data = make_dicom(stored, PlanarConfiguration=planar, PixelData=held.tobytes(), **stated)
    else:  # the order in a stream is the stream's own
        containers = stored[None]
        if syntax == JPEG2000Lossless:
            pytest.skip("has its own test, for its colour transform") if space != "RGB" else None
        data = compress(make_dicom(stored, PlanarConfiguration=planar, **stated), syntax, containers)
    np.testing.assert_allclose(read_image(data).pixels.astype(int), RGB, atol=2)


@pytest.mark.parametrize("space", ["RGB", "YBR_RCT", "YBR_ICT", "YBR_FULL"])
def test_colours_of_jpeg_2000_with_its_transform_and_without(make_dicom, with_streams, space):
    for transform in (True, False):
        stored = RGB if transform or space != "YBR_FULL" else convert_color_space(RGB, "RGB", "YBR_FULL")
        stream = bytes(
            imagecodecs.jpeg2k_encode(stored, codecformat="j2k", reversible=True, level=0, mct=transform)
        )
        data = with_streams(make_dicom(RGB, PhotometricInterpretation=space), JPEG2000Lossless, [stream])
        np.testing.assert_allclose(read_image(data).pixels.astype(int), RGB, atol=2)


@pytest.mark.parametrize("space", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("marked", [True, False])
def test_colours_of_jpeg_are_those_of_its_marks_or_else_of_the_header(
    make_dicom, with_streams, space, marked
):
    if marked:  # JFIF: the stream says itself that it is luma and differences
        buffer = io.BytesIO()
        Image.fromarray(SMOOTH).save(buffer, "JPEG", quality=98, subsampling=0)
        stream = buffer.getvalue()
    else:
        stored = SMOOTH if space == "RGB" else convert_color_space(SMOOTH, "RGB", "YBR_FULL")
        stream = bytes(imagecodecs.jpeg8_encode(stored, level=98, colorspace="rgb", outcolorspace="rgb"))
        stream = unmarked(stream)
    data = with_streams(make_dicom(SMOOTH, PhotometricInterpretation=space), JPEGBaseline8Bit, [stream])
    np.testing.assert_allclose(read_image(data).pixels.astype(int), SMOOTH, atol=12)


def unmarked(stream: bytes) -> bytes:
    """Returns a JPEG without its application segments, and with its components named 1, 2 and 3."""
    position = 2
    kept = bytearray(stream[:2])
    while stream[position + 1] != 0xDA:
        length = 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
        part = bytearray(stream[position : position + length])
        if part[1] == 0xC0:
            part[10], part[13], part[16] = 1, 2, 3
        if not 0xE0 <= part[1] <= 0xEF:
            kept += part
        position += length
    scan = bytearray(stream[position:])
    scan[5], scan[7], scan[9] = 1, 2, 3
    return bytes(kept + scan)


def test_colour_for_every_other_pixel(make_dicom):
    ybr = convert_color_space(SMOOTH, "RGB", "YBR_FULL")
    half = ybr[:, ::2, 1:].repeat(2, axis=1)
    expected = convert_color_space(np.dstack([ybr[..., :1], half]), "YBR_FULL", "RGB")
    packed = np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], axis=-1)
    stated = {"PhotometricInterpretation": "YBR_FULL_422", "PixelData": packed.tobytes()}
    shown = read_image(make_dicom(SMOOTH, **stated)).pixels
    np.testing.assert_allclose(shown.astype(int), expected, atol=2)
    with pytest.raises(UnsupportedFormatError, match="every other pixel"):
        read_image(make_dicom(SMOOTH, PlanarConfiguration=1, **stated))
    whole = {"PhotometricInterpretation": "YBR_FULL_422", "PixelData": ybr.tobytes()}
    np.testing.assert_allclose(read_image(make_dicom(SMOOTH, **whole)).pixels.astype(int), SMOOTH, atol=2)


def test_partial_range_and_what_is_no_colour_space_here(make_dicom):
    matrix = (
        np.array([[65.738, 129.057, 25.064], [-37.945, -74.494, 112.439], [112.439, -94.154, -18.285]]) / 256
    )
    ybr = np.rint(SMOOTH @ matrix.T + [16, 128, 128]).astype(np.uint8)
    packed = np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], axis=-1)
    stated = {"PhotometricInterpretation": "YBR_PARTIAL_422", "PixelData": packed.tobytes()}
    shown = read_image(make_dicom(SMOOTH, **stated)).pixels.astype(int)
    np.testing.assert_allclose(shown[:, ::2], SMOOTH[:, ::2], atol=5)
    with pytest.raises(UnsupportedFormatError, match="red, green and blue"):
        read_image(make_dicom(SMOOTH, PhotometricInterpretation="HSV"))


def test_twelve_bits_of_sixteen_in_colour(make_dicom):
    wide = RGB.astype(np.uint16) * 16
    image = read_image(make_dicom(wide))
    np.testing.assert_allclose(image.pixels.astype(int), wide / 4095 * 255, atol=0.51)
    assert "use 12 of 16 bits" in image.notes[0]


def test_uncompressed_frames_in_items(make_dicom, with_streams):
    frames = np.stack([RAMP, RAMP[::-1]])
    data = with_streams(
        make_dicom(frames, **TWELVE), "1.2.840.10008.1.2.1.98", [frame.tobytes() for frame in frames]
    )
    shown = read_image(data, frame=1).pixels[..., 0]
    np.testing.assert_allclose(shown.astype(int), linear(RAMP[::-1], 2048, 4096), atol=0.51)


def test_a_stream_decides_by_itself_what_it_is(make_dicom, with_streams):
    """Files state the wrong one of the JPEG syntaxes often enough."""
    values = (RAMP >> 4).astype(np.uint8)
    stream = bytes(imagecodecs.jpegls_encode(values))
    np.testing.assert_array_equal(grey(with_streams(make_dicom(values), JPEGBaseline8Bit, [stream])), values)
    with pytest.raises(DamagedImageError, match="damaged or cut off"):
        read_image(with_streams(make_dicom(values), JPEGBaseline8Bit, [b"nothing of the kind."]))


def test_planes_of_jpeg_ls(make_dicom, with_streams):
    """Three scans, one for each colour, as the interleave mode 'none' has them."""
    scans = [
        bytes(imagecodecs.jpegls_encode(np.ascontiguousarray(RGB[..., channel]))) for channel in range(3)
    ]
    frame = scans[0].index(b"\xff\xf7")
    start = [scan.index(b"\xff\xda") for scan in scans]
    head = b"\xff\xd8\xff\xf7\0\x11" + scans[0][frame + 4 : frame + 9] + b"\3" + b"\1\x11\0\2\x11\0\3\x11\0"
    parts = []
    for number, (scan, position) in enumerate(zip(scans, start, strict=True), start=1):
        part = bytearray(scan[position:-2])
        part[5] = number
        parts.append(bytes(part))
    stream = head + b"".join(parts) + b"\xff\xd9"
    data = with_streams(make_dicom(RGB), JPEGLSLossless, [stream])
    np.testing.assert_array_equal(read_image(data).pixels, RGB)
