"""Kinds of files by their first bytes, whatever their names say."""

import io

import numpy as np
import pytest
from PIL import Image

from mermed_core.errors import UnsupportedFormatError
from mermed_core.imaging.kinds import HEAD_BYTES, image_kind, refusal
from mermed_core.imaging.reader import looks_like_image

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
SAVED_AS = {
    "PNG": "PNG",
    "JPEG": "JPEG",
    "TIFF": "TIFF",
    "JPEG2000": "JPEG 2000",
    "WebP": "WebP",
    "BMP": "BMP",
    "GIF": "GIF",
    "AVIF": "AVIF",
}


def saved(kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", SAVED_AS)
def test_the_content_tells_the_kind_under_any_name(kind, tmp_path):
    data = saved(kind)
    for name in ("a", "a.dcm", "a.jfif", "1.2.840.113"):
        (tmp_path / name).write_bytes(data)
        assert looks_like_image(tmp_path / name) == SAVED_AS[kind]
    assert looks_like_image(data[:HEAD_BYTES]) == SAVED_AS[kind]


def test_a_bare_stream_of_jpeg_2000_and_a_dicom_file(make_dicom, tmp_path):
    assert image_kind(saved("JPEG2000", no_jp2=True)) == "JPEG 2000"
    (tmp_path / "MR.1.2.3.abc").write_bytes(make_dicom(RGB))
    assert looks_like_image(tmp_path / "MR.1.2.3.abc") == "DICOM"


def test_what_is_no_image_has_no_kind(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    for source in (b"", b"hello", b"BM is a town", tmp_path, tmp_path / "none", tmp_path / "empty"):
        assert looks_like_image(source) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04", "zip"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0avc1mp41", "film"),
        (b"\x1a\x45\xdf\xa3", "film"),
        (b"RIFF\x10\0\0\0AVI LIST", "film"),
        (b"\x5c\x01\0\0" + bytes(340) + b"n+1\0", "volume.*slices"),
        (b"NRRD0004\n", "volume"),
        (b"<html>", "web page"),
        (b"\xef\xbb\xbf  <?xml", "web page"),
        (b"hello", "not an image"),
    ],
)
def test_other_files_are_named_for_what_they_are(data, words):
    assert image_kind(data) is None
    with pytest.raises(UnsupportedFormatError, match=words):
        raise refusal(data)


def test_avif_is_told_by_any_of_its_brands():
    assert image_kind(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif") == "AVIF"
    assert image_kind(b"\0\0\0\x14ftypmif1\0\0\0\0miafavif") is None  # the last word is no part of the box


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (bytes(128) + b"DICM", True),
        (b"\x08\0\x05\0CS\x0a\0", True),
        (b"\x02\0\0\0UL\x04\0", True),
        (b"\x08\0\x05\0\x02\0\0\0IR", True),
        (b"\0\x08\0\x05CS\0\x0a", True),
        (b"", False),
        (b"\x08\0\x05\0CS\x0a", False),
        (b"\x08\0\x05\0\x03\0\0\0IR", False),
        (b"\x08\0\0\x01CS\x0a\0", False),
        (b"\x10\0\x10\0PN\x0a\0", False),
        (b"\x08\0\x05\0cs\x0a\0", False),
        (b"\x08\0\x05\0C\0\x0a\0", False),
        (b"\0\x09\0\x05CS\0\x0a", False),
        (b"\0\x08\x01\x05CS\0\x0a", False),
    ],
)
def test_what_is_taken_for_dicom(data, known):
    assert (image_kind(data) == "DICOM") == known
