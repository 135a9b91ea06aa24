"""What a DICOMweb server may not do, and that a real one (Orthanc) is read as it should be."""

import json
import logging
import os
import shutil
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from mermed_core.data import dicomweb
from mermed_core.data.dicomweb import DicomwebServer, FoundStudy, dicomweb_servers
from mermed_core.errors import SettingsError, StudyServerError
from mermed_core.imaging.archives import ArchiveLimits
from mermed_core.settings import Settings

STUDY, OTHER = "1.2.826.0.1", "1.2.826.0.2"
SECRET = "hush-hush"
HERE = Path(__file__).parent
KIND = "multipart/related; type=application/dicom; boundary=xyz"


@pytest.fixture
def server(scripted_server) -> DicomwebServer:
    return DicomwebServer("PACS", f"{scripted_server.url}/web", SECRET, ArchiveLimits(5, 100_000), 5.0)


@pytest.fixture
def make_slice(make_dicom):
    def made(study: str = STUDY, level: int = 0) -> bytes:
        return make_dicom(
            np.full((8, 8), level, np.uint16), StudyInstanceUID=study, SOPInstanceUID=generate_uid()
        )

    return made


def packed(*files: bytes) -> bytes:
    parts = [b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n" for data in files]
    return b"".join(parts) + b"--xyz--"


def listed(*studies: dict[str, str]) -> bytes:
    tags = {"study": "0020000D", "accession": "00080050", "patient": "00100020", "date": "00080020"}
    return json.dumps(
        [{tags[name]: {"vr": "LO", "Value": [value]} for name, value in each.items()} for each in studies]
    ).encode()


def test_a_study_is_fetched_with_what_opens_the_server_and_nothing_is_logged(
    server, scripted_server, make_slice, caplog
):
    caplog.set_level(logging.DEBUG)
    files = [make_slice(level=level) for level in range(3)]
    scripted_server.sends(packed(*files), KIND)
    assert server.fetch(FoundStudy(STUDY)) == files
    ((path, headers),) = scripted_server.asked
    assert path == f"/web/studies/{STUDY}"
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Accept"] == 'multipart/related; type="application/dicom"; transfer-syntax=*'
    scripted_server.sends(files[0], "application/dicom")
    assert server.fetch(FoundStudy(STUDY, "1.2.3.4")) == files[:1]
    assert scripted_server.asked[-1][0] == f"/web/studies/{STUDY}/series/1.2.3.4"
    assert caplog.text == ""
    assert SECRET not in repr(server)


def test_a_study_is_found_by_its_accession_number_or_else_its_patient(server, scripted_server):
    rows = {
        "AccessionNumber=A1": listed({"study": STUDY, "accession": "A1", "date": "20240102"}),
        "PatientID=P": listed(
            {"study": STUDY, "patient": "P", "date": "20230102"},
            {"study": OTHER, "patient": "P", "date": "20240102"},
        ),
    }

    def answer(handler):
        body = next((rows[key] for key in rows if key in handler.path), None)
        handler.send_response(204 if body is None else 200)
        handler.send_header("Content-Type", "application/dicom+json")
        handler.send_header("Content-Length", str(len(body or b"")))
        handler.end_headers()
        handler.wfile.write(body or b"")

    scripted_server.answer = answer
    assert server.find(" A1 ") == (FoundStudy(STUDY, date="20240102"),)
    assert [each.study for each in server.find("P")] == [OTHER, STUDY]  # the newest first
    asked = len(scripted_server.asked)
    assert server.find(f"{STUDY}/1.2.3") == (FoundStudy(STUDY, "1.2.3"),)
    assert len(scripted_server.asked) == asked  # an identifier that is unique is not looked up
    with pytest.raises(StudyServerError, match="no study of this accession number"):
        server.find("nobody")


@pytest.mark.parametrize("asked", ["", " ", "*", "Doe*", "A?", "A\\B", "A\nB", "x" * 65])
def test_what_may_mean_everybody_is_not_asked(server, scripted_server, asked):
    with pytest.raises(StudyServerError, match="names no study"):
        server.find(asked)
    assert scripted_server.asked == []


@pytest.mark.parametrize(
    "body",
    [
        listed({"study": STUDY, "accession": "another"}),  # the server did not heed the query
        listed({"study": STUDY}),
        listed({"study": "../../../etc", "accession": "A1"}),
        b'[1, null, {}, {"0020000D": 3}, {"0020000D": {"Value": {}}}]',
        b"{}",
    ],
)
def test_studies_that_were_not_asked_for_are_not_offered(server, scripted_server, body):
    scripted_server.sends(body, "application/dicom+json")
    with pytest.raises(StudyServerError, match="no study"):
        server.find("A1")


@pytest.mark.parametrize("body", [b"not json", b"[" * 100_000])
def test_a_list_that_is_none_is_a_sentence(server, scripted_server, body):
    scripted_server.sends(body, "application/dicom+json")
    with pytest.raises(StudyServerError, match="something else"):
        server.find("A1")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "refuses"),
        (403, "refuses"),
        (404, "no such study"),
        (410, "no such study"),
        (204, "no such study"),
        (500, "answers 500"),
        (206, "answers 206"),
    ],
)
def test_what_a_server_answers_is_a_sentence_without_secrets(server, scripted_server, status, said):
    scripted_server.sends(SECRET.encode() if status != 204 else b"", "text/plain", status)
    with pytest.raises(StudyServerError, match=said) as caught:
        server.fetch(FoundStudy(STUDY))
    assert SECRET not in str(caught.value)
    assert STUDY not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_not_followed(server, scripted_server, status):
    scripted_server.sends(b"", "text/plain", status, Location=f"{scripted_server.url}/elsewhere")
    with pytest.raises(StudyServerError, match="leads to another address"):
        server.fetch(FoundStudy(STUDY))
    assert len(scripted_server.asked) == 1


