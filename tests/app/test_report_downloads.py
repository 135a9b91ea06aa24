"""Reports over the served page: made on demand, of one visitor's image, and never a file on the server."""

import base64
import io
import json

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from pypdf import PdfReader

from mermed_core.cli import main
from mermed_core.files import ASSETS, BUNDLED_COLLECTION, BUNDLED_MODEL


def test_a_visitor_gets_the_report_on_the_image_that_is_open(address, uploads):
    client = Client(address, verbose=False)
    client.predict(handle_file(ASSETS / "examples" / "ct.png"), "", api_name="/classify")
    made = json.loads(client.predict(None, "", api_name="/report_pdf"))
    assert (made["name"], made["type"]) == ("report.pdf", "application/pdf")
    (page,) = PdfReader(io.BytesIO(base64.b64decode(made["data"]))).pages
    assert "CT (" in page.extract_text()
    said = json.loads(base64.b64decode(json.loads(client.predict(None, "", api_name="/report_json"))["data"]))
    assert next(iter(said["modality"])) == "ct"
    assert [file for file in uploads.rglob("*") if file.is_file() and file.stat().st_size > 0] == []
    assert Client(address, verbose=False).predict(None, "", api_name="/report_pdf") == ""  # another visitor


def test_the_report_of_the_terminal_says_what_that_of_the_page_says(address, tmp_path):
    image, report = ASSETS / "examples" / "fundus.png", tmp_path / "report.json"
    client = Client(address, verbose=False)
    client.predict(handle_file(image), "", api_name="/classify")
    of_page = json.loads(client.predict(None, "", api_name="/report_json"))["data"]
    served = ["--model", str(BUNDLED_MODEL), "--collection", str(BUNDLED_COLLECTION)]
    assert main(["analyse", str(image), "--report", str(report), *served]) == 0
    one, other = json.loads(base64.b64decode(of_page)), json.loads(report.read_text(encoding="utf-8"))
    assert one.pop("created") <= other.pop("created")
    assert one == other
    assert one["heat_map"]["trial"]["said"]
    assert one["second_look"]


def test_a_picture_that_came_in_no_dicom_file_gets_no_dicom_objects(address):
    client = Client(address, verbose=False)
    client.predict(handle_file(ASSETS / "examples" / "ct.png"), "", api_name="/classify")
    with pytest.raises(AppError, match="for images of DICOM files only"):
        client.predict(None, "", api_name="/report_dicom")
