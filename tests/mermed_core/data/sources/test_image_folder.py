from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mermed_core.data.file_tree import walk_files
from mermed_core.data.sources.image_folder import read_image_folder
from mermed_core.data.sources.image_tree import read_image_tree
from mermed_core.data.sources.opener import open_manifest
from mermed_core.errors import ManifestError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clinic").mkdir()
    return tmp_path / "clinic"


def touch(folder: Path, *names: str) -> None:
    """Empty files: a name such as .png is believed."""
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


@pytest.mark.parametrize("read", [read_image_folder, read_image_tree])
def test_a_folder_that_is_called_as_a_modality_says_what_it_is_taken_for(folder: Path, read):
    eyes = folder / "Eye"
    touch(eyes, "drusen/c.png", "loose.webp", "OCT/a.png")
    manifest = read(eyes)
    assert manifest.frame.set_index("case_id")["modality"].to_dict() == {
        "Eye/drusen/c.png": "fundus",
        "Eye/loose.webp": "fundus",
        "Eye/OCT/a.png": "oct",
    }
    (note,) = manifest.notes
    assert note.startswith("2 files in no modality's folder are taken for fundus")
    assert "called 'Eye'" in note
    assert read(eyes, "dermatology").notes == ()
    assert read(eyes / "OCT", "oct").notes == ()


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


def test_the_content_decides_where_a_name_does_not(folder: Path):
    place = folder / "cxr/normal"
    place.mkdir(parents=True)
    picture = Image.new("L", (4, 4))
    kinds = {
        "a.png": "PNG",
        "b.jfif": "JPEG",
        "c.jpe": "JPEG",
        "d": "PNG",
        "e.gif": "GIF",
        "f.jp2": "JPEG2000",
    }
    for name, kind in (kinds | {"g.avif": "AVIF", "h.scan": "WEBP", "i.1.2": "BMP"}).items():
        picture.save(place / name, kind)
    touch(folder, "cxr/normal/notes.txt", "cxr/.hidden.png", "index.csv")
    manifest = read_image_folder(folder)
    assert [manifest.read_image(row).pixels.shape for row in range(len(manifest))] == [(4, 4, 3)] * 9
    assert manifest.left_out == {"files that are no images": 2, "hidden files and folders": 1}


def test_every_page_and_frame_is_an_image_of_its_files_group(folder: Path):
    (folder / "oct/amd").mkdir(parents=True)
    pages = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (0, 120, 250)]
    pages[0].save(folder / "oct/amd/a.tif", save_all=True, append_images=pages[1:])
    pages[0].save(folder / "oct/amd/b.gif", save_all=True, append_images=pages[1:2])
    pages[0].save(folder / "oct/amd/c.tif")
    manifest = read_image_folder(folder)
    frame = manifest.frame
    assert frame["frame"].tolist() == [0, 1, 2, 0, 1, 0]
    assert frame["case_id"].tolist() == [
        *(f"clinic/oct/amd/a.tif/{page:04d}" for page in range(3)),
        *(f"clinic/oct/amd/b.gif/{page:04d}" for page in range(2)),
        "clinic/oct/amd/c.tif",
    ]
    assert frame["group"].tolist() == [
        f"clinic/oct/amd/{name}" for name in ["a.tif"] * 3 + ["b.gif"] * 2 + ["c.tif"]
    ]
    assert manifest.left_out == {}
    assert [manifest.read_image(row).pixels[0, 0, 0] for row in range(3)] == [0, 120, 250]
    thinned = open_manifest(f"folder:{folder}?every=2")
    assert thinned.frame["frame"].tolist() == [0, 2, 0, 0]
    assert thinned.left_out == {"further frames (every=2)": 2}


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
