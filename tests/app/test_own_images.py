"""What a visitor brings: unpacked in private, or in a folder that the host opens; nothing else is reached."""

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from app.own_images import from_archive, from_folder
from mermed_core.errors import DamagedImageError, ImageError, ImageTooLargeError, ManifestError
from mermed_core.imaging.archives import ArchiveLimits

PNG = io.BytesIO()
Image.new("RGB", (32, 32), (200, 30, 30)).save(PNG, "PNG")
PICTURE = PNG.getvalue()


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def room(tmp_path) -> Path:
    (tmp_path / "room").mkdir()
    return tmp_path / "room"


def test_folders_in_an_archive_say_modality_and_label_and_its_name_stands_nowhere(room):
    images, files = from_archive(
        "Doe Jane.zip", packed({"ct/mass/1.png": PICTURE, "ct/notes.txt": b"x"}), room
    )
    assert files == 2
    assert images.name == "Doe Jane"
    manifest = images.manifest(None)
    assert manifest.frame[["case_id", "modality", "source"]].to_numpy().tolist() == [
        ["images/ct/mass/1.png", "ct", "images"]
    ]
    assert manifest.frame["labels"].tolist() == [["mass"]]
    assert sum(manifest.left_out.values()) == 1
    images.forget()
    assert not room.exists()


@pytest.mark.parametrize("top", ["", "My scans/", "My scans/export/"])
def test_the_folder_that_was_packed_as_a_whole_says_nothing(room, top):
    images, _ = from_archive("a.zip", packed({f"{top}ct/mass/1.png": PICTURE}), room)
    assert images.manifest(None).frame["case_id"].tolist() == ["images/ct/mass/1.png"]


def test_a_folder_within_that_is_called_as_the_one_around_it_is_kept(room):
    images, _ = from_archive(
        "a.zip", packed({"export/export/1.png": PICTURE, "export/a/1.png": PICTURE}), room
    )
    assert images.manifest("ct").frame["labels"].tolist() == [["a"], ["export"]]


def test_no_path_in_an_archive_leads_out_of_the_room(room):
    data = packed({"../evil.png": PICTURE, "/etc/evil.png": PICTURE, "a/../../evil.png": PICTURE})
    images, _ = from_archive("a.zip", data, room)
    written = [path.relative_to(room) for path in room.rglob("*") if path.is_file()]
    assert written == [Path("images/evil.png")]  # what was packed with a whole path, within the room
    assert len(images.manifest("ct")) == 1
    assert not list(room.parent.glob("*.png"))


def test_a_link_in_an_archive_becomes_a_plain_file(room):
    link = zipfile.ZipInfo("ct/link.png")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("ct/1.png", PICTURE)
    from_archive("a.zip", buffer.getvalue(), room)
    assert not (room / "images/ct/link.png").is_symlink()


def test_a_table_in_an_archive_is_not_followed(room):
    table = b"image_path,modality\n/etc/hostname,ct\n"
    images, _ = from_archive("a.zip", packed({"table.csv": table, "1.png": PICTURE}), room)
    assert images.manifest("ct").frame["case_id"].tolist() == ["images/1.png"]


def test_what_is_no_archive_or_too_much_is_a_sentence(room, monkeypatch):
    with pytest.raises(ImageError, match="no ZIP archive"):
        from_archive("a.png", PICTURE, room)
    with pytest.raises(DamagedImageError, match="Pack or send it again"):
        from_archive("a.zip", packed({"a.png": PICTURE})[:-30], room)
    (room / "images").rmdir()
    monkeypatch.setattr("app.own_images.LIMITS", ArchiveLimits(max_files=1))
    with pytest.raises(ImageTooLargeError, match="too many"):
        from_archive("a.zip", packed({"1.png": PICTURE, "2.png": PICTURE}), room)


@pytest.fixture
def allowed(tmp_path) -> Path:
    for name in ("open/ct/mass", "secret/ct"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.png").write_bytes(PICTURE)
    return tmp_path / "open"


def test_a_folder_is_named_from_an_allowed_one_on_or_in_full(allowed):
    for typed in ("ct", str(allowed / "ct"), f" {allowed}/ct/../ct "):
        images = from_folder(typed, [allowed.parent / "gone", allowed])
        assert images.name == "ct"
        assert len(images.manifest("ct")) == 1
        images.forget()
    assert (allowed / "ct/mass/1.png").is_file()


@pytest.mark.parametrize(
    "typed", ["..", "../secret", "/etc", "nowhere", "ct/mass/1.png", "\0", "a" * 5000, "link"]
)
def test_no_other_folder_is_opened_and_none_is_told_apart_from_one_that_is_not_there(allowed, typed):
    (allowed / "link").symlink_to(allowed.parent / "secret")
    with pytest.raises(ManifestError) as caught:
        from_folder(typed, [allowed])
    assert (
        str(caught.value) == "The folder is not there, or it is none that this server opens for its visitors."
    )


def test_a_folder_with_a_link_out_of_it_is_refused_by_the_name_that_the_visitor_typed(allowed):
    (allowed / "ct/mass/2.png").symlink_to(allowed.parent / "secret/ct/1.png")
    with pytest.raises(ManifestError, match=r"^the link 'mass/2.png' leads out of the folder") as caught:
        from_folder("ct", [allowed]).manifest("ct")
    assert str(allowed) not in str(caught.value)


def test_links_within_a_folder_are_followed(allowed):
    (allowed / "ct/again").symlink_to(allowed / "ct/mass")
    assert len(from_folder("ct", [allowed]).manifest("ct")) >= 1


def test_no_error_tells_where_an_allowed_folder_lies(allowed):
    (allowed / "empty").mkdir()
    with pytest.raises(ManifestError, match=r"^empty holds no image") as caught:
        from_folder("empty", [allowed]).manifest(None)
    assert str(allowed) not in str(caught.value)


def test_without_a_modality_the_visitor_is_asked_for_it(allowed):
    (allowed / "ct").rename(allowed / "mine")
    with pytest.raises(ManifestError, match=r"^The folders of the images name no modality. Choose"):
        from_folder("mine", [allowed]).manifest(None)


def test_a_folder_of_the_server_may_be_named_after_its_modality(allowed):
    frame = from_folder("ct", [allowed]).manifest(None).frame
    assert frame["modality"].tolist() == ["ct"]
    assert frame["labels"].tolist() == [["mass"]]
