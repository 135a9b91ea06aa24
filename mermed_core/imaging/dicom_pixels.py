"""The stored values of one DICOM frame, from any transfer syntax, with only the bits that count."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from mermed_core.errors import DamagedImageError, UnsupportedFormatError
from mermed_core.imaging.codecs import decode_rle, decode_stream
from mermed_core.imaging.dicom_header import PIXELS, number, text
from mermed_core.imaging.jpeg_headers import CUT_OFF, read_codestream

_ENCAPSULATED_PLAIN = "1.2.840.10008.1.2.1.98"
_STREAM_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")
_STREAM_SYNTAXES = {*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes}
_MANY_BITS = 31


@dataclass(frozen=True)
class StoredValues:
    """One frame as it is stored.

    Attributes:
        values: (height, width), or (height, width, 3) for colour; whole numbers unless `bits` is 0.
        container: the same before the bits that do not count were left out, in the container's own type.
        bits: how many count; 0 for floating point.
        photometric: what the values are now, such as MONOCHROME1, RGB or YBR_FULL.
    """

    values: np.ndarray
    container: np.ndarray
    bits: int
    photometric: str


@dataclass(frozen=True)
class _Layout:
    """What the header says of how a picture is stored, with what is missing or impossible put right."""

    height: int
    width: int
    samples: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool
    planar: int
    photometric: str


@dataclass(frozen=True)
class _Decoded:
    """Values as a decoder returns them, and what is known of their bits."""

    values: np.ndarray
    precision: int
    photometric: str
    lossless: bool = True
    signed: bool = False


def read_stored_values(dataset: pydicom.FileDataset, frame: int, frames: int) -> StoredValues:
    """Returns the values of one frame, without overlays or rubbish in their unused bits, and sign-extended.

    Raises:
        DamagedImageError: cut off, or the header and the compressed picture disagree.
        UnsupportedFormatError: compressed in a way that is not read, or neither grey nor three colours.
    """
    layout = _layout(dataset, frames)
    if layout.samples not in (1, 3):
        raise UnsupportedFormatError(
            "The DICOM file's colours are not red, green and blue. Export it as RGB."
        )
    decoded = _decode(dataset, frame, layout)
    if decoded.values.dtype.kind == "f":
        return StoredValues(decoded.values, decoded.values, 0, decoded.photometric)
    container = decoded.values.astype(np.int64 if layout.allocated > _MANY_BITS else np.int32)
    values = significant_bits(
        container,
        stored=layout.stored,
        high=layout.high,
        signed=layout.signed,
        precision=decoded.precision,
        clip=not decoded.lossless and decoded.signed == layout.signed,
    )
    if layout.signed and not decoded.signed:
        container = _sign_extended(container, decoded.precision)
    return StoredValues(values, container, layout.stored, decoded.photometric)


def significant_bits(
    values: np.ndarray, *, stored: int, high: int, signed: bool, precision: int, clip: bool
) -> np.ndarray:
    """Returns the bits of values that count, as numbers: the one place where unused bits are left out.

    Overlays and rubbish lie above (rarely below) the bits that count, in whatever transfer syntax keeps them.

    Args:
        values: whole numbers as the decoder gave them, of any shape.
        stored: BitsStored.
        high: HighBit.
        signed: PixelRepresentation: the highest bit that counts is a sign.
        precision: how many bits the decoder's numbers have; the container's for what is not compressed.
        clip: the values were compressed with loss, so that what exceeds the bits is overshoot, not rubbish.
    """
    if precision > high >= stored:
        values, precision = values >> (high + 1 - stored), stored
    if clip and precision > stored:
        low, top = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
        return np.clip(values, low, top)
    bits = min(stored, precision)
    values = values & (1 << bits) - 1
    return _sign_extended(values, bits) if signed else values


def _sign_extended(values: np.ndarray, bits: int) -> np.ndarray:
    sign = 1 << bits - 1
    return (values ^ sign) - sign


def _layout(dataset: Dataset, frames: int) -> _Layout:
    samples = int(number(dataset, "SamplesPerPixel") or 1)
    allocated = int(number(dataset, "BitsAllocated") or 0)
    stored = int(number(dataset, "BitsStored") or allocated)
    stored = stored if 0 < stored <= allocated else allocated
    high = int(number(dataset, "HighBit") or 0)
    return _Layout(
        height=int(number(dataset, "Rows") or 0),
        width=int(number(dataset, "Columns") or 0),
        samples=samples,
        frames=frames,
        allocated=allocated,
        stored=stored,
        high=high if stored <= high < allocated else stored - 1,
        signed=number(dataset, "PixelRepresentation") == 1,
        planar=int(number(dataset, "PlanarConfiguration") or 0),
        photometric=text(dataset, "PhotometricInterpretation") or ("MONOCHROME2" if samples == 1 else "RGB"),
    )


def _decode(dataset: pydicom.FileDataset, frame: int, layout: _Layout) -> _Decoded:
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    keyword = next(name for name in PIXELS if dataset.get(name))
    if not syntax.is_transfer_syntax or not syntax.is_encapsulated:
        return _decode_native(dataset[keyword].value, dataset[keyword].VR, keyword, syntax, frame, layout)
    stream = _frame_stream(dataset, frame, layout)
    if syntax == _ENCAPSULATED_PLAIN:
        return _decode_native(stream, "OB", keyword, ExplicitVRLittleEndian, 0, replace(layout, frames=1))
    if syntax == RLELossless:
        values = decode_rle(stream, layout.height, layout.width, layout.samples, layout.allocated // 8)
        return _Decoded(values, layout.allocated, layout.photometric)
    if stream.startswith(_STREAM_STARTS):
        return _decode_codestream(stream, layout)
    if syntax in _STREAM_SYNTAXES:
        raise DamagedImageError(CUT_OFF)
    raise UnsupportedFormatError(
        "The DICOM file is compressed in a way that is not read here (it is a film, say). "
        "Export its frames uncompressed or as JPEG 2000."
    )


def _frame_stream(dataset: Dataset, frame: int, layout: _Layout) -> bytes:
    table, lengths = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    return get_frame(
        dataset.PixelData,
        frame,
        number_of_frames=layout.frames,
        extended_offsets=(table, lengths) if table and lengths else None,
    )


def _decode_native(data: bytes, vr: str, keyword: str, syntax: UID, frame: int, layout: _Layout) -> _Decoded:
    photometric = layout.photometric
    subsampled = photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")
    if subsampled and len(data) >= layout.frames * layout.height * layout.width * 3 * layout.allocated // 8:
        subsampled = False  # the header says so, but every pixel has its colour
    if subsampled and layout.planar:
        raise UnsupportedFormatError(
            "The DICOM file's colours are stored for every other pixel and in planes, which no two programs "
            "read alike. Export it as RGB."
        )
    options: dict[str, Any] = {
        "correct_unused_bits": False,
        "allow_excess_frames": False,
        "rows": layout.height,
        "columns": layout.width,
        "samples_per_pixel": layout.samples,
        "number_of_frames": layout.frames,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.signed),
        "planar_configuration": layout.planar,
        "photometric_interpretation": "YBR_FULL_422" if subsampled else "RGB",
        "pixel_keyword": keyword,
        "pixel_vr": vr,
    }
    values, _ = get_decoder(syntax).as_array(data, index=frame, raw=True, **options)
    return _Decoded(values, layout.allocated, photometric, signed=layout.signed)


def _decode_codestream(stream: bytes, layout: _Layout) -> _Decoded:
    about = read_codestream(stream)
    # Decoders trust the one or the other, and run out of memory or beyond it.
    if (about.height, about.width, about.samples) != (layout.height, layout.width, layout.samples):
        raise DamagedImageError(
            "The DICOM file's header and its compressed picture disagree about the size. Export it again."
        )
    photometric, ycbcr = layout.photometric, about.ycbcr
    if about.family == "JPEG" and about.samples == 3:
        ycbcr = photometric.startswith("YBR") if ycbcr is None else ycbcr
        photometric = "RGB"
    elif about.family == "JPEG 2000" and ycbcr is False and about.samples == 3:
        photometric = "RGB"
    values = decode_stream(stream, about, ycbcr=bool(ycbcr))
    return _Decoded(values, about.precision, photometric, about.lossless, about.signed)
