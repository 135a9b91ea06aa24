"""The page in German: built, answered and served beside the English one, each to its own visitors."""

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx2
import pydicom
import pytest
from gradio_client import Client, handle_file
from pypdf import PdfReader

from app.components.header import language_links
from app.services import Services
from app.ui import build_app, build_pages, launch_options
from mermed_core.languages.catalogue import add_languages
from mermed_core.settings import Settings

SETTINGS = Settings.from_environment({})


@pytest.fixture(scope="module")
def page(services: Services, uploads) -> Iterator[str]:
    """An English page with the German one beside it."""
    english, german = build_pages(services, "en")
    options = launch_options(SETTINGS) | {"server_port": None, "prevent_thread_lock": True}
    _, url, _ = english.launch([german], **options)
    yield url
    english.close()


@pytest.fixture
def elvish(tmp_path) -> Iterator[None]:
    """A third language from a host's folder: a few sentences, one of them without words yet."""
    head = 'name = "Eldarin"\ndecimal = "·"\nthousands = " "\npercent = " %"\nnouns_are_capital = false\n'
    tables = '[sentences.text]\n"Classify" = "Tir"\n"Explore" = ""\n'
    (tmp_path / "qya.toml").write_text(head + tables, encoding="utf-8")
    add_languages(tmp_path)
    yield
    add_languages(None)


@pytest.mark.usefixtures("elvish", "uploads")
def test_a_language_of_the_hosts_own_is_served_beside_the_others(services):
    english, *others = build_pages(services, "en")
    assert [page.language for page in others] == ["de", "qya"]
    assert {"Tir", "Explore"} <= labels(others[1])
    options = launch_options(SETTINGS) | {"server_port": None, "prevent_thread_lock": True}
    _, url, _ = english.launch(others, **options)
    try:
        answer = httpx2.get(f"{url}qya/")
        assert answer.headers["Content-Language"] == "qya"
        assert "Tir" in answer.text
        assert "Eldarin" in httpx2.get(url).text
    finally:
        english.close()


@pytest.mark.usefixtures("uploads")
def test_the_host_rewords_the_english_page_in_one_file(services, tmp_path):
    head = 'name = "English"\ndecimal = "."\nthousands = ","\npercent = "%"\nnouns_are_capital = false\n'
    page = '[sentences.text]\n"Classify" = "Read an image"\n"Explore" = ""\n'
    (tmp_path / "en.toml").write_text(
        f'{head}{page}[sentences.names]\n"Skin" = "Dermoscopy"\n', encoding="utf-8"
    )
    add_languages(tmp_path)
    try:
        page = build_app(services, "en")
        assert {"Read an image", "Explore"} <= labels(page)
        assert "Classify" not in labels(page)
        assert "Dermoscopy" in str(page.get_config_file()["components"])
    finally:
        add_languages(None)
    assert "Classify" in labels(build_app(services, "en"))


def labels(blocks: Any) -> set[str]:
    return {str(part["props"].get("label")) for part in blocks.get_config_file()["components"]}


def test_every_label_of_the_page_is_in_its_language(services):
    english, german = (labels(build_app(services, code)) for code in ("en", "de"))
    assert {"Classify", "Modality", "Explore"} <= english
    assert {"Klassifizieren", "Modalität", "Erkunden"} <= german
    assert not german & {
        "Classify",
        "Modality",
        "Explore",
        "Source",
        "Colour by",
        "Drop files or ZIP archives",
    }


def test_each_page_says_its_language_and_leads_to_the_other(page):
    for address, code, other in ((page, "en", "de/"), (f"{page}de/", "de", "../")):
        answer = httpx2.get(address)
        assert answer.headers["Content-Language"] == code
        assert f'lang="{code}"' in answer.text.partition("<body")[0]
        assert f'href=\\"{other}\\"' in answer.text


def test_links_are_relative_to_the_page_that_they_are_on():
    (down,), (up,) = (language_links(code, ("de", "en")) for code in ("de", "en"))
    assert (down.code, down.name, down.address) == ("en", "English", "en/")
    assert (up.code, up.name, up.address) == ("de", "Deutsch", "../")
    assert language_links("en", ()) == []


def test_an_answer_is_in_the_language_of_the_page(page, ct_file):
    said = {}
    for code, address in (("en", page), ("de", f"{page}de/")):
        client = Client(address, verbose=False)
        said[code] = json.dumps(client.predict(handle_file(ct_file), "", api_name="/classify"))
    assert "window" in said["en"]
    assert "Fenster" not in said["en"]
    assert "Gezeigt durch das eigene Fenster der Datei (Zentrum 40, Breite 400" in said["de"]


def test_a_file_that_is_refused_is_refused_in_german(page, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    client = Client(f"{page}de/", verbose=False)
    said = json.dumps(client.predict(handle_file(broken), "", api_name="/classify"), ensure_ascii=False)
    assert "ist beschädigt, abgeschnitten oder von seltener Art. Exportieren oder senden" in said


def test_the_addresses_beside_gradio_answer_in_their_page_s_language(page):
    answers = [httpx2.get(f"{page}{where}explore-data/facts/0").json() for where in ("", "de/")]
    english, german = ({group["name"] for group in answer["groups"]} for answer in answers)
    assert "Chest X-ray" in english
    assert "Röntgen-Thorax" in german


def test_reports_are_in_german_and_dicom_in_english(page, ct_file):
    client = Client(f"{page}de/", verbose=False)
    client.predict(handle_file(ct_file), "ct", api_name="/classify")
    made = {
        kind: json.loads(client.predict(None, "ct", api_name=f"/report_{kind}")) for kind in ("pdf", "dicom")
    }
    files = {kind: io.BytesIO(base64.b64decode(file["data"])) for kind, file in made.items()}
    (sheet,) = PdfReader(files["pdf"]).pages
    assert "Bericht über ein Bild" in sheet.extract_text()
    assert "Kein Medizinprodukt" in sheet.extract_text()
    with zipfile.ZipFile(files["dicom"]) as archive:
        texts = [str(pydicom.dcmread(io.BytesIO(archive.read(name)))) for name in archive.namelist()]
    assert any("Research use only" in text for text in texts)
    assert not any("Forschungszwecken" in text or "festgelegt" in text for text in texts)
