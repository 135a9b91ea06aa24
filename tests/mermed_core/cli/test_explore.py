"""`mermed explore`: a folder of images is embedded once, kept up to date and served."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mermed_core.cli import main
from mermed_core.collections.changes import cache_beside
from mermed_core.collections.collection import Collection
from mermed_core.collections.store import load_collection
from mermed_core.models.embedder import Embedder
from mermed_core.settings import VARIABLES, Settings


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / "images"
    for label in ("mass", "normal"):
        (folder / label).mkdir(parents=True)
        for number in range(4):
            draw(folder / label / f"{number}.png", number)
    return folder


def draw(path: Path, seed: int) -> None:
    pixels = np.random.default_rng([seed, len(path.parent.name)]).integers(
        0, 256, (30, 40, 3), dtype=np.uint8
    )
    Image.fromarray(pixels).save(path)


@pytest.fixture
def explore(model_folder, tmp_path, monkeypatch):
    """Runs the command; returns the collection that the page would show."""
    shown: list[Collection] = []

    def serve(at: str) -> int:
        assert at == "#explore"
        folder = Settings.from_environment().collection
        assert folder is not None
        shown.append(load_collection(folder))
        return 0

    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")  # so that what the command sets is undone
    monkeypatch.setitem(sys.modules, "app.ui", SimpleNamespace(serve=serve))

    def run(*options: object) -> Collection:
        arguments = [
            "explore",
            "--model",
            model_folder,
            "--home",
            tmp_path / "home",
            "--modality",
            "ct",
            *options,
        ]
        assert main([str(argument) for argument in arguments]) == 0
        return shown[-1]

    return run


def embedded(monkeypatch) -> list[int]:
    """Returns a list to which the number of images in each batch of the encoder is added."""
    counts: list[int] = []
    plain = Embedder.embed_tensors

    def counted(self, images, **options):
        counts.append(len(images))
        return plain(self, images, **options)

    monkeypatch.setattr(Embedder, "embed_tensors", counted)
    return counts


def places(collection: Collection) -> dict[str, list[float]]:
    return dict(zip(collection.records["case_id"], collection.coordinates.tolist(), strict=True))


def test_a_folder_is_embedded_once_and_served(explore, images, monkeypatch, capsys):
    first = explore(images)
    assert len(first) == 8
    assert set(first.values("label")) == {"mass", "normal"}
    counts = embedded(monkeypatch)
    again = explore(images)
    assert counts == []
    assert places(again) == places(first)
    assert "8 cases known, 0 added, 0 gone" in capsys.readouterr().out


def test_only_who_is_alone_with_the_page_may_write_tags_without_being_asked(explore, images):
    for options, allowed in (((), True), (("--host", "0.0.0.0"), False), (("--no-notes",), False)):
        explore(images, *options)
        assert Settings.from_environment().notes is allowed
    explore(images, "--host", "0.0.0.0", "--notes")
    assert Settings.from_environment().notes


def test_another_collection_may_stand_beside_it(explore, images, collection_folder):
    explore(images, "--beside", collection_folder)
    assert Settings.from_environment().beside == collection_folder


def test_what_is_new_is_added_what_is_gone_is_erased_and_nothing_else_moves(
    explore, images, monkeypatch, tmp_path
):
    before = places(explore(images))
    (images / "mass" / "0.png").unlink()
    draw(images / "mass" / "1.png", 77)  # another image under the name of one that is known
    draw(images / "normal" / "new.png", 5)
    counts = embedded(monkeypatch)
    after = places(explore(images))
    assert sum(counts) == 2
    assert len(after) == 8
    kept = [case for case in before if case in after and not case.endswith("mass/1.png")]
    assert len(kept) == 6
    assert [after[case] for case in kept] == [before[case] for case in kept]
    assert not list((tmp_path / "home").glob("*.embeddings/*"))  # the vectors of who is gone stay nowhere


def test_labels_that_are_corrected_are_corrected_on_the_page(explore, images, monkeypatch, tmp_path, capsys):
    names = sorted(images.rglob("*.png"))
    table = tmp_path / "labels.csv"
    frame = pd.DataFrame({"image_path": map(str, names), "label": ["mass"] * 4 + ["normal"] * 4})
    frame.to_csv(table, index=False)
    first = explore(table)
    counts = embedded(monkeypatch)
    frame.loc[1, "label"] = "cyst"
    frame.iloc[[7, *range(7)]].to_csv(table, index=False)  # whose rows are named by their place
    after = explore(table)
    assert counts == []
    assert "8 cases known, 0 added, 0 gone, 8 corrected" in capsys.readouterr().out
    assert sorted(after.values("label")) == ["cyst", "mass", "normal"]
    assert sorted(places(after).values()) == sorted(places(first).values())
    order = dict(zip(after.records["checksum"], after.records["case_id"], strict=True))
    assert [order[each] for each in first.records["checksum"]] == [
        *(f"labels/00000{row}" for row in range(1, 8)),
        "labels/000000",
    ]


def test_a_folder_with_damaged_images_starts_again(explore, images, capsys):
    damaged = images / "mass" / "damaged.png"
    damaged.write_bytes((images / "mass" / "0.png").read_bytes()[:100])
    first = explore(images)
    assert len(first) == 8
    capsys.readouterr()
    assert places(explore(images)) == places(first)
    assert "8 cases known, 0 added, 0 gone, 0 corrected\n1 images cannot be read" in capsys.readouterr().out
    draw(damaged, 9)
    assert len(explore(images)) == 9


def test_what_a_killed_start_left_goes_with_a_patient_who_is_removed(explore, images, tmp_path):
    explore(images)
    (folder,) = (path.parent for path in (tmp_path / "home").glob("*/manifest.json"))
    left = cache_beside(folder) / "block.npz"
    left.write_bytes(b"vectors of everybody")
    assert main(["collect", "remove", str(folder), "--case", "images/mass/0.png"]) == 0
    assert not left.exists()


def test_a_folder_with_other_images_altogether_is_built_anew(explore, images):
    explore(images)
    shutil.rmtree(images / "mass")
    for number in range(4):
        draw(images / "normal" / f"{number}.png", 100 + number)
    assert len(explore(images)) == 4


def test_other_folders_and_models_have_collections_of_their_own(explore, images, tmp_path):
    shutil.copytree(images, tmp_path / "copy")
    explore(images)
    explore(tmp_path / "copy")
    explore(images, tmp_path / "copy" / "mass", "--name", "both")
    assert len([path for path in (tmp_path / "home").iterdir() if (path / "manifest.json").is_file()]) == 3


def test_vectors_from_elsewhere_are_explored_without_a_model_run(
    explore, images, monkeypatch, tmp_path, capsys
):
    ids = [f"images/{label}/{number}.png" for label in ("normal", "mass") for number in range(4)]
    values = np.random.default_rng(0).normal(size=(8, 400))
    np.savez(tmp_path / "theirs.npz", vectors=values, case_ids=ids)
    counts = embedded(monkeypatch)
    first = explore(images, "--vectors", tmp_path / "theirs.npz")
    assert counts == []
    assert "theirs.npz, 400 numbers" in first.encoder
    order = [ids.index(case_id) for case_id in first.records["case_id"]]
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    centred = (unit - unit.mean(axis=0))[order]  # eight vectors have seven components, which keep all of this
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(first.vectors[:] @ first.vectors[:].T, centred @ centred.T, atol=0.03)
    assert places(explore(images, "--vectors", tmp_path / "theirs.npz")) == places(first)
    assert "8 cases known" in capsys.readouterr().out
    np.savez(tmp_path / "theirs.npz", vectors=values[::-1], case_ids=ids)
    assert places(explore(images, "--vectors", tmp_path / "theirs.npz")) != places(first)
    assert not explore(images).encoder  # the model's own vectors of the same images are another collection


def test_vectors_of_other_images_are_refused(error_of, images, tmp_path):
    np.save(tmp_path / "theirs.npy", np.ones((7, 5)))
    options = ["--modality", "ct", "--vectors", str(tmp_path / "theirs.npy")]
    code, sentence = error_of("explore", str(images), *options, "--home", str(tmp_path / "home"))
    assert code == 2
    assert "7 vectors, and the table has 8 images" in sentence


def test_without_a_folder_the_page_asks_for_it(model_folder, tmp_path, monkeypatch, error_of):
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")  # so that what the command sets is undone
        monkeypatch.delenv(variable)
    found, addresses = [], []

    def serve(at: str) -> int:
        addresses.append(at)
        found.append(Settings.from_environment())
        return 0

    served = SimpleNamespace(serve=serve)
    monkeypatch.setitem(sys.modules, "app.ui", served)
    monkeypatch.chdir(tmp_path)
    place = ["--model", str(model_folder), "--home", str(tmp_path / "home")]
    assert main(["explore", *place, "--port", "7899"]) == 0
    assert addresses == ["#own"]
    assert found[0].port == 7899
    assert found[0].own_collections
    assert found[0].folders == (tmp_path,)
    assert found[0].kept_collections == tmp_path / "home"
    code, sentence = error_of("explore", "--vectors", "theirs.npz")
    assert code == 2
    assert "needs the images" in sentence


def test_a_port_that_cannot_be_is_refused_before_anything_is_embedded(error_of, images, monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_PORT", "")
    counts = embedded(monkeypatch)
    code, sentence = error_of("explore", str(images), "--modality", "ct", "--port", "http")
    assert code == 2
    assert "GRADIO_SERVER_PORT is 'http'" in sentence
    assert counts == []
