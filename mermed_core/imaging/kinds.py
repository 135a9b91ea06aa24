"""The kind of a file by its first bytes, never by its name."""

import struct

from mermed_core.errors import UnsupportedFormatError

HEAD_BYTES = 4096  # as many as tell the kind

_READABLE = "Use DICOM, PNG, JPEG, TIFF, JPEG 2000, WebP, BMP, GIF or AVIF."
_TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG2000_MARKS = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")  # in boxes, or the bare stream
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_FILM_MARKS = (b"\x1a\x45\xdf\xa3", b"\0\0\x01\xba", b"\0\0\x01\xb3")
_FILM = "a film: save one of its pictures as PNG"
_VOLUME = "a volume for research programs: export its slices as DICOM or PNG"
_NIFTI_MARKS = (b"n+1\0", b"ni1\0")
_LOOKS_LIKE = (
    (b"%PDF", "a PDF document: export the picture in it as PNG or JPEG first"),
    (b"PK\x03\x04", "a zip archive: unpack it and choose one image"),
    (b"\x1f\x8b", "a compressed archive: unpack it and choose one image"),
    (b"Rar!", "a compressed archive: unpack it and choose one image"),
    (b"7z\xbc\xaf", "a compressed archive: unpack it and choose one image"),
    *((mark, _FILM) for mark in _FILM_MARKS),
    (b"NRRD", _VOLUME),
    (b"<", "a web page or text"),
)


def image_kind(head: bytes) -> str | None:
    """Returns the kind that the first bytes of a file stand for, None for none that is read here.

    Args:
        head: the file's bytes, or at least the first `HEAD_BYTES` of them.

    Returns:
        DICOM, PNG, JPEG, TIFF, JPEG 2000, WebP, BMP, GIF or AVIF.
    """
    marks = {
        "DICOM": head[128:132] == b"DICM",
        "PNG": head.startswith(b"\x89PNG"),
        "JPEG": head.startswith(b"\xff\xd8\xff"),
        "TIFF": head.startswith(_TIFF_MARKS),
        "JPEG 2000": head.startswith(_JPEG2000_MARKS),
        "WebP": head[:4] == b"RIFF" and head[8:12] == b"WEBP",
        "BMP": head[:2] == b"BM" and head[15:18] == bytes(3),  # the header's size, which is below 256
        "GIF": head.startswith((b"GIF87a", b"GIF89a")),
        "AVIF": bool(_AVIF_BRANDS & _brands(head)),
    }
    for kind, found in marks.items():
        if found:
            return kind
    return "DICOM" if _begins_with_element(head) else None


def refusal(head: bytes) -> UnsupportedFormatError:
    """Returns the error for a file whose kind is not read here; it says what the file looks like."""
    words = _looks_like(head) or "not an image of a kind that can be read here"
    return UnsupportedFormatError(f"This is {words}. {_READABLE}")


def _looks_like(head: bytes) -> str | None:
    """Returns what a file that is not read here is, and what to do with it; None where that is not known."""
    if brands := _brands(head):
        return "a HEIC photo: save it as JPEG" if brands & _HEIC_BRANDS else _FILM
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _FILM
    if head[344:348] in _NIFTI_MARKS:
        return _VOLUME
    start = head[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    return next((words for mark, words in _LOOKS_LIKE if start.startswith(mark)), None)


def _brands(head: bytes) -> set[bytes]:
    """Returns the brands of an ISO media file (HEIC, AVIF, MP4), none for any other file."""
    if head[4:8] != b"ftyp":
        return set()
    (size,) = struct.unpack_from(">I", head)
    box = head[8 : min(max(size, 12), HEAD_BYTES)]
    # The second word is a version, no brand.
    return {box[start : start + 4] for start in range(0, len(box), 4) if start != 4}


def _begins_with_element(head: bytes) -> bool:
    """Tells whether a DICOM file without preamble begins with an element of group 2 or 8, as it must."""
    if len(head) < 8:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    group, element, length = struct.unpack_from("<HHI", head)
    if group in (2, 8) and element < 0x100:
        return explicit or length <= len(head) - 8
    big_endian = struct.unpack_from(">H", head)[0] == 8 and head[2] == 0
    return explicit and big_endian  # big endian is never implicit
