"""What a compressed picture inside a DICOM file says of its own size, read before any decoder sees it.

Decoders allocate by this size, or overrun the memory that the DICOM header made them allocate.
"""

import struct

from mermed_core.errors import DamagedImageError

CUT_OFF = "The DICOM file's compressed picture is damaged or cut off. Export or send it again."

_FILL = 0xFFFF
_START_OF_SCAN = 0xFFDA
# Start of frame of every JPEG process and of JPEG-LS, and the frame of frames of hierarchical JPEG.
_FRAME_HEADERS = {0xFFC0 | kind for kind in range(16)} - {0xFFC4, 0xFFC8, 0xFFCC} | {0xFFDE, 0xFFF7}
_END_OF_IMAGE = b"\xff\xd9"
_JPEG2000_START = b"\xff\x4f\xff\x51"


def jpeg_size(stream: bytes) -> tuple[int, int, int]:
    """Returns height, width and samples of a JPEG or JPEG-LS stream.

    Raises:
        DamagedImageError: no frame header before the first scan, or no end mark: decoders fill up what is
            missing without a word.
    """
    if not stream.rstrip(b"\0\xff").endswith(_END_OF_IMAGE):
        raise DamagedImageError(CUT_OFF)
    position = 2
    while True:
        marker, length = _unpack(">HH", stream, position)
        if marker in _FRAME_HEADERS:
            height, width, samples = _unpack(">HHB", stream, position + 5)
            return height, width, samples
        if marker == _FILL:
            position += 1
        elif marker < 0xFF00 or length < 2 or marker == _START_OF_SCAN:
            raise DamagedImageError(CUT_OFF)
        else:
            position += 2 + length


def jpeg2000_size(stream: bytes) -> tuple[int, int, int]:
    """Returns height, width and samples of a JPEG 2000 stream, within the boxes of a JP2 file or without.

    Raises:
        DamagedImageError: it does not begin as JPEG 2000 does.
    """
    position = 0
    while stream[position : position + 4] != _JPEG2000_START:
        length, kind = _unpack(">I4s", stream, position)
        if kind == b"jp2c":
            length = 8  # the stream begins within this box
        elif length < 8:
            raise DamagedImageError(CUT_OFF)
        position += length
    right, bottom, left, top = _unpack(">4I", stream, position + 8)
    (samples,) = _unpack(">H", stream, position + 40)
    return bottom - top, right - left, samples


def _unpack(layout: str, stream: bytes, position: int) -> tuple:
    try:
        return struct.unpack_from(layout, stream, position)
    except struct.error as error:
        raise DamagedImageError(CUT_OFF) from error
