"""Compressed streams and files as machines write them, for tests."""

import io
import struct
from collections.abc import Callable

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import UID, HTJ2KLossless, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless


@pytest.fixture(scope="session")
def lossless_jpeg() -> Callable[..., bytes]:
    return _lossless_jpeg


@pytest.fixture(scope="session")
def compress() -> Callable[..., bytes]:
    return _compress


@pytest.fixture(scope="session")
def with_streams() -> Callable[..., bytes]:
    return _with_streams


def _with_streams(data: bytes, syntax: str, streams: list[bytes]) -> bytes:
    """Returns a DICOM file with its pixels replaced by compressed streams, one for each frame."""
    dataset, buffer = pydicom.dcmread(io.BytesIO(data)), io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = encapsulate(streams)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(buffer)
    return buffer.getvalue()


def _compress(data: bytes, syntax: str, containers: np.ndarray | None = None) -> bytes:
    """Returns a DICOM file compressed without loss, all bits of its containers with it.

    Args:
        data: an uncompressed file of one frame or several.
        syntax: RLE, JPEG-LS, JPEG Lossless, JPEG 2000 or high-throughput JPEG 2000.
        containers: what is compressed in place of the file's pixels, (frames, height, width[, 3]).
    """
    dataset = pydicom.dcmread(io.BytesIO(data))
    if containers is None:
        dtype = f"{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}"
        shape = (
            int(dataset.get("NumberOfFrames") or 1),
            dataset.Rows,
            dataset.Columns,
            dataset.SamplesPerPixel,
        )
        values = np.frombuffer(dataset.PixelData, dtype, int(np.prod(shape))).reshape(shape)
        containers = values[..., 0] if shape[3] == 1 else values
    return _with_streams(
        data, syntax, [_encoded(np.ascontiguousarray(frame), syntax) for frame in containers]
    )


def _encoded(frame: np.ndarray, syntax: str) -> bytes:
    unsigned = frame.view(f"u{frame.itemsize}")
    if syntax == JPEG2000Lossless:
        return bytes(imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, level=0))
    if syntax == HTJ2KLossless:
        return bytes(imagecodecs.htj2k_encode(frame, reversible=True))
    if syntax == JPEGLSLossless:
        return bytes(imagecodecs.jpegls_encode(unsigned))
    if syntax == JPEGLosslessSV1:
        return bytes(imagecodecs.jpeg8_encode(unsigned, lossless=True, bitspersample=8 * frame.itemsize))
    assert syntax == RLELossless
    planes = unsigned[..., None].view(np.uint8).reshape(*unsigned.shape, -1)
    planes = planes[..., ::-1] if unsigned.ndim == 2 else planes  # the most significant byte comes first
    planes = planes.reshape(*unsigned.shape[:2], -1)
    segments = [imagecodecs.packbits_encode(planes[..., plane].tobytes()) for plane in range(planes.shape[2])]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    starts = 64 + np.cumsum([0, *map(len, segments[:-1])])
    return struct.pack("<16L", len(segments), *starts, *[0] * (15 - len(segments))) + b"".join(segments)


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">HH", marker, len(content) + 2) + content


def _lossless_jpeg(
    values: np.ndarray, bits: int, predictor: int = 1, *, signed: bool = False, wrap: int = 16
) -> bytes:
    """Returns a lossless JPEG (ITU T.81, annex H) of values (height, width) from 0.

    Args:
        values: whole numbers below 2**bits.
        bits: of the frame header.
        predictor: 1 to 7.
        signed: predict from the values as two's complement, as ultrasound machines do.
        wrap: differences are taken modulo 2**wrap; the standard says 16.
    """
    numbers = values.astype(int)
    if signed:
        numbers = np.where(numbers >= 1 << bits - 1, numbers - (1 << bits), numbers)
    coded, rows = "", numbers.tolist()
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            difference = value - _predicted(rows, y, x, predictor, 1 << bits - 1)
            difference = ((difference + (1 << wrap - 1)) & ((1 << wrap) - 1)) - (1 << wrap - 1)
            if difference == -32768:
                coded += format(16, "05b")
                continue
            size = abs(difference).bit_length()
            coded += format(size, "05b")
            if size:
                coded += format(difference if difference > 0 else difference + (1 << size) - 1, f"0{size}b")
    coded += "1" * (-len(coded) % 8)
    body = bytes(int(coded[start : start + 8], 2) for start in range(0, len(coded), 8))
    height, width = values.shape
    return (
        b"\xff\xd8"
        + _segment(0xFFC3, struct.pack(">BHHB", bits, height, width, 1) + b"\1\x11\0")
        + _segment(0xFFC4, b"\0" + bytes([0] * 4 + [17] + [0] * 11) + bytes(range(17)))
        + _segment(0xFFDA, b"\1\1\0" + bytes([predictor, 0, 0]))
        + body.replace(b"\xff", b"\xff\0")
        + b"\xff\xd9"
    )


def _predicted(rows: list[list[int]], y: int, x: int, predictor: int, first: int) -> int:
    if y == 0:
        return rows[0][x - 1] if x else first
    if x == 0:
        return rows[y - 1][0]
    left, above, corner = rows[y][x - 1], rows[y - 1][x], rows[y - 1][x - 1]
    return (
        left,
        above,
        corner,
        left + above - corner,
        left + ((above - corner) >> 1),
        above + ((left - corner) >> 1),
        (left + above) >> 1,
    )[predictor - 1]
