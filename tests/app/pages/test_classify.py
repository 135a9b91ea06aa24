import base64
import io
import json
import zipfile
from dataclasses import replace

import gradio as gr
import pydicom
import pytest
from PIL import Image

from app.components.examples import example_names
from app.pages.classify import ClassifyPage
from app.services import Services
from app.study import View
from mermed_core.files import BUNDLED_MODEL
from mermed_core.imaging.checks import concerns
from mermed_core.imaging.frames import Box
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.predictor import Predictor
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.records import RESEARCH_ONLY, Analysis


def built(services: Services) -> ClassifyPage:
    with gr.Blocks():
        return ClassifyPage(services, gr.State(None))


@pytest.fixture(scope="module")
def page(services) -> ClassifyPage:
    return built(services)


def test_there_is_an_example_of_each_modality():
    assert example_names() == sorted(MODALITY_KEYS)


def test_the_picture_of_a_case_is_opened_to_draw_a_region(page, services):
    collection = services.predictor.collection
    case_id = collection.records["case_id"][5]
    shown = page.open_case(case_id, "")
    image = shown[page.query].image
    with Image.open(io.BytesIO(collection.thumbnail(case_id))) as thumbnail:
        assert image.pixels.shape[:2] == thumbnail.size[::-1]
    assert shown[page.viewer]["mode"] == "region"
    assert "Drag a region" in shown[page.notice]
    nearest = services.predictor.similar(shown[page.query].embedding, count=1)
    assert nearest[0].case.case_id == case_id
    refused = page.open_case("nobody", "")
    assert list(refused) == [page.notice]
    assert "no case" in refused[page.notice]


def test_a_region_of_a_fundus_photograph_is_not_said_to_be_cut(page, services):
    whole = page.open_example("fundus", "fundus")[page.query]
    height, width = whole.image.pixels.shape[:2]
    middle = Box(height // 4, width // 4, height // 2, width // 2)
    region = whole.at_view(services.predictor, View(region=middle), "fundus")
    assert "fundus_cut" in concerns(region.image.pixels, "fundus")
    assert "cut off" not in page.show(lambda: region, "fundus")[page.notice]


def test_what_is_not_recognised_is_not_said_to_be_a_cut_fundus(page, services, monkeypatch):
    middle = page.open_example("fundus", "fundus")[page.query].image.pixels[90:230, 90:230]
    image = MedicalImage(middle, 1, 0, "PNG", ())
    query = replace(
        page.open_example("ct", "")[page.query], image=image, embedding=services.predictor.embed(image)
    )
    assert page._wrong(query) == ("fundus_cut",)
    monkeypatch.setattr(Analysis, "in_distribution", False)
    assert page._wrong(query) == ()


@pytest.mark.parametrize("key", MODALITY_KEYS)
def test_every_example_is_recognised_and_gets_its_modality_and_a_finding(page, services, key):
    shown = page.open_example(key, "")
    analysis = services.predictor.analyse(shown[page.query].embedding)
    assert analysis.in_distribution
    assert next(iter(analysis.modality)) == key
    assert shown[page.answer.explained]["value"].startswith(f"phantom_{key}:")
    assert "data-pick" in shown[page.answer.findings]
    assert "data-pick" in shown[page.answer.cases]
    assert [stack["count"] for stack in shown[page.viewer]["stacks"]] == [1]
    assert shown[page.notice] == ""
    assert "mm-base" in shown[page.answer.figure]
    assert "Modality" in shown[page.answer.modality]


def test_an_example_that_does_not_exist_is_a_sentence(page):
    assert "There is no example" in page.open_example("../../etc/passwd", "")[page.notice]


def test_nothing_to_do_changes_nothing(page):
    for shown in (page.open(None, ""), page.change_modality(None, "ct"), page.change_frame(None, 1, "")):
        assert shown == {page.notice: ""}
    assert "Your image appears here" in page.answer.explain(None, "task:label")[page.answer.figure]


def test_a_modality_that_is_set_is_obeyed(page):
    query = page.open_example("fundus", "")[page.query]
    shown = page.change_modality(query, "dermatology")
    assert "set by you" in shown[page.answer.modality]
    assert shown[page.query].embedding.chosen == "dermatology"
    assert "set by you" not in page.change_modality(shown[page.query], "")[page.answer.modality]


def test_without_a_collection_there_are_no_cases():
    page = built(Services(Predictor.load(BUNDLED_MODEL), "Build one."))
    assert "No collection is loaded. Build one." in page.open_example("ct", "")[page.answer.cases]


def test_what_was_shown_is_kept_when_a_file_is_refused(page, tmp_path):
    path = tmp_path / "scan.png"
    path.write_bytes(b"")
    shown = page.open(str(path), "")
    assert "empty" in shown.pop(page.notice)
    assert shown == {}


def test_a_finding_that_the_model_does_not_have_is_a_sentence(page):
    query = page.open_example("ct", "")[page.query]
    with pytest.raises(gr.Error, match="no finding 'nothing:here'"):
        page.answer.explain(query, "nothing:here")


def test_an_upload_that_is_gone_is_a_sentence_without_its_path(page, tmp_path):
    gone = str(tmp_path / "gone.png")
    assert page.analyse(gone) == {"error": "The upload was incomplete. Please send the file again."}
    assert "gone.png" not in page.open(gone, "")[page.notice]


def content(file: str) -> tuple[str, bytes]:
    made = json.loads(file)
    return made["name"], base64.b64decode(made["data"])


def test_a_report_is_made_of_what_is_shown(page):
    shown = page.open_example("fundus", "")
    query, classes = shown[page.query], shown[page.answer.explained]["choices"]
    name, data = content(page.answer.report("pdf", query, classes[1][1], ""))
    assert (name, data[:5]) == ("report.pdf", b"%PDF-")
    name, data = content(page.answer.report("json", query, classes[1][1], "fundus"))
    said = json.loads(data)
    assert said["intended_use"] == RESEARCH_ONLY
    assert f"{said['heat_map']['task']}:{said['heat_map']['label']}" == classes[1][1]
    assert said["modality_set_by_user"] == "fundus"
    assert len(said["neighbours"]) == 8
    assert page.answer.report("pdf", None, None, "") == ""


def test_dicom_files_are_offered_for_dicom_and_name_nobody(page, ct_file):
    picture = page.open_example("ct", "")
    assert [picture[page.answer.downloads[kind]]["visible"] for kind in ("pdf", "json", "dicom")] == [
        True,
        True,
        False,
    ]
    shown = page.open(str(ct_file), "")
    assert shown[page.answer.downloads["dicom"]]["visible"] is True
    _, data = content(
        page.answer.report("dicom", shown[page.query], shown[page.answer.explained]["value"], "")
    )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert sorted(archive.namelist()) == ["heat_map.dcm", "report.dcm"]
        for name in archive.namelist():
            assert not pydicom.dcmread(io.BytesIO(archive.read(name))).PatientName
            assert b"Doe" not in archive.read(name)
