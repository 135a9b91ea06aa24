"""The DICOM files of a report: valid, of nobody unless a file is passed, and whole after a round trip.

dicom-validator would fetch the standard's text from the network, so it gets the tables that highdicom has:
the modules of each object, the attributes of each module and their types, but neither the conditions of
types 1C and 2C nor enumerated values, nor which attributes a kind of content item has in a document.
Those dciodvfy checks, where it is installed, and highdicom reads the documents' content.
"""

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib.resources import files as files_of
from itertools import chain
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_validator.validator.dicom_info import DicomInfo
from dicom_validator.validator.iod_validator import IODValidator
from dicom_validator.validator.validation_result import Status
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.tag import Tag
from pydicom.uid import ComprehensiveSRStorage, SecondaryCaptureImageStorage

from mermed_core.errors import UnsupportedFormatError
from mermed_core.imaging.overlay import laid_over
from mermed_core.imaging.reader import read_image
from mermed_core.records import RESEARCH_ONLY, Familiarity
from mermed_core.reports.case.case_dicom import CAPTURE, DOCUMENT, render_dicom
from mermed_core.reports.case.dicom_subject import Subject

DCIODVFY = shutil.which("dciodvfy")
ORTHANC = shutil.which("Orthanc")
HERE = Path(__file__).parent


