import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from mermed_core.data.pseudonyms import pseudonym
from mermed_core.data.sources.dicom_tree import MODALITY_OF_TAG, read_dicom_tree
from mermed_core.errors import ManifestError
from mermed_core.modalities import MODALITIES

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"


def write(file: Path, **tags) -> Path:
    """A tiny DICOM image; keyword arguments are tags, None removes one."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(file), {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows, data.Columns, data.BitsAllocated, data.BitsStored, data.HighBit = 2, 2, 8, 8, 7
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.PixelData = np.zeros(4, np.uint8).tobytes()
    data.StudyInstanceUID = "1.2.3"
    for tag, value in ({"Modality": "CT", "PatientID": "MRN-0042"} | tags).items():
        if value is None:
            data.pop(tag, None)
        else:
            setattr(data, tag, value)
    file.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(file, enforce_file_format=True)
    return file


def modalities(folder: Path, modality: str | None = None) -> dict[str, str]:
    frame = read_dicom_tree(folder, modality).frame
    return {Path(path).name: key for path, key in zip(frame["path"], frame["modality"], strict=True)}


def test_every_tag_of_the_table_stands_for_a_modality():
    assert set(MODALITY_OF_TAG.values()) == set(MODALITIES)


def test_tags_become_modalities_and_others_are_counted(tmp_path: Path, caplog):
    for tag in ("CT", "US", "SM", "OP", "OPT", "DMS", "XC", "MR", "OCT", "MG"):
        write(tmp_path / f"{tag}.dcm", Modality=tag)
    with caplog.at_level(logging.INFO):
        found = modalities(tmp_path)
    assert found == {
        "CT.dcm": "ct",
        "US.dcm": "ultrasound",
        "SM.dcm": "pathology",
        "OP.dcm": "fundus",
        "OPT.dcm": "oct",
        "DMS.dcm": "dermatology",
        "XC.dcm": "dermatology",
    }
    assert "7 DICOM images" in caplog.text
    for tag in ("MR", "OCT", "MG"):
        assert f"1 of modality {tag}" in caplog.text


@pytest.mark.parametrize(
    ("tags", "chest"),
    [
        ({"BodyPartExamined": "CHEST"}, True),
        ({"BodyPartExamined": "TSPINE"}, False),
        ({"BodyPartExamined": "HAND", "StudyDescription": "Chest and hand"}, False),
        ({"StudyDescription": "XR THORAX PA"}, True),
        ({"SeriesDescription": "Rx Tórax", "SpecificCharacterSet": "ISO_IR 192"}, True),
        ({"ProtocolName": "thoracic spine lateral, chest stand"}, False),
        ({"StudyDescription": "XR knee"}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("tag", ["CR", "DX"])
def test_an_x_ray_is_a_chest_only_where_it_says_so(tmp_path: Path, tag, tags, chest):
    write(tmp_path / "known.dcm")
    write(tmp_path / "x.dcm", Modality=tag, **tags)
    assert modalities(tmp_path).get("x.dcm") == ("cxr" if chest else None)


def test_the_given_modality_takes_what_leaves_it_open(tmp_path: Path):
    write(tmp_path / "unstated.dcm", Modality="DX")
    write(tmp_path / "hand.dcm", Modality="DX", BodyPartExamined="HAND")
    write(tmp_path / "other.dcm", Modality="OT")
    write(tmp_path / "nothing.dcm", Modality=None)
    write(tmp_path / "mr.dcm", Modality="MR")
    write(tmp_path / "ct.dcm")
    assert modalities(tmp_path) == {"ct.dcm": "ct"}
    assert modalities(tmp_path, "cxr") == {
        "ct.dcm": "ct",
        "unstated.dcm": "cxr",
        "other.dcm": "cxr",
        "nothing.dcm": "cxr",
    }
    assert modalities(tmp_path, "skin") == {
        "ct.dcm": "ct",
        "other.dcm": "dermatology",
        "nothing.dcm": "dermatology",
    }


def test_groups_are_pseudonyms_of_patients_else_of_studies(tmp_path: Path):
    write(tmp_path / "a.dcm", PatientID="MRN-0042")
    write(tmp_path / "b.dcm", PatientID="MRN-0042 ")
    write(tmp_path / "c.dcm", PatientID="")
    write(tmp_path / "d.dcm", PatientID=None, StudyInstanceUID=None)
    frame = read_dicom_tree(tmp_path).frame
    assert frame["group"].tolist()[:3] == [pseudonym("MRN-0042"), pseudonym("MRN-0042"), pseudonym("1.2.3")]
    assert frame["group"].iloc[3] == frame["case_id"].iloc[3]
    assert set(frame["source"]) == {tmp_path.name}


def test_nothing_of_the_patient_is_kept_or_logged(tmp_path: Path, caplog, recwarn):
    secret = "SECRET^NAME"
    tags = {"PatientName": secret, "PatientID": secret, "StudyDescription": secret}
    write(tmp_path / "tree" / secret / "a.dcm", **tags)
    write(tmp_path / "tree" / secret / "b.dcm", Modality="DX", **tags)
    # Letters in an identifier of digits make pydicom warn and quote them.
    broken = write(tmp_path / "tree" / secret / "c.dcm", StudyInstanceUID="1.2.3.4.5.6", **tags)
    broken.write_bytes(broken.read_bytes().replace(b"1.2.3.4.5.6", b"secret^name"))
    with caplog.at_level(logging.DEBUG):
        manifest = read_dicom_tree(tmp_path / "tree")
    assert len(manifest) == 2
    kept = manifest.frame.drop(columns=["path", "image"]).to_csv()
    for text in (kept, caplog.text, *(str(warning.message) for warning in recwarn)):
        assert "secret" not in text.lower()


def test_a_salt_changes_every_pseudonym(monkeypatch):
    plain = pseudonym("MRN-0042")
    assert len(plain) == 16
    monkeypatch.setenv("MERMED_SALT", "of this hospital")
    assert pseudonym("MRN-0042") != plain
    assert pseudonym("MRN-0042") == pseudonym(" MRN-0042")


def test_the_content_decides_whatever_a_file_is_called(tmp_path: Path):
    names = ("IM0001", "x.dcm", "a.dc3", "b.img", "c.CT", "d.dcm.bak", "MR.1.2.3.abc", "e.png", "f.txt")
    for name in names:
        write(tmp_path / name)
    (tmp_path / "no_preamble").write_bytes((tmp_path / "x.dcm").read_bytes()[132:])
    assert set(modalities(tmp_path)) == {*names, "no_preamble"}


def test_whatever_is_not_listed_is_counted(tmp_path: Path):
    write(tmp_path / "a.dcm")
    write(tmp_path / "label.dcm", Modality="SM", ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"])
    write(tmp_path / "many.dcm", NumberOfFrames=5000)
    write(tmp_path / ".hidden.dcm")
    (tmp_path / "notes.txt").write_text("nothing")
    Image.new("L", (2, 2)).save(tmp_path / "thumbnail.dcm", "PNG")
    Image.new("L", (2, 2)).save(tmp_path / "photo", "PNG")
    manifest = read_dicom_tree(tmp_path)
    assert len(manifest) == 1
    assert manifest.left_out == {
        "labels and overviews of slides": 1,
        "files of more than 4096 frames": 1,
        "hidden files and folders": 1,
        "files that are no images": 1,
        "unreadable": 1,
        "pictures that are not DICOM (open the folder without dicom: for them)": 1,
    }


def test_every_frame_is_an_image_in_its_patients_or_studys_group(tmp_path: Path):
    pixels = np.arange(3, dtype=np.uint8).repeat(4)
    for name, tags in (
        ("a", {}),
        ("b", {"PatientID": None}),
        ("c", {"PatientID": "", "StudyInstanceUID": ""}),
    ):
        write(tmp_path / f"{name}.dcm", NumberOfFrames=3, PixelData=pixels.tobytes(), **tags)
    write(tmp_path / "d.dcm")
    manifest = read_dicom_tree(tmp_path)
    frame = manifest.frame
    assert frame["frame"].tolist() == [0, 1, 2] * 3 + [0]
    file = f"{tmp_path.name}/{pseudonym('c.dcm')}"
    groups = [pseudonym("MRN-0042")] * 3 + [pseudonym("1.2.3")] * 3 + [file] * 3 + [pseudonym("MRN-0042")]
    assert frame["group"].tolist() == groups
    assert frame["case_id"].iloc[6:].tolist() == [
        *(f"{file}/{number:04d}" for number in range(3)),
        f"{tmp_path.name}/{pseudonym('d.dcm')}",
    ]
    assert manifest.left_out == {}
    read = [manifest.read_image(row) for row in range(3)]
    assert [(image.frame, image.pixels.max()) for image in read] == [(0, 0), (1, 1), (2, 2)]


def test_a_chest_that_a_code_names(tmp_path: Path):
    region = Dataset()
    region.CodeValue, region.CodeMeaning = "51185008", "Brustraum"
    write(tmp_path / "a.dcm", Modality="DX", AnatomicRegionSequence=[region])
    other = Dataset()
    other.CodeValue, other.CodeMeaning = "85562004", "Hand"
    write(tmp_path / "b.dcm", Modality="DX", AnatomicRegionSequence=[other], StudyDescription="chest")
    assert modalities(tmp_path) == {"a.dcm": "cxr"}


@pytest.mark.parametrize(
    "words", ["TORACE", "POUMON", "BRUSTKORB", "KLATKA PIERSIOWA", "胸部", "грудная клетка"]
)
def test_a_chest_in_other_languages(tmp_path: Path, words):
    write(tmp_path / "a.dcm", Modality="DX", SpecificCharacterSet="ISO_IR 192", StudyDescription=words)
    raw = write(tmp_path / "b.dcm", Modality="DX", BodyPartExamined="X" * len(words.encode()))
    raw.write_bytes(raw.read_bytes().replace(b"X" * len(words.encode()), words.encode()))
    assert modalities(tmp_path) == {"a.dcm": "cxr", "b.dcm": "cxr"}


def test_files_without_a_suffix_are_known_by_their_mark(tmp_path: Path):
    write(tmp_path / "IM000001")
    write(tmp_path / "1.2.840.113")
    (tmp_path / "README").write_text("nothing")
    (tmp_path / "notes.txt").write_text("nothing")
    assert set(modalities(tmp_path)) == {"IM000001", "1.2.840.113"}


def test_broken_files_and_reports_are_counted_not_fatal(tmp_path: Path, caplog):
    write(tmp_path / "a.dcm")
    write(tmp_path / "report.dcm", Modality="SR", Rows=None, Columns=None)
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "letter.dcm").write_bytes(b"%PDF-1.7 " + bytes(range(256)) * 4)
    with caplog.at_level(logging.INFO):
        assert set(modalities(tmp_path)) == {"a.dcm"}
    assert "left out" in caplog.text
    counts = [int(part.split()[0]) for part in caplog.text.split("left out: ")[1].split(", ")]
    assert sum(counts) == 3


def test_a_tree_without_a_known_image_says_what_was_left_out(tmp_path: Path):
    write(tmp_path / "a.dcm", Modality="MR")
    with pytest.raises(ManifestError, match="left out: 1 of modality MR"):
        read_dicom_tree(tmp_path)


def test_pydicoms_own_files():
    frame = read_dicom_tree(TEST_FILES).frame.drop_duplicates("path")
    expected = Counter()
    for path in TEST_FILES.rglob("*"):
        if (
            path.is_file()
            and path.suffix not in (".txt", ".json", ".dump", ".gz", ".icc")
            and path.name != "README"
        ):
            header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            if header.get("Rows") and header.get("Modality") in ("CT", "US"):
                expected[header.Modality] += 1
    # Its only X-rays show the cervical spine.
    assert frame["modality"].value_counts().to_dict() == {"ct": expected["CT"], "ultrasound": expected["US"]}
    assert expected["CT"] == 14
    assert "1CT1" not in frame.drop(columns=["path", "image"]).to_csv()
    assert pseudonym("1CT1") in set(frame["group"])
