"""Folders that mix DICOM, pictures and ZIP archives: each file is read for what it is."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mermed_core.data.manifest import Manifest
from mermed_core.data.pseudonyms import pseudonym
from mermed_core.data.sources.confined import open_confined
from mermed_core.data.sources.opener import open_manifest
from mermed_core.errors import ManifestError
from mermed_core.modalities import LEFT_OPEN

ASKED = "name it: --modality cxr, or images:FOLDER?modality=cxr"
UNSTATED = f"pictures that lie in no modality's folder ({ASKED})"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ward").mkdir()
    return tmp_path / "ward"


def png(value: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (16, 16), value).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def dicom(make_dicom):
    def made(person: str = "MRN-7", **tags: object) -> bytes:
        stated = {"Modality": "CT", "PatientID": person, "PatientName": "DOE^JANE"}
        return make_dicom(np.full((8, 8), 3, np.uint16), **(stated | tags))

    return made


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def column(manifest: Manifest, name: str) -> dict[str, object]:
    """A column by the end of the file's name."""
    frame = manifest.frame
    members = frame["zip_member"] if "zip_member" in frame else [""] * len(frame)
    files = [member or path for member, path in zip(members, frame["path"], strict=True)]
    return {Path(str(file)).name: value for file, value in zip(files, frame[name], strict=True)}


@pytest.mark.parametrize("read", [open_manifest, open_confined])
def test_each_file_is_read_for_what_it_is(folder, dicom, read):
    write(
        folder,
        {
            "fundus/amd/1.png": png(),
            "fundus/amd/scan": dicom(),
            "fundus/other/2.png": dicom("MRN-8", Modality="US"),
            "skin/more.zip": packed({"more/naevus/3.png": png(), "more/naevus/4.dcm": dicom(Modality="XC")}),
        },
    )
    manifest = read(folder)
    assert column(manifest, "modality") == {
        "1.png": "fundus",
        "scan": "ct",
        "2.png": "ultrasound",
        "3.png": "dermatology",
        "4.dcm": "dermatology",
    }
    groups = column(manifest, "group")
    assert groups["scan"] == groups["4.dcm"] == pseudonym("MRN-7")
    assert groups["2.png"] == pseudonym("MRN-8")
    assert column(manifest, "labels") == {
        "1.png": ["amd"],
        "scan": ["amd"],  # as a picture is called so
        "2.png": None,  # a class that no picture has may be a patient's name
        "3.png": ["naevus"],
        "4.dcm": ["naevus"],
    }
    assert manifest.left_out == {}
    kinds = [manifest.read_image(row).kind for row in range(len(manifest))]
    assert sorted(kinds) == ["DICOM"] * 3 + ["PNG"] * 2


def test_case_ids_tell_the_place_of_pictures_and_nothing_of_dicom_files(folder, dicom):
    write(folder, {"ct/a/1.png": png(), "ct/a/2.dcm": dicom(), "ct/b.zip": packed({"x/3.png": png()})})
    frame = open_manifest(folder).frame
    assert set(frame["case_id"]) == {
        "ward/ct/a/1.png",
        f"ward/{pseudonym('ct/a/2.dcm')}",
        "ward/ct/b.zip/x/3.png",
    }


def test_folders_say_what_a_header_leaves_open(folder, dicom):
    write(
        folder,
        {
            "test/oct/1.png": png(),
            "test/oct/2.dcm": dicom(Modality="OT"),
            "cxr/3.dcm": dicom(Modality="DX"),
            "loose.dcm": dicom(Modality="OT"),
        },
    )
    manifest = open_manifest(folder)
    assert column(manifest, "modality") == {"1.png": "oct", "2.dcm": "oct", "3.dcm": "cxr"}
    assert column(manifest, "split")["2.dcm"] == "test"
    assert sum(manifest.left_out.values()) == 1
    assert column(open_manifest(folder, modality="skin"), "modality")["loose.dcm"] == "dermatology"


def test_pictures_among_dicom_files_need_a_modality(folder, dicom):
    write(folder, {"P1/1.dcm": dicom(), "P1/photo.jpg": png(), "notes.txt": b"nothing"})
    manifest = open_manifest(folder)
    assert len(manifest) == 1
    assert manifest.left_out == {UNSTATED: 1, "files that are no images": 1}
    assert len(open_manifest(folder, modality="ct")) == 2


@pytest.mark.parametrize("name", ["MRN-7", "Doe_Jane", "JANE DOE"])
def test_a_patients_folder_is_no_class_and_its_pictures_are_the_patients(folder, dicom, name):
    write(folder, {f"{name}/s/1.dcm": dicom(), f"{name}/photo.png": png(), "mass/2.png": png()})
    manifest = open_manifest(folder, modality="ct")
    assert column(manifest, "labels") == {"1.dcm": None, "photo.png": None, "2.png": ["mass"]}
    assert column(manifest, "group")["photo.png"] == pseudonym("MRN-7")
    assert name.lower() not in manifest.frame.drop(columns=["path", "image"]).to_csv().lower()


