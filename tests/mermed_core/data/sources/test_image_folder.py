from pathlib import Path

import pytest

from mermed_core.data.file_tree import walk_files
from mermed_core.data.sources.image_folder import read_image_folder
from mermed_core.errors import ManifestError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clinic").mkdir()
    return tmp_path / "clinic"


def touch(folder: Path, *names: str) -> None:
    """Empty files, for listing opens none."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_folders_say_modality_and_class(folder: Path):
    touch(folder, "CT/normal/b.png", "CT/normal/deep/er/a.JPG", "fundus/drusen/c.tiff", "fundus/loose.webp")
    frame = read_image_folder(folder).frame
    assert frame["case_id"].tolist() == [
        "clinic/CT/normal/b.png",
        "clinic/CT/normal/deep/er/a.JPG",
        "clinic/fundus/loose.webp",
        "clinic/fundus/drusen/c.tiff",
    ]
    assert frame["modality"].tolist() == ["ct", "ct", "fundus", "fundus"]
    assert frame["labels"].tolist() == [["normal"], ["normal"], None, ["drusen"]]
    assert frame["task"].unique().tolist() == ["clinic-ct", "clinic-fundus"]
    assert frame["path"].tolist()[0] == str(folder / "CT/normal/b.png")


def test_splits_stand_above_the_modality_or_below_it(folder: Path):
    touch(folder, "train/oct/amd/a.png", "valid/oct/amd/b.png", "oct/test/amd/c.png", "oct/amd/d.png")
    frame = read_image_folder(folder).frame.sort_values("path").set_index("path")
    found = {Path(str(path)).name: (row["split"], row["labels"]) for path, row in frame.iterrows()}
    assert found == {
        "a.png": ("train", ["amd"]),
        "b.png": ("val", ["amd"]),
        "c.png": ("test", ["amd"]),
        "d.png": ("", ["amd"]),
    }


def test_case_ids_stay_when_images_are_added(folder: Path):
    touch(folder, "skin/mel/b.png")
    before = read_image_folder(folder).frame["case_id"].tolist()
    touch(folder, "skin/mel/a.png")
    assert set(before) < set(read_image_folder(folder).frame["case_id"])


def test_hidden_files_and_others_are_skipped(folder: Path):
    touch(folder, "us/.a.png", "us/.cache/b.png", "us/notes.txt", "us/c.png", ".git/us/d.png")
    assert read_image_folder(folder).frame["case_id"].tolist() == ["clinic/us/c.png"]


def test_one_given_modality_needs_no_folders(folder: Path):
    touch(folder, "a.png", "melanoma/b.png", "train/melanoma/c.dcm")
    frame = read_image_folder(folder, "skin").frame
    assert set(frame["modality"]) == {"dermatology"}
    assert frame["labels"].tolist() == [None, ["melanoma"], ["melanoma"]]
    assert frame["split"].tolist() == ["", "", "train"]


@pytest.mark.parametrize("name", ["mri/brain/a.png", "a.png", "train/a.png", "train/mri/x/a.png"])
def test_a_folder_of_no_modality_is_named_with_the_layout(folder: Path, name):
    touch(folder, "ct/normal/fine.png", name)
    with pytest.raises(ManifestError, match="MODALITY/CLASS/image") as caught:
        read_image_folder(folder)
    assert str(folder / name) in str(caught.value)


def test_a_folder_without_images_is_refused(folder: Path):
    touch(folder, "ct/normal/readme.txt")
    with pytest.raises(ManifestError, match="holds no image"):
        read_image_folder(folder)


def test_links_to_folders_are_followed_and_circles_end(folder: Path, tmp_path: Path):
    touch(tmp_path, "elsewhere/normal/a.png")
    (folder / "ct").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(folder)
    assert list(walk_files(folder)) == ["ct/normal/a.png"]


def test_a_folder_that_cannot_be_listed_is_named(folder: Path):
    with pytest.raises(ManifestError, match="absent cannot be listed"):
        list(walk_files(folder / "absent"))


def test_a_name_that_is_not_text_is_named(folder: Path):
    touch(folder, "ct/a.png")
    bad = bytes(folder / "ct") + b"/\xff.png"
    try:
        with open(bad, "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_image_folder(folder)
