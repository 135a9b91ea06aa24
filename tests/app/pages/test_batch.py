"""Many files on the page: progress after each, a table, CSV; stopped, it keeps what is done."""

import base64
import csv
import io
import json
import zipfile
from pathlib import Path

import gradio as gr
import pytest
from gradio_client import Client, handle_file

from app.components.hyphens import breakable
from app.pages.batch import BatchPage
from app.texts import case_text
from mermed_core.files import ASSETS
from mermed_core.inference.batch import BatchRow

EXAMPLES = ASSETS / "examples"


@pytest.fixture(scope="module")
def page(services) -> BatchPage:
    with gr.Blocks():
        return BatchPage(services)


def copies(folder: Path, *names: str) -> list[str]:
    paths = []
    for name in names:
        (folder / name).write_bytes((EXAMPLES / f"{name.split('_')[0]}.png").read_bytes())
        paths.append(str(folder / name))
    return paths


def test_it_shows_how_far_it_has_come_and_then_the_table(page, tmp_path):
    steps = list(page.run(copies(tmp_path, "ct_1", "fundus_1")))
    said = [step[page.progress] for step in steps]
    assert "0 of 2 files" in said[0]
    assert "1 of 2 files" in said[1]
    assert "a second, about" in said[1]
    assert "2 files done" in said[-1]
    assert steps[0][page.stop]["visible"] is True
    assert steps[-1][page.stop]["visible"] is False
    assert steps[-1][page.download]["visible"] is True
    table = steps[-1][page.table]
    assert table.count("<tr class=") == 2
    assert "Colour fundus" in table
    nearest = [row.analysis.neighbours[0].case for row in steps[-1][page._rows] if row.analysis]
    for case in nearest:
        labels = case_text.labels(page._predictor.collection, case.labels)
        assert f">{breakable(labels)} <small>" in table
    assert table.count("data:image/png") == 2


def test_stopped_it_keeps_what_is_done(page, tmp_path):
    running = page.run(copies(tmp_path, "ct_1", "fundus_1", "oct_1"))
    next(running)
    step = next(running)
    kept = page.stopped(step[page._rows], step[page._pace])
    (last,) = running  # its progress may reach the page after the answer to the press
    assert last[page.progress] == kept[page.progress]
    assert last[page.table] == kept[page.table]
    assert last[page.stop]["visible"] is False
    assert last[page.download]["visible"] is True
    assert "Stopped. 1 of 3 files." in kept[page.progress]
    assert "left" not in kept[page.progress]
    assert kept[page.table].count("<tr class=") == 1
    saved = json.loads(page.save(kept[page._rows]))
    lines = list(csv.DictReader(io.StringIO(base64.b64decode(saved["data"]).decode())))
    assert [line["file"] for line in lines] == ["ct_1"]
    assert lines[0]["modality"] == "ct"
    assert page.save(None) == ""


def test_programs_send_files_and_archives_and_nothing_stays(address, uploads, tmp_path):
    archive, broken, closed = (tmp_path / name for name in ("images.zip", "broken.png", "closed.zip"))
    with zipfile.ZipFile(archive, "w") as file:
        file.write(EXAMPLES / "oct.png", "inner/oct.png")
    broken.write_bytes(b"no image")
    closed.write_bytes(b"PK\x03\x04 and nothing more")
    sent = [handle_file(path) for path in (archive, broken, closed, EXAMPLES / "ct.png")]
    answer = Client(address, verbose=False).predict(sent, api_name="/analyse_many")
    lines = list(csv.DictReader(io.StringIO(answer)))
    assert [line["file"] for line in lines] == ["images.zip/oct.png", "broken.png", "closed.zip", "ct.png"]
    assert [line["modality"] for line in lines] == ["oct", "", "", "ct"]
    assert [line["answer"] for line in lines[1:3]] == ["refused", "refused"]
    assert "zip archive" in lines[2]["notes"]
    assert [file for file in uploads.rglob("*") if file.is_file() and file.stat().st_size > 0] == []


def test_an_archive_that_is_damaged_is_a_sentence(page, tmp_path):
    path = tmp_path / "images.zip"
    path.write_bytes(b"PK\x03\x04 and nothing more")
    (step,) = page.run([str(path)])
    assert "ZIP archive is damaged" in step[page.notice]


def test_why_a_file_was_refused_stands_beside_that_it_was(page):
    html = page._table((BatchRow("a.pdf", None, "This is no image."),))
    assert "Could not be read <small>This is no image.</small>" in html
    assert html.count("This is no image.") == 1
