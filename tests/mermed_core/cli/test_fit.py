"""Fitting makes an encoder a model that answers; what cannot be used is refused before the work."""

import numpy as np
import pytest
from PIL import Image

from mermed_core.cli import main
from mermed_core.data.phantoms import FINDINGS, NORMAL, draw_phantom
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.predictor import Predictor


def test_it_makes_an_encoder_a_model_that_answers(encoder, tmp_path):
    out = tmp_path / "model"
    assert main(["fit", "--model", str(encoder), "--data", "phantoms:20", "--out", str(out)]) == 0
    predictor = Predictor.load(out)
    assert len(predictor.tasks) == 7
    assert "Research use only" in predictor.card
    assert predictor.metrics.tasks
    unseen = predictor.metrics.unseen_source
    assert unseen is not None
    assert set(unseen.kinds) == {"squares of 1", "squares of 4", "squares of 16"}
    assert all("synthetic" in metrics.title for metrics in predictor.metrics.tasks.values())
    assert predictor.metrics.model.modality_accuracy is not None
    assert predictor.metrics.model.mean_auroc is None  # that comes from an evaluation
    pixels = draw_phantom("fundus", FINDINGS["fundus"][0], seed=1).pixels
    assert len(predictor.analyse(MedicalImage(pixels, 1, 0, "PNG", ())).modality) == 7
    assert sorted(path.name for path in encoder.iterdir()) == ["config.json", "model.safetensors"]


def write_cats(folder):
    (folder / "cats").mkdir(parents=True)
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 99, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "cats" / f"{seed}.png")
    return folder


@pytest.mark.parametrize("given", ["option", "environment"])
def test_unknown_kinds_are_learned_and_measured(encoder, scans, tmp_path, monkeypatch, given):
    cats = write_cats(tmp_path / "unknown")
    monkeypatch.setenv("MERMED_UNKNOWN", str(cats if given == "environment" else tmp_path / "nowhere"))
    option = ["--unknown", str(cats)] if given == "option" else []
    assert main(["fit", "--model", str(encoder), "--data", str(scans), *option]) == 0
    unseen = Predictor.load(encoder).metrics.unseen_source
    assert unseen is not None
    assert unseen.kinds["cats"].images == 3


def test_label_sets_of_a_file_join_sources(encoder, scans, tmp_path):
    for image in scans.parent.glob("*.png"):
        (tmp_path / image.name).write_bytes(image.read_bytes())
    finding = FINDINGS["ct"][0]
    lines = [line.replace(f",{finding},", ",bleeding,") for line in scans.read_text().splitlines()]
    (tmp_path / "other.csv").write_text("\n".join(lines))
    table = tmp_path / "sets.toml"
    table.write_text(
        '[sets.heads]\nmodality = "ct"\nregion = "head"\ntitle = "Heads of two"\n'
        'caveat = "Two scanners."\n[sets.heads.classes]\n'
        f'bleeding = ["scans:{finding}", "other:bleeding"]\nnormal = ["scans:{NORMAL}", "other:{NORMAL}"]\n'
    )
    data = ["--data", str(scans), "--data", str(tmp_path / "other.csv"), "--label-sets", str(table)]
    assert main(["fit", "--model", str(encoder), *data]) == 0
    predictor = Predictor.load(encoder)
    assert [(each.task, each.classes) for each in predictor.tasks] == [("heads", ("bleeding", "normal"))]
    assert predictor.metrics.tasks["heads"].title == "Heads of two"
    unseen = predictor.metrics.unseen_source
    assert unseen is not None
    assert set(unseen.findings["heads"]) == {"bleeding", "normal"}
    assert "| heads | ct |" in predictor.card
    assert "Two scanners." in predictor.card


@pytest.mark.parametrize("option", ["--unknown", "--label-sets"])
def test_what_is_not_there_is_refused_before_the_images_are_embedded(encoder, scans, error_of, option):
    code, sentence = error_of("fit", "--model", encoder, "--data", scans, option, "nowhere.toml")
    assert (code, "nowhere.toml" in sentence) == (2, True)


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
