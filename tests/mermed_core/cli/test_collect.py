"""Folders of images and phantoms become collections; a kill leaves the previous one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mermed_core.cli import main
from mermed_core.collections.store import load_collection

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


def test_nothing_is_written_where_nothing_can_be_read(encoder_folder, tmp_path, error_of):
    folder = tmp_path / "empty" / "oct" / "x"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(b"no image")
    options = ["--model", encoder_folder, "--data", tmp_path / "empty", "--out", tmp_path / "out"]
    assert error_of("collect", *options)[0] == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(120)
def test_killed_before_it_is_whole_the_previous_collection_stays(encoder_folder, pictures, tmp_path):
    """The real command; every flush to disk takes a moment, so that the kill falls between two of them."""
    out = tmp_path / "mine"
    (pictures / "normal" / "3.png").unlink()  # so few need no UMAP, which takes seconds to import
    data = ["--model", str(encoder_folder), "--data", str(pictures / "normal"), "--modality", "cxr"]
    main(["collect", *data, "--out", str(out)])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    slow = "import os, time\nflush = os.fsync\nos.fsync = lambda file: (time.sleep(0.2), flush(file))\n"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(slow)
    command = [sys.executable, "-m", "mermed_core", "collect", *data, "--name", "New", "--out", str(out)]
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(tmp_path / "site")}, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not list(tmp_path.glob(".mine.*.partial/manifest.json")):
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".mine.*.partial"))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert load_collection(out).name == "mine"
    main(["collect", *data, "--name", "New", "--out", str(out)])
    assert load_collection(out).name == "New"
    assert not list(tmp_path.glob(".mine.*"))


def test_a_folder_with_something_else_is_kept(encoder_folder, pictures, error_of):
    options = ["--model", encoder_folder, "--data", pictures, "--modality", "cxr", "--out", pictures]
    code, sentence = error_of("collect", *options)
    assert (code, "another place" in sentence) == (1, True)
    assert (pictures / "mass" / "0.png").is_file()


def test_a_folder_that_names_no_modality_asks_for_one(encoder_folder, pictures, tmp_path, error_of):
    options = ["--model", encoder_folder, "--data", pictures, "--out", tmp_path / "out"]
    code, sentence = error_of("collect", *options)
    assert (code, "names no modality" in sentence) == (2, True)
