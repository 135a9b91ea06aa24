"""Files in ZIP archives: listed and read one by one, whatever is wrong with the archive."""

import io
import zipfile
from pathlib import Path

import pytest

from mermed_core.data.zip_members import is_zip, member_names, read_member
from mermed_core.errors import DamagedImageError, ImageTooLargeError, UnsupportedFormatError
from mermed_core.imaging.limits import Limits


def pack(path: Path, files: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_members_are_listed_and_read(tmp_path, packing):
    archive = pack(tmp_path / "a.ZIP", {"ct/b.png": b"second", "ct/a.png": b"first", "ct/": b""}, packing)
    assert is_zip(archive)
    assert member_names(archive) == {"ct/a.png": "ct/a.png", "ct/b.png": "ct/b.png"}
    assert read_member(archive, "ct/b.png") == b"second"


def test_names_lead_nowhere_and_hidden_ones_are_skipped(tmp_path):
    names = ("../../etc/a.png", "/b.png", "ct\\c.png", "__MACOSX/._a.png", "ct/.DS_Store")
    archive = pack(tmp_path / "a.zip", dict.fromkeys(names, b"x"))
    listed = member_names(archive)
    assert list(listed) == ["b.png", "ct/c.png", "etc/a.png"]
    assert all(read_member(archive, member) == b"x" for member in listed.values())


def test_only_what_is_called_a_zip_is_one(tmp_path):
    assert not is_zip(pack(tmp_path / "letter.docx", {"word.xml": b"x"}))
    (tmp_path / "named.zip").write_bytes(b"no archive")
    assert not is_zip(tmp_path / "named.zip")


def test_another_archive_of_the_same_name_is_read_anew(tmp_path):
    assert read_member(pack(tmp_path / "a.zip", {"x": b"before"}), "x") == b"before"
    pack(tmp_path / "b.zip", {"x": b"after, and longer"}).rename(tmp_path / "a.zip")
    assert read_member(tmp_path / "a.zip", "x") == b"after, and longer"


def test_a_file_larger_than_allowed_is_refused_whatever_it_claims(tmp_path):
    archive = pack(tmp_path / "a.zip", {"x": bytes(3000)})
    raw = archive.read_bytes().replace((3000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(raw)
    with pytest.raises((ImageTooLargeError, DamagedImageError)):
        read_member(archive, "x", Limits(max_bytes=100))
    with pytest.raises(ImageTooLargeError, match="more than 0 MB"):
        read_member(pack(tmp_path / "b.zip", {"x": bytes(3000)}), "x", Limits(max_bytes=100))


def test_what_cannot_be_opened_is_refused_with_the_reason(tmp_path):
    whole = pack(tmp_path / "a.zip", {"x": b"1234" * 100})
    (tmp_path / "cut.zip").write_bytes(whole.read_bytes()[:60])
    with pytest.raises(DamagedImageError, match="damaged, cut off"):
        member_names(tmp_path / "cut.zip")
    with pytest.raises(DamagedImageError, match="damaged, cut off"):
        read_member(whole, "no such file")
    locked = bytearray(whole.read_bytes())
    locked[6] |= 1  # the bit that says "encrypted", in both headers
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(UnsupportedFormatError, match="has a password"):
        member_names(tmp_path / "locked.zip")


def test_parts_that_overlap_are_refused(tmp_path):
    """A bomb of many files that are all the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(10_000))
        archive.writestr("b", b"")
        archive.filelist[1].header_offset = archive.filelist[0].header_offset
    (tmp_path / "bomb.zip").write_bytes(buffer.getvalue())
    with pytest.raises(DamagedImageError, match="overlap"):
        member_names(tmp_path / "bomb.zip")
