"""The command line, as a shell would call it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mermed_core.__main__ import main
from mermed_core.data.phantoms import FINDINGS, draw_phantom


@pytest.fixture
def options(model_folder, collection_folder) -> list[str]:
    return ["--model", str(model_folder), "--collection", str(collection_folder)]


def grey(modality: str) -> np.ndarray:
    return draw_phantom(modality, FINDINGS[modality][0], seed=7).pixels


@pytest.fixture
def write(tmp_path, make_dicom):
    def in_kind(kind: str):
        path = tmp_path / f"image.{kind}"
        if kind == "dcm":
            values = grey("ct")[:, :, 0].astype(np.uint16) * 16
            path.write_bytes(
                make_dicom(values, PatientName="Nobody^Known", WindowCenter=2048, WindowWidth=4096)
            )
        elif kind == "tiff":
            Image.fromarray(grey("ct")[:, :, 0].astype(np.uint16) * 257).save(path)
        else:
            Image.fromarray(grey("ct")).save(path, quality=95)
        return path

    return in_kind


@pytest.mark.parametrize("kind", ["png", "jpg", "tiff", "dcm"])
def test_analyse_prints_one_json_object_with_the_promised_keys(write, capsys, options, kind):
    assert main(["analyse", str(write(kind)), "--json", "--neighbours", "3", *options]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["modality", "known", "gate", "findings", "neighbours", "map", "model"]
    assert next(iter(answer["modality"])) == "ct"
    assert len(answer["neighbours"]) == 3
    assert set(answer["neighbours"][0]) == {"case_id", "similarity", "label", "modality", "source"}
    assert len(answer["map"]) == 2
    assert "Nobody" not in json.dumps(answer)


def test_analyse_prints_lines_for_people(write, capsys, options):
    assert main(["analyse", str(write("dcm")), *options]) == 0
    shown = capsys.readouterr().out
    assert "window" in shown
    assert "modality    ct" in shown
    assert "Research use only" in shown


@pytest.mark.parametrize("as_json", [True, False])
def test_a_refused_file_is_a_sentence_and_exit_code_2(tmp_path, capsys, options, as_json):
    path = tmp_path / "report.png"
    path.write_bytes(b"%PDF-1.7")
    assert main(["analyse", str(path), *options, *(["--json"] if as_json else [])]) == 2
    shown = capsys.readouterr().out
    assert "PDF" in shown
    if as_json:
        assert list(json.loads(shown)) == ["error"]


def test_other_mistakes_are_a_sentence_and_exit_code_1(write, tmp_path, capsys, options):
    path = str(write("png"))
    assert main(["analyse", path, "--modality", "banana", *options]) == 1
    assert main(["analyse", path, "--model", str(tmp_path / "none")]) == 1
    assert main(["analyse", path, *options[:2], "--collection", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().out.count("error: ") == 3


def test_without_the_bundled_collection_analyse_goes_on(write, tmp_path, capsys, options, monkeypatch):
    monkeypatch.setattr("mermed_core.__main__.DEFAULT_COLLECTION", tmp_path / "none")
    assert main(["analyse", str(write("png")), "--json", *options[:2]]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["neighbours"], answer["map"]) == ([], None)


def test_frames_are_chosen_from_1_as_the_notes_count_them(tmp_path, capsys, options):
    path = tmp_path / "frames.tiff"
    pages = [Image.fromarray(grey(key)) for key in ("ct", "fundus")]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    for frame, seen in ((["--frame", "2"], "fundus"), ([], "ct")):
        assert main(["analyse", str(path), *frame, "--json", *options]) == 0
        assert next(iter(json.loads(capsys.readouterr().out)["modality"])) == seen
    for missing in ("3", "0"):
        assert main(["analyse", str(path), "--frame", missing, *options]) == 2
        assert f"There is no frame {missing}; the file has 2." in capsys.readouterr().out


def test_the_doctor_says_what_would_be_loaded(capsys, options):
    assert main(["doctor", *options]) == 0
    shown = capsys.readouterr().out
    assert "torch on" in shown
    assert "'Tiny'" in shown


def test_the_doctor_says_what_is_missing_and_how_to_get_it(tmp_path, capsys, options):
    assert main(["doctor", "--model", str(tmp_path)]) == 1
    assert "MISSING  model" in capsys.readouterr().out
    assert main(["doctor", *options[:2], "--collection", str(tmp_path / "none")]) == 1
    assert "train.build_collection" in capsys.readouterr().out


def test_with_json_every_mistake_is_one_json_object(write, tmp_path, capsys, options):
    path = str(write("png"))
    for wrong in (["--modality", "banana"], ["--model", str(tmp_path)], ["--collection", str(tmp_path)]):
        assert main(["analyse", path, *options, *wrong, "--json"]) == 1
        assert list(json.loads(capsys.readouterr().out)) == ["error"]
    for file in (tmp_path / "none.png", tmp_path):
        assert main(["analyse", str(file), *options, "--json"]) == 2
        assert list(json.loads(capsys.readouterr().out)) == ["error"]


def test_ctrl_c_is_a_word_and_130(write, capsys, options, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mermed_core.inference.predictor.Predictor.analyse", interrupted)
    assert main(["analyse", str(write("png")), *options]) == 130
    assert capsys.readouterr() == ("", "stopped\n")


@pytest.mark.parametrize(
    "module",
    ["mermed_core", "train.pretrain", "train.fit_heads", "train.build_collection", "train.draw_examples"],
)
def test_help_comes_without_the_heavy_libraries(module):
    program = (
        "import runpy, sys\n"
        f"sys.argv = ['{module}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('{module}', run_name='__main__')\n"
        "finally:\n"
        "    assert not {'torch', 'timm', 'gradio'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
