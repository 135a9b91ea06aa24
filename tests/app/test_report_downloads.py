"""Reports over the served page: made on demand, of one visitor's image, and never a file on the server."""

import base64
import io
import json

from gradio_client import Client, handle_file
from pypdf import PdfReader

from mermed_core.files import ASSETS


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
