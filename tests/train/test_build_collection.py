import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mermed_core.collections.collection import load_collection
from mermed_core.errors import ManifestError, OccupiedError
from train.build_collection import main

ROOT = Path(__file__).parents[2]


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


def test_a_folder_of_images_becomes_a_collection(encoder, pictures, tmp_path, capsys):
    out = tmp_path / "mine"
    main(["--model", str(encoder), "--data", str(pictures), "--modality", "CXR", "--out", str(out)])
    collection = load_collection(out)
    assert len(collection) == 8
    assert "8 cases" in capsys.readouterr().out
    assert {case.modality for case in collection.cases} == {"cxr"}
    assert collection.labels() == ("mass", "normal")
    assert (collection.name, collection.synthetic) == ("mine", False)


def test_phantoms_are_said_to_be_synthetic(encoder, tmp_path):
    out = tmp_path / "drawn"
    arguments = ["--model", str(encoder), "--data", "phantoms:2", "--out", str(out)]
    main([*arguments, "--name", "Drawn", "--text", "By us."])
    collection = load_collection(out)
    assert (collection.name, collection.description, collection.synthetic) == ("Drawn", "By us.", True)
    assert len(collection) == 14


def test_sources_can_be_joined(encoder, pictures, tmp_path):
    out = tmp_path / "joined"
    data = ["--data", "phantoms:1", "--data", str(pictures)]
    main(["--model", str(encoder), *data, "--modality", "oct", "--out", str(out)])
    assert not load_collection(out).synthetic


def test_nothing_is_written_where_nothing_can_be_read(encoder, tmp_path):
    folder = tmp_path / "empty" / "oct" / "x"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(b"no image")
    with pytest.raises(ManifestError):
        main(["--model", str(encoder), "--data", str(tmp_path / "empty"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(120)
def test_killed_before_it_is_whole_the_previous_collection_stays(encoder, pictures, tmp_path):
    """The real command; every flush to disk takes a moment, so that the kill falls between two of them."""
    out = tmp_path / "mine"
    (pictures / "normal" / "3.png").unlink()  # so few need no UMAP, which takes seconds to import
    data = ["--model", str(encoder), "--data", str(pictures / "normal"), "--modality", "cxr"]
    main([*data, "--out", str(out)])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    slow = "import os, time\nflush = os.fsync\nos.fsync = lambda file: (time.sleep(0.2), flush(file))\n"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(slow)
    command = [sys.executable, "-m", "train.build_collection", *data, "--name", "New", "--out", str(out)]
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
    main([*data, "--name", "New", "--out", str(out)])
    assert load_collection(out).name == "New"
    assert not list(tmp_path.glob(".mine.*"))


def test_a_folder_with_something_else_is_kept(encoder, pictures, tmp_path):
    data = ["--data", str(pictures), "--modality", "cxr"]
    with pytest.raises(OccupiedError, match="another place"):
        main(["--model", str(encoder), *data, "--out", str(pictures)])
    assert (pictures / "mass" / "0.png").is_file()


def test_a_folder_that_names_no_modality_asks_for_one(encoder, pictures, tmp_path):
    with pytest.raises(ManifestError, match="names no modality"):
        main(["--model", str(encoder), "--data", str(pictures), "--out", str(tmp_path / "out")])