@pytest.mark.parametrize("stated", [True, False])
def test_an_endless_body_is_ended(server, scripted_server, stated):
    sent = []

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", KIND)
        if stated:
            handler.send_header("Content-Length", "1000000000000")
        handler.end_headers()
        while not scripted_server.over.is_set():
            sent.append(handler.wfile.write(bytes(10_000)))

    scripted_server.answer = answer
    with pytest.raises(StudyServerError, match="more than 5 images or 0 MB"):
        server.fetch(FoundStudy(STUDY))
    assert sum(sent) < 100_000_000


def test_more_images_than_are_opened_are_refused(server, scripted_server, make_slice):
    scripted_server.sends(packed(*[make_slice()] * 6), KIND)
    with pytest.raises(StudyServerError, match="more than 5 images"):
        server.fetch(FoundStudy(STUDY))


@pytest.mark.parametrize("begun", [True, False])
def test_a_server_that_keeps_a_visitor_waiting_is_cut_off(scripted_server, begun):
    def answer(handler):
        if begun:
            handler.send_response(200)
            handler.send_header("Content-Type", KIND)
            handler.end_headers()
            handler.wfile.write(b"--xyz\r\n")
        scripted_server.over.wait(30)

    scripted_server.answer = answer
    with pytest.raises(StudyServerError, match=r"more than 0\.2 s"):
        DicomwebServer("PACS", scripted_server.url, seconds=0.2).fetch(FoundStudy(STUDY))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>sign in</html>", "text/html"),
        (b"x", "multipart/related"),
        (b"x", "multipart/related; boundary=" + "x" * 300),
        (packed(b"no image at all"), KIND),
        (packed(b""), KIND),
        (b"GIF89a", "application/dicom"),
    ],
)
def test_what_is_no_study_is_refused(server, scripted_server, body, kind):
    scripted_server.sends(body, kind)
    with pytest.raises(StudyServerError, match="something else"):
        server.fetch(FoundStudy(STUDY))


def test_a_body_that_is_packed_or_breaks_off_is_refused(server, scripted_server, make_slice):
    body = packed(make_slice())
    scripted_server.sends(body, KIND, **{"Content-Encoding": "gzip"})
    with pytest.raises(StudyServerError, match="something else"):
        server.fetch(FoundStudy(STUDY))
    scripted_server.sends(body[:-10], KIND)
    with pytest.raises(StudyServerError, match="broke off"):
        server.fetch(FoundStudy(STUDY))
    scripted_server.sends(body, KIND, **{"Content-Length": str(len(body) + 5)})
    with pytest.raises(StudyServerError, match=r"broke off|cannot be read"):
        server.fetch(FoundStudy(STUDY))
    scripted_server.sends(packed(), KIND)
    with pytest.raises(StudyServerError, match="no such study"):
        server.fetch(FoundStudy(STUDY))


def test_images_of_another_study_are_not_shown(server, scripted_server, make_slice):
    scripted_server.sends(packed(make_slice(), make_slice(OTHER)), KIND)
    with pytest.raises(StudyServerError, match="another study"):
        server.fetch(FoundStudy(STUDY))


def test_a_server_that_is_not_there_or_not_trusted_is_a_sentence(scripted_server):
    encrypted = DicomwebServer("PACS", scripted_server.url.replace("http:", "https:"), SECRET, seconds=5.0)
    with pytest.raises(StudyServerError, match="cannot be read"):
        encrypted.fetch(FoundStudy(STUDY))
    assert scripted_server.asked == []
    with pytest.raises(StudyServerError, match="cannot be read: the connection failed"):
        DicomwebServer("PACS", "http://127.0.0.1:1").fetch(FoundStudy(STUDY))


