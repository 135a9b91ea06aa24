"""Folders of images and phantoms become collections."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mermed_core.cli import main
from mermed_core.collections.pictures import Pictures
from mermed_core.collections.store import load_collection
from mermed_core.inference.predictor import Predictor
from mermed_core.models.embedder import Embedder
from mermed_core.models.heads import HEADS_FOLDER
from mermed_core.models.retrieval_space import RetrievalSpace, save_retrieval_space

ROOT = Path(__file__).parents[3]


@pytest.fixture
def pictures(tmp_path):
    """A folder of plain images, one of them broken, in folders by class."""
    folder = tmp_path / "pictures"
    for label in ("mass", "normal"):
        (folder / label).mkdir(parents=True)
        for i in range(4):
            pixels = np.random.default_rng(i).integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i}.png")
    (folder / "mass" / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def collect(encoder_folder, tmp_path):
    """Runs the command with the tiny encoder; returns the collection that it wrote."""

    def run(*options: object):
        out = tmp_path / "mine"
        arguments = ["collect", "--model", encoder_folder, "--out", out, *options]
        assert main([str(argument) for argument in arguments]) == 0
        return load_collection(out)

    return run


def test_a_folder_of_images_becomes_a_collection(collect, pictures, capsys):
    collection = collect("--data", pictures, "--modality", "CXR")
    assert len(collection) == 8
    assert "8 cases" in capsys.readouterr().out
    assert set(collection.records["modality"]) == {"cxr"}
    assert set(collection.values("label")) == {"mass", "normal"}
    assert (collection.name, collection.synthetic) == ("mine", False)


def test_named_columns_are_kept_and_what_is_left_out_is_said(collect, pictures, tmp_path, capsys):
    (pictures / "notes.txt").write_text("not an image")
    (pictures / "table.csv").write_text(
        "image_path,modality,sex,name\nmass/0.png,cxr,f,Jane\nnormal/1.png,cxr,m,John\n"
    )
    kept = collect("--data", pictures / "table.csv", "--keep", "sex")
    assert kept.values("sex") == ("f", "m")
    assert "name" not in kept.records
    collect("--data", pictures, "--modality", "cxr")
    assert "left out: 2 (files that are no images)" in capsys.readouterr().out
    assert json.loads((tmp_path / "mine" / "manifest.json").read_text())["left_out"] == {
        "files that are no images": 2
    }


def test_phantoms_are_called_synthetic_unless_real_images_are_among_them(collect, pictures):
    collection = collect("--data", "phantoms:1", "--name", "Drawn", "--text", "By us.")
    assert (collection.name, collection.description, collection.synthetic) == ("Drawn", "By us.", True)
    assert not collect("--data", "phantoms:1", "--data", pictures, "--modality", "oct").synthetic


def test_the_bundled_model_is_the_default(tmp_path):
    out = tmp_path / "drawn"
    assert main(["collect", "--data", "phantoms:1", "--out", str(out), "--quiet"]) == 0
    assert load_collection(out).fingerprint == load_collection(ROOT / "assets" / "collection").fingerprint


def test_a_collection_need_hold_no_pictures_and_says_where_they_can_be_had(
    collect, pictures, tmp_path, capsys
):
    facts = tmp_path / "facts.toml"
    facts.write_text('[pictures]\ntitle = "Our images"\nhome = "https://example.org/images"\n')
    options = ["--data", pictures, "--modality", "cxr", "--no-pictures", "--datasets", facts]
    collection = collect(*options, "--cache", tmp_path / "cache")
    assert "8 cases, no pictures, in" in capsys.readouterr().out
    assert not collection.has_pictures
    assert collection.sources["pictures"].home == "https://example.org/images"
    assert list((tmp_path / "cache" / "vectors").glob("*.npz"))
    shown = load_collection(tmp_path / "mine", pictures=Pictures([pictures]))
    assert shown.thumbnail("pictures/mass/2.png") is not None


def test_a_home_that_is_no_web_address_is_a_sentence(encoder_folder, pictures, tmp_path, error_of):
    facts = tmp_path / "facts.toml"
    facts.write_text('[pictures]\nhome = "javascript:alert(1)"\n')
    options = ["--model", encoder_folder, "--data", pictures, "--modality", "cxr", "--out", tmp_path / "out"]
    _, sentence = error_of("collect", *options, "--datasets", facts)
    assert "'pictures.home' cannot be used" in sentence


def test_the_splits_that_are_named_go_into_the_collection(collect, encoder_folder, scans, tmp_path, error_of):
    assert set(collect("--data", scans, "--split", "test").records["split"]) == {"test"}
    assert len(collect("--data", scans, "--split", "test", "--split", "train", "--split", "val")) == 40
    options = ["--model", encoder_folder, "--data", scans, "--split", "val", "--out", tmp_path / "out"]
    assert error_of("collect", *options)[1] == "column 'split': no image is in the split val."


def test_a_model_with_a_retrieval_space_makes_a_collection_that_it_knows(model_folder, scans, tmp_path):
    model, out = shutil.copytree(model_folder, tmp_path / "model"), tmp_path / "out"
    width = Embedder.load(model).backbone.dim
    basis = np.random.default_rng(0).normal(size=(6, width)).astype(np.float32)
    save_retrieval_space(model / HEADS_FOLDER, RetrievalSpace(np.zeros(width, np.float32), basis))
    assert main([str(part) for part in ("collect", "--model", model, "--data", scans, "--out", out)]) == 0
    predictor = Predictor.load(model, out)
    assert predictor.collection is not None
    assert predictor.collection.vectors.shape == (40, 6)
    assert len(predictor.similar(predictor.collection.records["case_id"][0])) == 12


def test_nothing_is_written_where_nothing_can_be_read(encoder_folder, tmp_path, error_of):
    folder = tmp_path / "empty" / "oct" / "x"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(b"no image")
    options = ["--model", encoder_folder, "--data", tmp_path / "empty", "--out", tmp_path / "out"]
    assert error_of("collect", *options)[0] == 2
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_is_kept(encoder_folder, pictures, error_of):
    options = ["--model", encoder_folder, "--data", pictures, "--modality", "cxr", "--out", pictures]
    code, sentence = error_of("collect", *options)
    assert (code, "another place" in sentence) == (1, True)
    assert (pictures / "mass" / "0.png").is_file()


def test_a_folder_that_names_no_modality_asks_for_one(encoder_folder, pictures, tmp_path, error_of):
    options = ["--model", encoder_folder, "--data", pictures, "--out", tmp_path / "out"]
    code, sentence = error_of("collect", *options)
    assert (code, "names no modality" in sentence) == (2, True)
