"""`mermed analyse`: one answer for people, one for programs."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pypdf import PdfReader

from mermed_core.cli import analyse, main
from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.inference.predictor import Predictor
from mermed_core.records import RESEARCH_ONLY, Analysis, Familiarity, Finding

KEYS = [
    "modality",
    "familiarity",
    "in_distribution",
    "region",
    "region_probability",
    "reason",
    "findings",
    "neighbours",
    "map",
    "model",
    "notes",
    "header_modality",
]


@pytest.fixture
def options(model_folder, collection_folder) -> list[str]:
    return ["--model", str(model_folder), "--collection", str(collection_folder)]


def grey(modality: str) -> np.ndarray:
    return draw_phantom(modality, FINDINGS[modality][0], seed=7).pixels


@pytest.fixture
def write(tmp_path, make_dicom):
    def in_kind(kind: str, **elements: object):
        path = tmp_path / f"image.{kind}"
        if kind == "dcm":
            values = grey("ct")[:, :, 0].astype(np.uint16) * 16
            window = {"WindowCenter": 2048, "WindowWidth": 4096}
            path.write_bytes(make_dicom(values, PatientName="Nobody^Known", **window, **elements))
        elif kind == "tiff":
            Image.fromarray(grey("ct")[:, :, 0].astype(np.uint16) * 257).save(path)
        else:
            Image.fromarray(grey("ct")).save(path, quality=95)
        return path

    return in_kind


@pytest.mark.parametrize("kind", ["png", "jpg", "tiff", "dcm"])
def test_the_json_object_has_the_promised_keys(write, capsys, options, kind):
    assert main(["analyse", str(write(kind)), "--json", "--neighbours", "3", *options]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == KEYS
    assert next(iter(answer["modality"])) == "ct"
    assert len(answer["neighbours"]) == 3
    assert set(answer["neighbours"][0]) == {"case_id", "similarity", "label", "modality", "source"}
    assert len(answer["map"]) == 2
    assert "Nobody" not in json.dumps(answer)


def test_notes_and_the_headers_modality_are_in_the_json(write, capsys, options):
    assert main(["analyse", str(write("dcm", Modality="CT")), "--json", *options]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["header_modality"] == "ct"
    assert any("window" in note for note in answer["notes"])


def test_people_get_lines_with_the_notes(write, capsys, options):
    assert main(["analyse", str(write("dcm", Modality="CT")), *options]) == 0
    shown = capsys.readouterr().out
    assert "window" in shown.splitlines()[0]
    assert "modality    ct" in shown
    assert "header" not in shown
    assert shown.endswith(RESEARCH_ONLY + "\n")


def test_a_header_that_contradicts_the_model_is_a_line(write, capsys, options):
    assert main(["analyse", str(write("dcm", Modality="US")), *options]) == 0
    assert "CHECK       the DICOM header says ultrasound, the model sees ct" in capsys.readouterr().out
    assert main(["analyse", str(write("dcm", Modality="MR")), *options]) == 0
    assert (
        "the DICOM header says MR, the model sees ct; that is none of the seven kinds"
        in capsys.readouterr().out
    )


def analysis(familiarity: Familiarity, *found: Finding, region: str = "") -> Analysis:
    return Analysis({"ct": 0.9, "cxr": 0.1}, familiarity, "Why.", found, (), None, "tiny", region=region)


def test_each_degree_of_familiarity_has_its_line():
    unlike = analyse.lines(analysis(Familiarity.UNLIKE, region="abdomen"), "ct")
    assert "recognised  ONLY THE MODALITY, no findings: Why." in unlike
    assert "region      abdomen (<1%)" in unlike
    for degree, line in ((Familiarity.FAMILIAR, "yes: Why."), (Familiarity.UNKNOWN, "NO: Why.")):
        assert f"recognised  {line}" in analyse.lines(analysis(degree), "ct")


def test_findings_that_do_not_hold_elsewhere_carry_a_caution_once_for_the_set():
    found = [Finding("lung", "mass", 0.9), Finding("lung", "normal", 0.1)]
    shown = "\n".join(analyse.lines(analysis(Familiarity.FAMILIAR, *found), "ct"))
    assert shown.count("CAUTION     lung: learned in one hospital's images") == 1
    held = Finding("lung", "mass", 0.9, elsewhere=0.84)
    shown = "\n".join(analyse.lines(analysis(Familiarity.FAMILIAR, held, found[1]), "ct"))
    assert "finding     lung: mass 90%, possible (AUROC elsewhere 0.84)" in shown
    assert "CAUTION     lung (normal): learned" in shown
    assert "CAUTION" not in "\n".join(analyse.lines(analysis(Familiarity.FAMILIAR, held), "ct"))


def test_a_modality_that_is_given_is_taken(write, capsys, options):
    assert main(["analyse", str(write("png")), "--modality", "Chest X-ray", *options]) == 0
    shown = capsys.readouterr().out
    assert "; taken as cxr" in shown
    assert "finding     phantom_ct" not in shown


@pytest.mark.parametrize("as_json", [True, False])
def test_a_refused_file_is_a_sentence_and_exit_code_2(tmp_path, capsys, options, as_json):
    path = tmp_path / "report.png"
    path.write_bytes(b"%PDF-1.7")
    assert main(["analyse", str(path), *options, *(["--json"] if as_json else [])]) == 2
    output = capsys.readouterr()
    assert "PDF" in (json.loads(output.out)["error"] if as_json else output.err)
    assert "" in (output.err, output.out)


@pytest.mark.parametrize("as_json", [True, False])
def test_other_mistakes_have_their_codes(write, tmp_path, capsys, options, as_json):
    path = str(write("png"))
    json_option = ["--json"] if as_json else []
    for wrong, code in (
        (["--modality", "banana"], 2),
        (["--model", str(tmp_path)], 1),
        (["--collection", str(tmp_path)], 1),
    ):
        assert main(["analyse", path, *options, *wrong, *json_option]) == code
        output = capsys.readouterr()
        assert (list(json.loads(output.out)) == ["error"]) if as_json else output.err.startswith("error: ")
    for file in (tmp_path / "none.png", tmp_path):
        assert main(["analyse", str(file), *options]) == 2


def test_another_models_bundled_collection_is_not_used(write, capsys, options):
    assert main(["analyse", str(write("png")), "--json", *options[:2]]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["neighbours"], answer["map"]) == ([], None)


def test_the_environment_names_model_and_collection(write, capsys, options, monkeypatch):
    monkeypatch.setenv("MERMED_MODEL", options[1])
    monkeypatch.setenv("MERMED_COLLECTION", options[3])
    assert main(["analyse", str(write("png")), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"].startswith("tiny ")


def test_frames_are_chosen_from_1_as_the_notes_count_them(tmp_path, capsys, options, error_of):
    path = tmp_path / "frames.tiff"
    pages = [Image.fromarray(grey(key)) for key in ("ct", "fundus")]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    for frame, seen in ((["--frame", "2"], "fundus"), ([], "ct")):
        assert main(["analyse", str(path), *frame, "--json", *options]) == 0
        assert next(iter(json.loads(capsys.readouterr().out)["modality"])) == seen
    assert error_of("analyse", path, "--frame", "3", *options) == (
        2,
        "There is no frame 3; the file has 2. Choose one from 1 to 2.",
    )
    assert error_of("analyse", path, "--frame", "0", *options)[0] == 2


def test_reports_and_dicom_files_are_written_where_they_are_asked_for(write, tmp_path, capsys, options):
    path, out = write("dcm"), tmp_path / "out"
    wanted = [
        "--report",
        str(out / "a.pdf"),
        "--report",
        str(out / "a.json"),
        "--dicom-out",
        str(out / "dicom"),
    ]
    assert main(["analyse", str(path), *wanted, "--modality", "ct", *options]) == 0
    assert "recognised" in capsys.readouterr().out
    (page,) = PdfReader(out / "a.pdf").pages
    assert RESEARCH_ONLY in " ".join(page.extract_text().split())
    said = json.loads((out / "a.json").read_text(encoding="utf-8"))
    assert set(KEYS) <= said.keys()
    assert said["modality_set_by_user"] == "ct"
    assert said["finding_sets"][0]["lines"]
    for name in ("heat_map.dcm", "report.dcm"):
        dataset = pydicom.dcmread(out / "dicom" / name)
        assert not dataset.PatientName
    assert b"Nobody^Known" not in b"".join(file.read_bytes() for file in out.rglob("*") if file.is_file())


def test_the_files_patient_and_study_are_named_only_where_that_is_asked_for(
    write, tmp_path, options, error_of
):
    uids = {f"{of}InstanceUID": f"2.25.{n}" for n, of in enumerate(("Study", "Series", "SOP"), 7)}
    path = write("dcm", SOPClassUID="1.2.840.10008.5.1.4.1.1.2", **uids)
    out = tmp_path / "dicom"
    assert main(["analyse", str(path), "--dicom-out", str(out), "--same-study", *options]) == 0
    for name in ("heat_map.dcm", "report.dcm"):
        dataset = pydicom.dcmread(out / name)
        assert (str(dataset.PatientName), dataset.StudyInstanceUID) == ("Nobody^Known", "2.25.7")
    code, sentence = error_of("analyse", path, "--same-study", *options)
    assert (code, sentence) == (2, "--same-study says what --dicom-out FOLDER writes; give both.")
    code, sentence = error_of("analyse", write("png"), "--dicom-out", out, "--same-study", *options)
    assert code == 2
    assert "Only a DICOM file names a patient" in sentence
    code, sentence = error_of("analyse", write("png"), "--dicom-out", out / "none", *options)
    assert (code, (out / "none").exists()) == (2, False)
    assert "for images of DICOM files only" in sentence
    assert error_of("analyse", path, "--report", "report.docx", *options)[0] == 2


def test_a_folder_becomes_a_table(tmp_path, write, options, capsys, error_of):
    folder, out = tmp_path / "many", tmp_path / "answers.csv"
    folder.mkdir()
    write("png").rename(folder / "one.png")
    (folder / "notes.txt").write_text("no image")
    assert main(["analyse", str(folder), "--csv", str(out), *options]) == 0
    table = pd.read_csv(out)
    assert list(table["file"]) == ["notes.txt", "one.png"]
    assert table["answer"][0] == "refused"
    assert "2 of 2 files" in capsys.readouterr().out
    code, said = error_of("analyse", tmp_path / "none", "--csv", out, *options)
    assert code == 2
    assert "There is no file or folder" in said
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(folder / "one.png", "one.png")
    for many in (folder, archive):
        assert error_of("analyse", many, *options) == (
            2,
            f"'{many}' holds many files. Name one image, or let --csv FILE write a table of all.",
        )


def test_a_table_that_is_stopped_keeps_what_is_done(tmp_path, write, options, monkeypatch, capsys):
    folder, out = tmp_path / "many", tmp_path / "answers.csv"
    folder.mkdir()
    write("png").rename(folder / "a.png")
    write("png").rename(folder / "b.png")
    read = Predictor.read

    def stopped(self: Predictor, source: Path, *rest: Any):
        if source.name == "b.png":
            raise KeyboardInterrupt
        return read(self, source, *rest)

    monkeypatch.setattr(Predictor, "read", stopped)
    assert main(["analyse", str(folder), "--csv", str(out), *options]) == 130
    assert list(pd.read_csv(out)["file"]) == ["a.png"]
    assert "1 of 2 files" in capsys.readouterr().out
