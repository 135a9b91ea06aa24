import io
import zipfile

import pytest

from mermed_core.errors import DamagedImageError, ImageTooLargeError, UnsupportedFormatError
from mermed_core.imaging.archives import ArchiveLimits, is_archive, unpack, unpack_into


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_files_come_in_the_order_of_their_paths_by_the_last_part_of_them():
    data = packed({"b/2.dcm": b"two", "a/1.png": b"one", "../../etc/passwd": b"no", "C:\\x\\3.png": b"three"})
    assert is_archive(data)
    assert [name for name, _ in unpack(data)] == ["3.png", "1.png", "2.dcm"]


def test_what_systems_add_is_left_out():
    assert unpack(packed({"__MACOSX/._a.png": b"x", ".DS_Store": b"x", "s/.hidden/a": b"x", "s/": b""})) == []


def test_a_bomb_is_not_unpacked():
    with pytest.raises(ImageTooLargeError, match="too much"):
        unpack(packed({"zeros": bytes(2_000_000)}), ArchiveLimits(max_bytes=1_000_000))
    lying = bytearray(packed({"zeros": bytes(2_000_000)}))
    for mark in (b"PK\x01\x02", b"PK\x03\x04"):
        at = lying.index(mark) + (24 if mark == b"PK\x01\x02" else 22)
        lying[at : at + 4] = (10).to_bytes(4, "little")  # it claims ten bytes
    with pytest.raises((ImageTooLargeError, DamagedImageError)):
        unpack(bytes(lying), ArchiveLimits(max_bytes=1_000_000))
    with pytest.raises(ImageTooLargeError, match="too many"):
        unpack(packed({str(i): b"" for i in range(5)}), ArchiveLimits(max_files=4))


def test_a_damaged_archive_and_one_with_a_password_get_a_sentence():
    data = packed({"a.png": b"0123456789" * 50})
    with pytest.raises(DamagedImageError, match="Pack or send"):
        unpack(data[:-30])
    locked = bytearray(data)
    locked[data.index(b"PK\x01\x02") + 8] |= 1
    locked[6] |= 1
    with pytest.raises(UnsupportedFormatError, match="password"):
        unpack(bytes(locked))


def test_into_a_folder_nothing_is_written_beside_it(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    files = {"a/1.png": b"one", "/etc/2.png": b"two", "../3.png": b"no", "a\\4.png": b"four", "a/.h": b"no"}
    assert unpack_into(folder, packed(files)) == 3
    written = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.png")}
    assert written == {"here/a/1.png": b"one", "here/etc/2.png": b"two", "here/a/4.png": b"four"}


def test_a_bomb_is_not_written_either(tmp_path):
    with pytest.raises(ImageTooLargeError, match="too much"):
        unpack_into(tmp_path, packed({"zeros": bytes(2_000_000)}), ArchiveLimits(max_bytes=1_000_000))
    with pytest.raises(DamagedImageError, match="Pack or send"):
        unpack_into(tmp_path, packed({"a": b"file", "a/b": b"below a file"}))
