"""Folders that somebody else names: pictures or DICOM in them, nothing that lies outside."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mermed_core.data.sources import confined
from mermed_core.data.sources.confined import open_confined
from mermed_core.errors import ManifestError


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "open" / "ct").mkdir(parents=True)
    Image.new("L", (20, 20), 90).save(tmp_path / "open" / "ct" / "1.png")
    Image.new("L", (20, 20), 30).save(tmp_path / "outside.png")
    return tmp_path / "open"


def test_pictures_are_read_as_from_any_folder(folder):
    manifest = open_confined(folder)
    assert manifest.frame["case_id"].tolist() == ["open/ct/1.png"]
    assert manifest.frame["modality"].tolist() == ["ct"]


def test_dicom_is_known_by_its_content(folder, make_dicom):
    (folder / "ct" / "1.png").unlink()
    (folder / "0001").write_bytes(make_dicom(np.zeros((8, 8), np.uint16), Modality="CT"))
    assert open_confined(folder).frame["modality"].tolist() == ["ct"]


@pytest.mark.parametrize("name", ["2.png", "more"])
def test_a_link_that_leads_out_is_refused(folder, name):
    target = folder.parent / "outside.png" if name == "2.png" else folder.parent
    (folder / "ct" / name).symlink_to(target)
    with pytest.raises(ManifestError, match=f"'ct/{name}' leads out"):
        open_confined(folder)


def test_a_link_within_is_not(folder):
    (folder / "ct" / "2.png").symlink_to(folder / "ct" / "1.png")
    (folder / "link").symlink_to(folder)
    assert len(open_confined(folder, "ct")) == 2


def test_tables_and_what_they_name_are_not_read(folder):
    (folder / "images.csv").write_text(f"image_path,modality\n{folder.parent / 'outside.png'},ct\n")
    assert open_confined(folder).frame["case_id"].tolist() == ["open/ct/1.png"]


def test_too_many_files_are_not_listed(folder, monkeypatch):
    monkeypatch.setattr(confined, "MOST_FILES", 0)
    with pytest.raises(ManifestError, match="more than 0 files"):
        open_confined(folder)
