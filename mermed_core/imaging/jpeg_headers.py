"""What a JPEG, JPEG-LS or JPEG 2000 stream says of itself, read before any decoder sees it.

Decoders allocate memory by the size stated here, and some of them fill up what a stream lacks without a word.
"""

import re
import struct
from dataclasses import dataclass
from typing import Literal

from mermed_core.errors import DamagedImageError, UnsupportedFormatError

CUT_OFF = "The compressed picture is damaged or cut off. Export or send it again."

Family = Literal["JPEG", "JPEG Lossless", "JPEG-LS", "JPEG 2000"]

# Start of frame of every JPEG process and of JPEG-LS; not that of hierarchical JPEG, which holds frames.
_FRAMES = {0xC0 | kind for kind in range(16)} - {0xC4, 0xC8, 0xCC} | {0xF7}
_LOSSLESS_FRAMES = {0xC3, 0xC7, 0xCB, 0xCF}
_JPEG_LS_FRAME = 0xF7
_START_OF_SCAN, _END_OF_IMAGE, _FILL, _HIERARCHICAL = 0xDA, 0xD9, 0xFF, 0xDE
# Segments that may follow a scan; anything else after 0xFF within one is damage that decoders step over.
_TABLES = {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, 0xF8} | set(range(0xE0, 0xF0))
_MARKER_IN_JPEG = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MARKER_IN_JPEG_LS = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")  # a bit of zero follows 0xFF in its data
_JPEG2000_START = b"\xff\x4f\xff\x51"
_CODING_STYLE, _START_OF_TILE = 0xFF52, 0xFF90
_RGB_COMPONENTS = (b"RGB", b"rgb")


@dataclass(frozen=True)
class Codestream:
    """What a compressed stream says of its picture.

    Attributes:
        family: which decoder it needs.
        height: in pixels.
        width: in pixels.
        samples: per pixel: 1 for grey, 3 for colour.
        precision: bits of a sample.
        signed: whether samples may be negative; only JPEG 2000 can say so.
        lossless: whether samples are exactly those that were compressed.
        ycbcr: whether three samples are a luma and two colour differences; None where nothing says it.
        predictor: which neighbours predict a sample of JPEG Lossless, 1 to 7; 0 otherwise.
        precision_at: where in a JPEG stream the precision stands.
        end: the length of the stream in bytes, without what follows its end mark.
    """

    family: Family
    height: int
    width: int
    samples: int
    precision: int
    signed: bool = False
    lossless: bool = True
    ycbcr: bool | None = None
    predictor: int = 0
    precision_at: int = 0
    end: int = 0


def read_codestream(stream: bytes) -> Codestream:
    """Returns what a stream says of itself; the family is told by its first bytes.

    Raises:
        DamagedImageError: it does not begin as one of them, or has no end mark.
        UnsupportedFormatError: its samples differ in size or type, or it is hierarchical.
    """
    return _read_jpeg(stream) if stream[:2] == b"\xff\xd8" else _read_jpeg2000(stream)


def _read_jpeg(stream: bytes) -> Codestream:
    frame, frame_marker, precision_at, jfif, adobe = b"", 0, 0, False, None
    position = 2
    while True:
        marker, content, after = _segment(stream, position)
        if marker == _FILL:
            position += 1
            continue
        position = after
        if marker == _HIERARCHICAL:
            raise UnsupportedFormatError("The picture is a JPEG of layers. Export it in another compression.")
        if marker in _FRAMES and not frame:
            frame, frame_marker, precision_at = content, marker, after - len(content)
        elif marker == 0xE0 and content.startswith(b"JFIF"):
            jfif = True
        elif marker == 0xEE and content.startswith(b"Adobe") and len(content) >= 12:
            adobe = content[11]
        elif marker == _START_OF_SCAN:
            break
    if not frame:
        raise DamagedImageError(CUT_OFF)
    precision, height, width, samples = _unpack(">BHHB", frame, 0)
    (selection,) = _unpack(">B", content, len(content) - 3)  # of the scan: predictor, or the error of JPEG-LS
    lossless = frame_marker in _LOSSLESS_FRAMES
    jpeg_ls = frame_marker == _JPEG_LS_FRAME
    return Codestream(
        family="JPEG-LS" if jpeg_ls else "JPEG Lossless" if lossless else "JPEG",
        height=height,
        width=width,
        samples=samples,
        precision=precision,
        lossless=lossless or (jpeg_ls and selection == 0),
        ycbcr=_is_ycbcr(frame[6 : 6 + 3 * samples : 3], jfif, adobe),
        predictor=selection if lossless else 0,
        precision_at=precision_at,
        end=_end_of_jpeg(stream, position, _MARKER_IN_JPEG_LS if jpeg_ls else _MARKER_IN_JPEG),
    )


