"""Fitting makes an encoder a model that answers; what cannot be used is refused before the work."""

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
    assert predictor.metrics.tasks
    assert all("synthetic" in metrics.title for metrics in predictor.metrics.tasks.values())
    assert predictor.metrics.model.modality_accuracy is not None
    assert predictor.metrics.model.mean_auroc is None  # that comes from an evaluation
    pixels = draw_phantom("fundus", FINDINGS["fundus"][0], seed=1).pixels
    assert len(predictor.analyse(MedicalImage(pixels, 1, 0, "PNG", ())).modality) == 7
    assert sorted(path.name for path in encoder.iterdir()) == ["config.json", "model.safetensors"]


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
