"""What the files of images are called in the folder of their source."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from mermed_core.data.file_names import with_file_names
from mermed_core.data.sources.opener import open_manifests


@pytest.fixture
def folder(tmp_path):
    """A folder with two pictures, one of them in an archive as well, and a table that names them."""
    random = np.random.default_rng(0)
    for name in ("ct/mass/1.png", "ct/none/2.png"):
        path = tmp_path / "ward" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    rows = ("image_path,modality", "ct/mass/1.png,ct", "./ct/none/2.png,ct", "")
    (tmp_path / "ward" / "table.csv").write_text("\n".join(rows))
    return tmp_path / "ward"


def names(*specs):
    return list(with_file_names(open_manifests(specs), specs).frame["file"])


def test_a_table_and_a_folder_name_files_from_where_they_lie(folder):
    assert names(str(folder / "table.csv")) == ["ct/mass/1.png", "ct/none/2.png"]
    assert names(str(folder)) == ["ct/mass/1.png", "ct/none/2.png"]
    assert names(f"folder:{folder}?modality=ct") == ["ct/mass/1.png", "ct/none/2.png"]


def test_of_several_sources_it_is_the_folder_that_they_are_all_in(folder):
    specs = [f"folder:{folder}/ct/{name}?modality=ct" for name in ("mass", "none")]
    assert names(*specs) == ["mass/1.png", "none/2.png"]


def test_what_lies_in_an_archive_or_a_drawing_has_no_file(folder):
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.write(folder / "ct/mass/1.png", "ct/mass/3.png")
    assert sorted(names(str(folder))) == ["", "ct/mass/1.png", "ct/none/2.png"]
    assert set(names("phantoms:1")) == {""}