def _is_ycbcr(components: bytes, jfif: bool, adobe: int | None) -> bool | None:
    """Returns what markers and component names say of the colours, as libjpeg takes them."""
    if len(components) != 3:
        return False
    if jfif:
        return True
    if adobe is not None:
        return adobe != 0
    return False if components in _RGB_COMPONENTS else None


def _segment(stream: bytes, position: int) -> tuple[int, bytes, int]:
    """Returns a segment's marker, its content and where the next begins."""
    lead, marker, length = _unpack(">BBH", stream, position)
    if lead != 0xFF or (marker != _FILL and length < 2):
        raise DamagedImageError(CUT_OFF)
    after = position + 2 + length
    return marker, stream[position + 4 : after], after


def _end_of_jpeg(stream: bytes, position: int, marker_pattern: re.Pattern[bytes]) -> int:
    """Returns where a stream ends, from within its first scan on; what lies behind is not of the picture."""
    while found := marker_pattern.search(stream, position):
        position, marker = found.end(), stream[found.end() - 1]
        if marker == _END_OF_IMAGE:
            return position
        if marker in _TABLES:
            (length,) = _unpack(">H", stream, position)
            position += length
    raise DamagedImageError(CUT_OFF)


def _read_jpeg2000(stream: bytes) -> Codestream:
    """Reads a JPEG 2000 stream, within the boxes of a JP2 file or bare."""
    position = 0
    while stream[position : position + 4] != _JPEG2000_START:
        length, kind = _unpack(">I4s", stream, position)
        if kind == b"jp2c":
            length = 16 if length == 1 else 8  # the stream begins within this box
        elif length < 8:
            raise DamagedImageError(CUT_OFF)
        position += length
    right, bottom, left, top = _unpack(">4I", stream, position + 8)
    (samples,) = _unpack(">H", stream, position + 40)
    kinds = set(_unpack(f">{'B2x' * samples}", stream, position + 42))
    if len(kinds) != 1:
        raise UnsupportedFormatError(
            "The channels of the JPEG 2000 picture differ in their bits. Export it in another compression."
        )
    (kind,) = kinds
    transform, reversible = _coding_style(stream, position + 2)
    return Codestream(
        family="JPEG 2000",
        height=bottom - top,
        width=right - left,
        samples=samples,
        precision=(kind & 0x7F) + 1,
        signed=kind >= 0x80,
        lossless=reversible,
        ycbcr=False if transform else None,  # the decoder undoes the colour transform
        end=len(stream),
    )


def _coding_style(stream: bytes, position: int) -> tuple[bool, bool]:
    """Returns whether colours are transformed, and whether the wavelet is reversible."""
    while True:
        marker, length = _unpack(">HH", stream, position)
        if marker == _CODING_STYLE:
            (colours,) = _unpack(">B", stream, position + 8)
            (wavelet,) = _unpack(">B", stream, position + 13)
            return colours == 1, wavelet == 1
        if marker < 0xFF00 or length < 2 or marker == _START_OF_TILE:
            raise DamagedImageError(CUT_OFF)
        position += 2 + length


def _unpack(layout: str, stream: bytes, position: int) -> tuple:
    try:
        return struct.unpack_from(layout, stream, position)
    except struct.error as error:
        raise DamagedImageError(CUT_OFF) from error
