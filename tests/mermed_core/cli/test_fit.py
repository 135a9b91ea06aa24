"""Fitting makes an encoder a model that answers, and a kill leaves the model as it was."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest

from mermed_core.cli import main
from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.predictor import Predictor


def test_it_makes_an_encoder_a_model_that_answers(encoder, tmp_path):
    out = tmp_path / "model"
    assert main(["fit", "--model", str(encoder), "--data", "phantoms:20", "--out", str(out)]) == 0
    predictor = Predictor.load(out)
    assert len(predictor.tasks) == 7
    assert "Research use only" in predictor.card
    assert {metrics.title.split()[0] for metrics in predictor.metrics.tasks.values()} == {"Synthetic"}
    assert predictor.metrics.model.modality_accuracy is not None
    assert predictor.metrics.model.mean_auroc is None  # that comes from an evaluation
    pixels = draw_phantom("fundus", FINDINGS["fundus"][0], seed=1).pixels
    assert len(predictor.analyse(MedicalImage(pixels, 1, 0, "PNG", ())).modality) == 7
    assert sorted(path.name for path in encoder.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.timeout(120)
def test_killed_while_it_writes_into_the_model_the_previous_heads_stay(model_folder, tmp_path):
    model = shutil.copytree(model_folder, tmp_path / "model")
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    program = textwrap.dedent(f"""
        import time
        import mermed_core.models.ood as ood
        from mermed_core.cli import main
        save = ood.save_detector
        def stop(folder, value):
            save(folder, value)
            print("written", flush=True)
            time.sleep(60)
        ood.save_detector = stop
        main(["fit", "--model", {str(model)!r}, "--data", "phantoms:10@5"])
    """)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGKILL)
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before
    assert Predictor.load(model).tasks


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "No such file"), ("[a\n", "TOML"), ('busi = "title"\n', "[busi]")]
)
def test_facts_that_cannot_be_read_are_refused_before_the_work(encoder, tmp_path, error_of, content, problem):
    table = tmp_path / "facts.toml"
    if content is not None:
        table.write_text(content)
    code, sentence = error_of("fit", "--model", encoder, "--data", "nowhere", "--datasets", table)
    assert (code, problem in sentence) == (2, True)


def test_a_folder_with_something_else_is_kept(encoder, tmp_path, error_of):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    options = ["--model", encoder, "--data", "phantoms:10", "--out", tmp_path / "mine"]
    code, sentence = error_of("fit", *options)
    assert (code, "another place" in sentence) == (1, True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_a_folder_that_holds_no_model_is_an_error(tmp_path, error_of):
    code, sentence = error_of("fit", "--model", tmp_path, "--data", "phantoms:10")
    assert code == 1
    assert str(tmp_path) in sentence
