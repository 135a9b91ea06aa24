"""A study from a server that the host names opens like dropped files; without the setting there is none."""

import json
import logging

import gradio as gr
import numpy as np
import pydicom
import pytest
from gradio_client import Client
from pydicom.uid import generate_uid

from app.pages.classify import ClassifyPage
from app.services import Services, load_services
from app.ui import build_app, launch_options
from mermed_core.data.dicomweb import DicomwebServer
from mermed_core.errors import SettingsError
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

STUDY = "1.2.826.0.1"
SECRET = "hush-hush"


@pytest.fixture
def study(ct_file, tmp_path) -> list[bytes]:
    """Three slices of a study, whose headers name a patient."""
    files = []
    for number in range(3):
        dataset = pydicom.dcmread(ct_file)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, f"{STUDY}.1"
        dataset.SOPInstanceUID, dataset.InstanceNumber = generate_uid(), 3 - number
        dataset.save_as(tmp_path / "slice.dcm")
        files.append((tmp_path / "slice.dcm").read_bytes())
    return files


@pytest.fixture
def pacs(scripted_server, study):
    """A server with that study; its patient P has another one too."""
    parts = [b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n" for data in study]
    rows = [
        {"0020000D": {"Value": [uid]}, "00100020": {"Value": ["P"]}, "00080020": {"Value": [date]}}
        | {"00080061": {"Value": ["CT"]}, "00201208": {"Value": [images]}}
        for uid, date, images in ((STUDY, "20240102", 3), ("1.2.826.0.2", "20230102", 1))
    ]

    def answer(handler):
        if handler.path.startswith(f"/web/studies/{STUDY}"):
            kind, body = "multipart/related; boundary=xyz", b"".join(parts) + b"--xyz--"
        else:
            kind = "application/dicom+json"
            body = json.dumps(rows if "PatientID=P" in handler.path else []).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    scripted_server.answer = answer
    return DicomwebServer("Our PACS", f"{scripted_server.url}/web", SECRET)


@pytest.fixture
def served(services, uploads, pacs):
    """The page with that server and another one, and its address."""
    servers = {pacs.name: pacs, "Other": DicomwebServer("Other", "http://127.0.0.1:1")}
    blocks = build_app(Services(services.predictor, dicomweb=servers))
    settings = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})
    _, url, _ = blocks.launch(**launch_options(settings) | {"server_port": None, "prevent_thread_lock": True})
    yield url
    blocks.close()


def test_a_study_is_opened_like_a_dropped_one_and_its_header_is_dropped(services, pacs):
    with gr.Blocks():
        page = ClassifyPage(Services(services.predictor, dicomweb={pacs.name: pacs}), gr.State(None))
    assert page.servers is not None
    shown = page.servers.find(page, pacs.name, STUDY, "")
    query = shown[page.query]
    (stack,) = query.study.stacks
    assert len(stack.pictures) == 3
    assert all(b"Doe" not in picture.data for picture in stack.pictures)
    assert query.image.header_modality == "ct"
    assert shown[page.viewer]["stacks"] == [{"name": "Our PACS", "count": 3, "start": 1}]
    dropped = np.asarray(query.study.read(0, 0).pixels)
    assert dropped.shape == (64, 64, 3)


def test_of_several_studies_of_a_patient_one_is_chosen(services, pacs):
    with gr.Blocks():
        page = ClassifyPage(Services(services.predictor, dicomweb={pacs.name: pacs}), gr.State(None))
    assert page.servers is not None
    shown = page.servers.find(page, pacs.name, "P", "")
    assert page.query not in shown
    assert shown[page.servers.which]["choices"] == [
        ("2024-01-02, CT, 3 images", STUDY),
        ("2023-01-02, CT, 1 image", "1.2.826.0.2"),
    ]
    assert shown[page.notice] == ""
    for name, asked, said in (
        (pacs.name, "nobody", "no study of this accession number"),
        (pacs.name, "*", "names no study"),
        ("https://evil.example", STUDY, "no such server"),
    ):
        shown = page.servers.find(page, name, asked, "")
        assert said in shown[page.notice]
        assert page.query not in shown


def test_while_no_study_is_chosen_of_several_nothing_happens(served, caplog):
    client = Client(served, verbose=False)
    asked = client.predict("Our PACS", "P", "", api_name="/classify_study")
    assert "2024-01-02, CT, 3 images" in str(asked)
    # The list that comes with the choices is empty and has changed.
    client.predict("Our PACS", None, "", api_name="/classify_study_chosen")
    answer = client.predict("Our PACS", STUDY, "", api_name="/classify_study_chosen")
    assert any("CT" in str(each) for each in answer)
    assert "incident" not in caplog.text


def test_over_the_page_nothing_is_logged_and_no_other_address_is_asked(
    served, scripted_server, caplog, capfd, uploads
):
    caplog.set_level(logging.DEBUG, logger="app")
    client = Client(served, verbose=False)
    answer = client.predict("Our PACS", STUDY, "", api_name="/classify_study")
    assert any("CT" in str(each) for each in answer)
    refused = client.predict("Other", STUDY, "", api_name="/classify_study")
    assert any("Other cannot be read" in str(each) for each in refused)
    assert [path for path, _ in scripted_server.asked] == [f"/web/studies/{STUDY}"]
    assert [file for file in uploads.rglob("*") if file.is_file() and file.stat().st_size > 0] == []
    out = capfd.readouterr()
    for said in (caplog.text, out.out, out.err, str(answer)):
        assert SECRET not in said
        assert "Doe^" not in said
    assert STUDY not in caplog.text + out.out + out.err


def test_without_the_setting_there_is_no_field(services):
    blocks = build_app(services)
    assert "classify_study" not in [each.api_name for each in blocks.fns.values()]
    assert "classify-servers" not in [getattr(each, "elem_id", None) for each in blocks.blocks.values()]


def test_wrong_tokens_stop_the_start():
    given = {"MERMED_DICOMWEB": "PACS=https://pacs.example", "MERMED_DICOMWEB_TOKEN": SECRET}
    with pytest.raises(SettingsError, match="MERMED_DICOMWEB_TOKEN") as caught:
        load_services(Settings.from_environment(given))
    assert SECRET not in str(caught.value)