def test_archives_that_cannot_be_read_are_counted_and_named(folder):
    write(
        folder,
        {
            "ct/1.png": png(),
            "ct/cut.zip": packed({"2.png": png()})[:40],
            "ct/deep.zip": packed({"3.png": png(), "within.zip": packed({"4.png": png()})}),
        },
    )
    manifest = open_manifest(folder)
    assert set(column(manifest, "modality")) == {"1.png", "3.png"}
    assert manifest.left_out == {
        "ZIP archives that cannot be opened": 1,
        "ZIP archives within ZIP archives": 1,
    }
    damaged, nested = manifest.notes
    assert damaged.startswith("'ct/cut.zip' is not read: The ZIP archive is damaged")
    assert nested.startswith("'ct/deep.zip/within.zip' is not read")


def test_an_archive_of_other_things_does_not_stop_the_reading(folder):
    write(folder, {"ct/1.png": png(), "backup.zip": packed({"holiday/2.png": png(), "notes.txt": b""})})
    manifest = open_manifest(folder)
    assert list(column(manifest, "modality")) == ["1.png"]
    assert manifest.left_out == {UNSTATED: 1, "files that are no images": 1}


def test_pictures_alone_are_read_as_ever(folder):
    write(folder, {"ct/1.png": png(), "2.png": png()})
    with pytest.raises(ManifestError, match=r"2\.png: it lies in no modality's folder"):
        open_manifest(folder)
    (folder / "2.png").unlink()
    assert open_manifest(folder) == open_manifest(f"folder:{folder}") == open_manifest(f"images:{folder}")


def test_an_archive_alone_is_read_and_says_what_is_missing(folder):
    write(folder, {"all.zip": packed({"all/ct/1.png": png(), "all/oct/2.png": png()})})
    assert column(open_manifest(folder), "modality") == {"1.png": "ct", "2.png": "oct"}
    write(folder, {"all.zip": packed({"1.png": png()})})
    with pytest.raises(ManifestError, match=r"all\.zip/1\.png: it lies in no modality's folder"):
        open_manifest(folder)
    assert len(open_manifest(folder, modality="ct")) == 1


def test_a_stored_manifest_reads_the_same_images(folder, tmp_path):
    write(folder, {"ct/1.png": png(10), "ct/more.zip": packed({"2.png": png(20)})})
    manifest = open_manifest(folder)
    manifest.save(tmp_path / "table.parquet")
    stored = Manifest.load(tmp_path / "table.parquet")
    assert [int(stored.read_image(row).pixels.max()) for row in range(2)] == [10, 20]


def test_frames_in_an_archive_are_one_group(folder, make_dicom):
    clip = make_dicom(np.arange(3, dtype=np.uint8).repeat(64).reshape(3, 8, 8), Modality="US", PatientID="P")
    write(folder, {"clips.zip": packed({"1.dcm": clip})})
    manifest = open_manifest(folder)
    assert manifest.frame["frame"].tolist() == [0, 1, 2]
    assert manifest.frame["group"].tolist() == [pseudonym("P")] * 3
    assert manifest.read_image(2).frame == 2


def test_a_folder_that_is_named_after_a_modality_is_of_it(tmp_path, dicom):
    folder = tmp_path / "Fundus"
    write(folder, {"1.png": png(), "disc/2.png": png(), "train/cup/3.png": png(), "oct/4.png": png()})
    for spec in (folder, f"folder:{folder}"):
        manifest = open_manifest(spec)
        keys = {"1.png": "fundus", "2.png": "fundus", "3.png": "fundus", "4.png": "oct"}
        assert column(manifest, "modality") == keys
        assert column(manifest, "labels") == {
            "1.png": None,
            "2.png": ["disc"],
            "3.png": ["cup"],
            "4.png": None,
        }
        assert column(manifest, "split")["3.png"] == "train"
    write(folder, {"5.dcm": dicom(Modality="OT")})
    assert column(open_confined(folder), "modality")["5.dcm"] == "fundus"


def test_a_modality_that_nothing_states_may_be_left_open(folder, dicom):
    write(folder, {"1.png": png(), "ct/2.png": png(), "mass/3.png": png(), "4.dcm": dicom(Modality="OT")})
    write(folder, {"5.dcm": dicom(Modality="MR"), "6.dcm": dicom()})
    manifest = open_manifest(folder, modality=LEFT_OPEN)
    told = {"1.png": "", "2.png": "ct", "3.png": "", "4.dcm": "", "6.dcm": "ct"}
    assert column(manifest, "modality") == told
    assert column(manifest, "labels")["3.png"] == ["mass"]
    assert manifest.left_out == {"of modality MR": 1}
    assert manifest.without_modality().sum() == 3
    with pytest.raises(ManifestError, match="'' is not a modality"):
        Manifest.from_frame(manifest.frame)


def test_dicom_files_beside_pictures_keep_their_patient(folder, dicom):
    write(folder, {"1.dcm": dicom("P"), "2.dcm": dicom("P"), "3": dicom("Q"), "4.jpg": png()})
    manifest = open_manifest(folder, modality=LEFT_OPEN)
    groups = column(manifest, "group")
    assert groups["1.dcm"] == groups["2.dcm"] == pseudonym("P")
    assert groups["3"] == pseudonym("Q")