@pytest.fixture
def encrypted_server(scripted_server, tmp_path):
    """A server with a certificate that it signed itself, and that certificate."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with type(scripted_server)() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server, certificate
        server.shutdown()
        thread.join()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_is_trusted_only_where_the_host_vouches_for_it(
    encrypted_server, make_slice, monkeypatch
):
    server, certificate = encrypted_server
    data = make_slice()
    server.sends(packed(data), KIND)
    asked = DicomwebServer("PACS", server.url.replace("http:", "https:"), SECRET, seconds=10.0)
    with pytest.raises(StudyServerError, match="certificate is not trusted"):
        asked.fetch(FoundStudy(STUDY))
    assert server.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert asked.fetch(FoundStudy(STUDY)) == [data]
    elsewhere = DicomwebServer("PACS", asked.root.replace("127.0.0.1", "localhost"), SECRET, seconds=10.0)
    with pytest.raises(StudyServerError, match="certificate is not trusted"):
        elsewhere.fetch(FoundStudy(STUDY))


def test_no_proxy_is_asked(server, scripted_server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    scripted_server.sends(b"", "text/plain", 404)
    with pytest.raises(StudyServerError, match="no such study"):
        server.fetch(FoundStudy(STUDY))


def settings(**variables: str) -> Settings:
    return Settings.from_environment({f"MERMED_{name}": value for name, value in variables.items()})


def test_servers_and_what_opens_them_come_from_the_settings():
    given = settings(
        DICOMWEB="PACS=https://pacs.example/web/, Old one=http://localhost:8042/dicom-web",
        DICOMWEB_TOKEN="Old one=me:pass=word,PACS=abc==",
    )
    servers = dicomweb_servers(given)
    assert {name: (each.root, each.login) for name, each in servers.items()} == {
        "PACS": ("https://pacs.example/web", "abc=="),
        "Old one": ("http://localhost:8042/dicom-web", "me:pass=word"),
    }
    assert "abc" not in repr(given)
    assert dicomweb_servers(settings()) == {}
    assert dicomweb._authorization("me:pw") == "Basic bWU6cHc="


@pytest.mark.parametrize(
    "value",
    [
        "https://pacs.example",
        "PACS=http://pacs.example",
        "PACS=https://",
        "PACS=ftp://x",
        "=https://x",
        "P,A=https://x",
        "PACS=https://x:port",
        "PACS=https://x/?a=b",
        "PACS=https://x#y",
        "A=https://x,A=https://y",
        "PACS=file:///etc/passwd",
    ],
)
def test_an_address_that_cannot_be_used_is_refused(value):
    with pytest.raises(SettingsError, match="MERMED_DICOMWEB is"):
        settings(DICOMWEB=value)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(SettingsError, match="neither user, password") as caught:
        settings(DICOMWEB=f"PACS=https://me:{SECRET}@pacs.example")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "tokens", [SECRET, f"Other={SECRET}", f"PACS={SECRET},PACS=x", "PACS=", f"PACS={SECRET}\tü"]
)
def test_tokens_that_cannot_be_read_are_not_repeated(tokens):
    with pytest.raises(SettingsError, match=r"MERMED_DICOMWEB_TOKEN cannot be read.*\(PACS\)") as caught:
        dicomweb_servers(settings(DICOMWEB="PACS=https://pacs.example", DICOMWEB_TOKEN=tokens))
    assert SECRET not in str(caught.value)


def _own_network() -> bool:
    """Returns whether a process may have a network that holds nothing but a loopback device."""
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "--map-root-user", "--net", "true"], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(
    shutil.which("Orthanc") is None, reason="Orthanc with its DICOMweb plug-in is not installed"
)
@pytest.mark.skipif(not _own_network(), reason="no network of its own can be had for Orthanc here")
@pytest.mark.slow
def test_orthanc_is_searched_and_read(tmp_path):
    command = ["unshare", "--map-root-user", "--net", sys.executable, str(HERE / "orthanc_reads.py")]
    done = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "by_accession": ["1.2.826.0.1"],
        "by_patient": ["1.2.826.0.2", "1.2.826.0.1"],
        "told": ["20240102", ["CT"], 3],
        "same_pixels": True,
        "syntaxes": ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"],
        "one_series": 1,
        "missing": "Orthanc has no study of this accession number or patient.",
        "no_such_study": "Orthanc has no such study, or no images of it.",
    }