@cache
def standard_tables() -> DicomInfo:
    classes, objects, attributes = (
        json.loads((files_of("highdicom") / "_standard" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("sop_class_iod_map", "iod_module_map", "module_attribute_map")
    )
    modules = {name: _module(rows) for name, rows in attributes.items()}
    content = modules["sr-document-content"]
    modules["sr-document-content"] = {tag: {"name": content[tag]["name"], "type": "3"} for tag in content}
    iods = {
        uid: {
            "title": key,
            "modules": {
                row["key"]: {"ref": row["key"], "use": "M" if row["usage"] == "M" else "U"}
                for row in objects[key]
            },
            "group_macros": {},
        }
        for uid, key in classes.items()
        if key in objects and all(row["key"] in modules for row in objects[key])
    }
    return DicomInfo(_dictionary(attributes), iods, modules)


def _module(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns attributes by tag, those of a sequence's items inside it."""
    module: dict[str, Any] = {}
    for row in rows:
        if tag_for_keyword(row["keyword"]) is None:  # of a repeating group, such as overlays
            continue
        place = module
        for keyword in row["path"]:
            place = place[_tag(keyword)].setdefault("items", {})
        place[_tag(row["keyword"])] = {"name": row["keyword"], "type": row["type"]}
    return module


def _dictionary(attributes: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, str]]:
    keywords = {row["keyword"] for rows in attributes.values() for row in rows}
    return {
        _tag(keyword): {"name": dictionary_description(_known(keyword)), "vr": dictionary_VR(_known(keyword))}
        for keyword in keywords
        if tag_for_keyword(keyword) is not None
    }


def _tag(keyword: str) -> str:
    return str(Tag(_known(keyword))).upper().replace(" ", "")


def _known(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


def patient_file(make_dicom: Any, **elements: Any) -> bytes:
    values = np.random.default_rng(1).integers(0, 4096, (3, 90, 120), dtype=np.uint16)
    uids = {f"{of}InstanceUID": highdicom.UID() for of in ("Study", "Series", "SOP")}
    stated = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.3",
        "Modality": "CT",
        "SpecificCharacterSet": "ISO_IR 100",
        "PatientName": "Müller^Jörg",
        "PatientID": "4711",
        "PatientBirthDate": "19600102",
        "PatientSex": "M",
        "StudyDate": "20260102",
        "StudyTime": "101112",
        "StudyID": "7",
        "AccessionNumber": "A9",
        "ReferringPhysicianName": "Weiß^Änne",
        "PatientComments": "private",
        "InstitutionName": "St. Anna",
        "PatientOrientation": ["R", "F"],
        **uids,
    }
    return make_dicom(values, **(stated | elements))


def read(files: dict[str, bytes]) -> tuple[Dataset, Dataset]:
    capture, document = (pydicom.dcmread(io.BytesIO(files[name])) for name in (CAPTURE, DOCUMENT))
    return capture, document


def faults(dataset: Dataset) -> dict[str, list[str]]:
    result = IODValidator(dataset, standard_tables()).validate()
    found = {
        module: [f"{tag.tag} {error.code.name}" for tag, error in errors.items()]
        for module, errors in (result.module_errors or {}).items()
    }
    assert (result.status is Status.Passed) == (not found)
    return found


@pytest.fixture(params=["nobody", "a file"])
def written(request, make_report, make_dicom) -> dict[str, bytes]:
    subject = None if request.param == "nobody" else Subject.of_file(patient_file(make_dicom))
    return render_dicom(make_report(), subject)


def test_dicom_validator_finds_no_fault(written):
    for dataset in read(written):
        assert faults(dataset) == {}


def test_dicom_validator_would_find_a_fault(make_report):
    capture, document = read(render_dicom(make_report()))
    del capture.ConversionType
    document.CompletionFlag = ""
    document.Rows = 4
    assert faults(capture) == {"sc-equipment": ["(0008,0064) TagMissing"]}
    assert sorted(chain(*faults(document).values())) == [
        "(0028,0010) TagUnexpected",
        "(0040,A491) TagEmpty",
    ]


@pytest.mark.skipif(DCIODVFY is None, reason="dciodvfy (Debian's dicom3tools) is not installed")
def test_dciodvfy_finds_no_fault(written, tmp_path):
    for name, data in written.items():
        (tmp_path / name).write_bytes(data)
        checked = subprocess.run([str(DCIODVFY), str(tmp_path / name)], capture_output=True, text=True)
        assert [line for line in checked.stderr.splitlines() if line.startswith("Error")] == []


def test_without_a_file_nobody_is_named_and_every_uid_is_new(make_report):
    capture, document = read(render_dicom(make_report()))
    again, _ = read(render_dicom(make_report()))
    for dataset in (capture, document):
        for name in (
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyDate",
            "AccessionNumber",
        ):
            assert not dataset[name].value, name
    assert capture.StudyInstanceUID == document.StudyInstanceUID
    uids = {item.get(f"{of}InstanceUID") for item in (capture, again) for of in ("Study", "Series", "SOP")}
    assert len(uids) == 6
    assert capture.SeriesInstanceUID != document.SeriesInstanceUID


def test_a_file_that_is_passed_gives_patient_and_study_and_nothing_else(make_report, make_dicom):
    data = patient_file(make_dicom)
    source = pydicom.dcmread(io.BytesIO(data))
    capture, document = read(render_dicom(make_report(), Subject.of_file(data)))
    for dataset in (capture, document):
        for name in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber"):
            assert dataset[name].value == source[name].value, name
        assert str(dataset.ReferringPhysicianName) == "Weiß^Änne"
        assert dataset.SOPInstanceUID != source.SOPInstanceUID
        assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
        assert "PatientComments" not in dataset
        assert "InstitutionName" not in dataset
    assert list(capture.PatientOrientation) == ["R", "F"]
    (reference,) = capture.SourceImageSequence
    assert (reference.ReferencedSOPInstanceUID, reference.ReferencedFrameNumber) == (source.SOPInstanceUID, 2)
    series = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    referred = {item.ReferencedSOPInstanceUID for each in series for item in each.ReferencedSOPSequence}
    assert referred == {source.SOPInstanceUID, capture.SOPInstanceUID}


def test_a_file_that_names_no_study_is_refused_with_a_sentence(make_dicom):
    with pytest.raises(UnsupportedFormatError, match="StudyInstanceUID is missing"):
        Subject.of_file(patient_file(make_dicom, StudyInstanceUID=None))
    with pytest.raises(UnsupportedFormatError, match="Only a DICOM file"):
        Subject.of_file(b"\x89PNG\r\n\x1a\n" + bytes(200))


def test_the_picture_is_the_overlay_with_words_around_it(make_report):
    report = make_report()
    files = render_dicom(report)
    capture, _ = read(files)
    assert (capture.SOPClassUID, capture.Modality) == (SecondaryCaptureImageStorage, "OT")
    assert list(capture.ImageType) == ["DERIVED", "SECONDARY"]
    assert "RESEARCH USE ONLY" in capture.ImageComments
    assert "Grad-CAM heat map for Malignant" in capture.DerivationDescription
    shown = read_image(files[CAPTURE]).pixels
    assert shown.shape[1] == 512
    hot = laid_over(report.pixels, report.heat.heat).astype(float).mean(axis=(0, 1))
    band = shown.shape[0] - round(90 * 512 / 120)
    assert band > 60  # words above and below
    assert np.abs(shown.astype(float).mean(axis=(0, 1)) - hot).max() < 60
    assert (shown[:40].astype(int) - [255, 196, 0] == 0).all(axis=2).any()  # the warning


def test_the_document_is_preliminary_unverified_and_of_a_device(make_report):
    _, document = read(render_dicom(make_report()))
    assert document.SOPClassUID == ComprehensiveSRStorage
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (document.PreliminaryFlag, document.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    content: Any = highdicom.sr.srread(io.BytesIO(render_dicom(make_report())[DOCUMENT])).content
    (observer,) = content.get_observer_contexts()
    assert observer.observer_type == codes.DCM.Device
    assert observer.observer_identifying_attributes.model_name == "tiny 0123abcd"
    assert "Research use only" in document.SeriesDescription
    texts = [item.TextValue for item in document.ContentSequence if item.ValueType == "TEXT"]
    assert RESEARCH_ONLY in texts
    assert any("Drüsengewebe" in text and "it may read the camera" in text for text in texts)


def test_a_program_reads_probabilities_and_verdicts(make_report):
    data = render_dicom(make_report())
    capture, _ = read(data)
    content: Any = highdicom.sr.srread(io.BytesIO(data[DOCUMENT])).content
    groups = {group.tracking_identifier: group for group in content.get_image_measurement_groups()}
    assert set(groups) == {"image", "colon", "tissue"}
    shares = {item.name.value: item.value for item in groups["colon"].get_measurements()}
    assert shares == {"colon:malignant": 0.93, "colon:benign": 0.07}
    said = {item.name.value: item.value.meaning for item in groups["colon"].get_qualitative_evaluations()}
    assert said == {"verdict": "Likely: Malignant", "generalisation": "Shown to hold"}
    said = {item.name.value: item.value.meaning for item in groups["tissue"].get_qualitative_evaluations()}
    assert said["generalisation"] == "Not shown to hold"
    said = {item.name.value: item.value.value for item in groups["image"].get_qualitative_evaluations()}
    assert said == {
        "familiarity": "familiarity:familiar",
        "modality": "modality:pathology",
        "region": "region:colon",
    }
    (image,) = groups["image"].source_images
    assert image.referenced_sop_instance_uid == capture.SOPInstanceUID


def test_an_image_without_findings_is_reported_too(make_report):
    analysis = replace(make_report().analysis, familiarity=Familiarity.UNKNOWN, region="", findings=())
    report = make_report(analysis=analysis, findings=(), heat=None, heat_class="", cases=())
    capture, document = read(render_dicom(report))
    assert faults(capture) == faults(document) == {}
    assert capture.DerivationDescription == "Not an image the model recognises"


@pytest.mark.slow
def _own_network() -> bool:
    """Returns whether a process may have a network that holds nothing but a loopback device."""
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "--map-root-user", "--net", "true"], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(ORTHANC is None, reason="Orthanc with its DICOMweb plug-in is not installed")
@pytest.mark.skipif(not _own_network(), reason="no network of its own can be had for Orthanc here")
def test_orthanc_gives_back_over_dicomweb_what_was_stored(written, tmp_path):
    (tmp_path / "sent").mkdir()
    for name, data in written.items():
        (tmp_path / "sent" / name).write_bytes(data)
    command = ["unshare", "--map-root-user", "--net", sys.executable, str(HERE / "orthanc_round_trip.py")]
    arguments = [str(tmp_path / "sent"), str(tmp_path / "orthanc")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 0, done.stderr
    came = json.loads(done.stdout.splitlines()[-1])
    name = str(read(written)[0].PatientName)
    assert came == {
        "failed": 0,
        "same": [True, True],
        "found": True,
        "series": 2,
        "rendered": b"\x89PNG".hex(),
        "study": [name],
    }
