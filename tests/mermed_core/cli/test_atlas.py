"""Openly licensed images come from a server and become a collection with pictures."""

import hashlib
import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from medmnist import INFO
from PIL import Image

from mermed_core.cli import main
from mermed_core.cli.atlas import DEFAULT_SETS
from mermed_core.collections.store import load_collection
from mermed_core.data.sources.medmnist_files import MODALITY_OF_SET
from mermed_core.modalities import MODALITIES
from mermed_core.settings import Settings

PER_CLASS = 3


def npz(name: str, size: int) -> bytes:
    """Returns a tiny file in the layout of MedMNIST: an image of each class in each of three splits."""
    random = np.random.default_rng(len(name))
    colour = (3,) if INFO[name]["n_channels"] == 3 else ()
    arrays = {}
    for split in ("train", "val", "test"):
        labels = np.arange(len(INFO[name]["label"]), dtype=np.uint8)[:, None]
        arrays[f"{split}_labels"] = labels
        arrays[f"{split}_images"] = random.integers(0, 256, (len(labels), size, size, *colour), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture
def publish(file_server, monkeypatch):
    """Puts tiny sets on a server, with checksums that the package knows."""

    def put(*names: str, size: int = 28) -> None:
        suffix = "" if size == 28 else f"_{size}"
        for name in names:
            content = npz(name, size)
            file_server.files[f"{name}{suffix}.npz"] = content
            monkeypatch.setitem(INFO[name], f"MD5{suffix}", hashlib.md5(content).hexdigest())

    return put


@pytest.fixture
def fetch(file_server, encoder_folder, tmp_path, monkeypatch):
    """The arguments of a fetch from the server; the map is any, as computing it is not what is tested."""
    monkeypatch.setattr("mermed_core.collections.store.compute_map", lambda vectors, _: vectors[:, :2].copy())
    options = ["--url", file_server.url, "--files", tmp_path / "files", "--out", tmp_path / "atlas"]
    return ["atlas", "fetch", "--model", encoder_folder, *options]


def run(arguments: list[object]) -> int:
    return main([str(argument) for argument in arguments])


def test_the_default_sets_are_one_of_each_modality():
    assert sorted(str(MODALITY_OF_SET[name]) for name in DEFAULT_SETS) == sorted(MODALITIES)


def test_seven_modalities_with_pictures_come_from_the_server(publish, fetch, tmp_path, file_server, capsys):
    publish(*DEFAULT_SETS, size=224)
    assert run(fetch) == 0
    collection = load_collection(tmp_path / "atlas")
    assert f"{len(collection)} cases" in capsys.readouterr().out
    assert set(collection.records["modality"]) == set(MODALITIES)
    assert set(collection.records["source"]) == set(DEFAULT_SETS)
    for case_id in collection.records["case_id"]:
        picture = collection.thumbnail(case_id)
        assert picture is not None
        assert max(Image.open(io.BytesIO(picture)).size) > 100
    counts = collection.records["labels"].explode().value_counts()
    assert counts["melanoma"] == counts["colorectal adenocarcinoma epithelium"] == PER_CLASS
    assert not collection.synthetic
    assert "DermaMNIST: CC BY-NC 4.0" in collection.description
    assert "BreastMNIST, OrganCMNIST: CC BY 4.0" in collection.description
    assert "10.5281/zenodo.10519652" in collection.description
    assert {facts.licence for facts in collection.sources.values()} == {"CC BY 4.0", "CC BY-NC 4.0"}
    skin = collection.source("dermamnist")
    assert (skin.title, skin.licence) == ("DermaMNIST", "CC BY-NC 4.0")
    assert skin.home == "https://doi.org/10.5281/zenodo.10519652"
    assert collection.source("retinamnist").names["4"] == "diabetic retinopathy, grade 4 of 4"
    assert collection.source("octmnist").names == {}
    before = len(file_server.requests)
    assert run(fetch) == 0
    assert len(file_server.requests) == before


def test_sets_size_and_number_of_images_can_be_chosen(publish, fetch, tmp_path):
    publish("breastmnist", "octmnist")
    sets = ["--set", "BreastMNIST", "--set", "octmnist", "--set", "breastmnist"]
    assert run([*fetch, *sets, "--size", 28, "--most", 5]) == 0
    collection = load_collection(tmp_path / "atlas")
    assert collection.records["source"].value_counts().to_dict() == {"breastmnist": 5, "octmnist": 5}
    assert sorted(path.name for path in (tmp_path / "files").glob("*.npz")) == [
        "breastmnist.npz",
        "octmnist.npz",
    ]


def test_without_a_mirror_the_package_says_where_the_files_are(
    publish, fetch, tmp_path, file_server, monkeypatch
):
    publish("breastmnist")
    monkeypatch.setitem(INFO["breastmnist"], "url", f"{file_server.url}/breastmnist.npz?download=1")
    position = fetch.index("--url")
    assert run([*fetch[:position], *fetch[position + 2 :], "--set", "breastmnist", "--size", 28]) == 0
    assert len(load_collection(tmp_path / "atlas")) == 2 * PER_CLASS


def test_a_fetch_that_was_interrupted_goes_on(publish, fetch, tmp_path, file_server, monkeypatch, error_of):
    monkeypatch.setattr("mermed_core.data.web.WAITS", ())
    publish("breastmnist", "octmnist", size=64)
    sets = ["--set", "breastmnist", "--set", "octmnist", "--size", 64]
    half = len(file_server.files["octmnist_64.npz"]) // 2
    file_server.cuts = [10**9, half]
    code, sentence = error_of(*fetch, *sets)
    assert (code, "goes on from there" in sentence) == (1, True)
    assert not (tmp_path / "atlas").exists()
    file_server.requests.clear()
    assert run([*fetch, *sets]) == 0
    assert file_server.requests == [
        ("octmnist_64.npz", "bytes=0-0"),
        ("octmnist_64.npz", f"bytes={half}-"),
    ]
    assert set(load_collection(tmp_path / "atlas").values("source")) == {"breastmnist", "octmnist"}


def test_what_cannot_be_fetched_is_a_sentence(publish, fetch, tmp_path, file_server, error_of):
    sets = ["--set", "breastmnist", "--size", 28]
    code, sentence = error_of(*fetch, *sets)
    assert (code, "404" in sentence) == (1, True)
    publish("breastmnist")
    file_server.files["breastmnist.npz"] = npz("octmnist", 28)
    code, sentence = error_of(*fetch, *sets)
    assert (code, "not the published file" in sentence) == (1, True)
    file_server.shutdown()
    file_server.server_close()
    code, sentence = error_of(*fetch, *sets)
    assert (code, "cannot be reached" in sentence) == (1, True)
    assert not list((tmp_path / "files").glob("*.npz"))
    assert not (tmp_path / "atlas").exists()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--set", "organmnist3d"], "not a two-dimensional"),
        (["--set", "bloodmnist"], "none of the seven modalities"),
        (["--size", "100"], "28, 64, 128, 224"),
        (["--url", "file:///etc"], "does not start with http"),
        (["--most", "0"], "whole number from 1 up"),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_is_fetched(
    fetch, file_server, error_of, options, part
):
    code, sentence = error_of(*fetch, *options)
    assert (code, part in sentence) == (2, True)
    assert file_server.requests == []


def test_another_folder_is_never_replaced(fetch, tmp_path, file_server, error_of):
    (tmp_path / "atlas").mkdir()
    (tmp_path / "atlas" / "thesis.txt").touch()
    code, sentence = error_of(*fetch)
    assert (code, "another place" in sentence) == (1, True)
    assert file_server.requests == []


def test_the_collection_is_served_when_it_is_built(publish, fetch, encoder_folder, tmp_path, monkeypatch):
    served = []
    page = SimpleNamespace(serve=lambda _: served.append(Settings.from_environment()) or 0)
    monkeypatch.setitem(sys.modules, "app.ui", page)
    for variable in ("MERMED_MODEL", "MERMED_COLLECTION"):
        monkeypatch.setenv(variable, "")  # so that what the command sets is undone
    publish("retinamnist")
    assert run([*fetch, "--set", "retinamnist", "--size", 28, "--serve"]) == 0
    (start,) = served
    assert (start.model, start.collection) == (encoder_folder, tmp_path / "atlas")
