"""Images of which nothing states the modality: `explore`, `collect` and `add` let the model tell it."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mermed_core.cli import main
from mermed_core.collections.collection import Collection
from mermed_core.collections.store import load_collection
from mermed_core.collections.told import ToldCounts, told_by_model
from mermed_core.data.phantoms import phantom_manifest
from mermed_core.data.validation import BY_FILE, KIND, TOLD_BY
from mermed_core.models.embedder import Embedder
from mermed_core.settings import VARIABLES, Settings


@pytest.fixture
def unsorted(tmp_path) -> Path:
    folder = tmp_path / "a folder, ünsorted"
    folder.mkdir()
    for row, image in enumerate(phantom_manifest(2, seed=9).frame["image"]):
        (folder / f"{row:02}").write_bytes(image)  # without a suffix
    return folder


@pytest.fixture
def explore(model_folder, tmp_path, monkeypatch):
    """Runs the command; returns the collection that the page would show."""
    shown: list[Collection] = []

    def serve(_: str) -> int:
        folder = Settings.from_environment().collection
        assert folder is not None
        shown.append(load_collection(folder))
        return 0

    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")
    monkeypatch.setitem(sys.modules, "app.ui", SimpleNamespace(serve=serve))
    monkeypatch.setattr("mermed_core.collections.store.compute_map", lambda vectors, _: vectors[:, :2].copy())

    def run(*options: object) -> Collection:
        arguments = ["explore", "--model", model_folder, "--home", tmp_path / "home", *options]
        assert main([str(argument) for argument in arguments]) == 0
        return shown[-1]

    return run


@pytest.fixture
def embedded(monkeypatch) -> list[int]:
    """To which the number of images in each batch of the encoder is added."""
    counts: list[int] = []
    plain = Embedder.embed_tensors

    def counted(self, images, **options):
        counts.append(len(images))
        return plain(self, images, **options)

    monkeypatch.setattr(Embedder, "embed_tensors", counted)
    return counts


def by_name(collection: Collection, column: str) -> dict[str, str]:
    names = [name.rpartition("/")[2] for name in collection.records["case_id"]]
    return dict(zip(names, collection.records[column], strict=True))


def test_unsorted_images_are_embedded_once_and_say_whose_word_their_modality_is(
    explore, unsorted, embedded, capsys
):
    first = explore(unsorted)
    assert sum(embedded) == 14
    assert told_by_model(first.cases).all()
    counts = ToldCounts.of(first.cases)
    assert f"{counts}" in capsys.readouterr().out
    stated = phantom_manifest(2, seed=9).frame["modality"].tolist()
    told = [by_name(first, "modality")[f"{row:02}"] for row in range(14)]
    assert np.mean([each == other for each, other in zip(told, stated, strict=True)]) > 0.8
    assert {TOLD_BY, KIND} <= set(first.columns)
    again = explore(unsorted, "--modality", "auto")  # the same as saying nothing
    assert sum(embedded) == 14
    assert again.records.equals(first.records)
    assert "14 cases known, 0 added, 0 gone, 0 corrected" in capsys.readouterr().out


def test_what_is_stated_later_replaces_what_the_model_told(explore, unsorted, embedded, capsys):
    before = explore(unsorted)
    (unsorted / "oct").mkdir()
    shutil.move(unsorted / "00", unsorted / "oct" / "00")
    after = explore(unsorted)
    assert sum(embedded) == 14  # its vector is the same
    assert "14 cases known, 0 added, 0 gone, 1 corrected" in capsys.readouterr().out
    assert by_name(after, "modality")["00"] == "oct"
    assert by_name(after, TOLD_BY)["00"] == BY_FILE
    assert by_name(after, KIND) == by_name(before, KIND)
    shutil.move(unsorted / "oct" / "00", unsorted / "00")
    back = explore(unsorted)
    assert by_name(back, "modality") == by_name(before, "modality")
    assert told_by_model(back.cases).all()


def test_pictures_beside_modality_folders_are_taken_in(explore, unsorted):
    (unsorted / "ct").mkdir()
    shutil.move(unsorted / "00", unsorted / "ct" / "00")
    mixed = explore(unsorted)
    assert len(mixed) == 14
    assert told_by_model(mixed.cases).sum() == 13
    assert by_name(mixed, "modality")["00"] == "ct"


def test_a_collection_of_stated_modalities_takes_unsorted_images(
    unsorted, model_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("mermed_core.collections.store.compute_map", lambda vectors, _: vectors[:, :2].copy())
    out, more = tmp_path / "out", tmp_path / "more"
    (more / "ct").mkdir(parents=True)
    model = ["--model", str(model_folder)]
    for name in ("00", "01", "02", "03"):
        shutil.move(unsorted / name, more / "ct" / name)
    assert main(["collect", "--data", str(more), "--out", str(out), *model]) == 0
    before = load_collection(out)
    assert TOLD_BY not in before.columns
    assert main(["collect", "add", str(out), "--data", str(unsorted), *model]) == 0
    after = load_collection(out)
    assert "the modality of 10 images is the model's own answer" in capsys.readouterr().out
    assert told_by_model(after.cases).tolist() == [False] * 4 + [True] * 10
    assert after.coordinates[:4].tolist() == before.coordinates.tolist()
    assert after.vectors[:4].tolist() == before.vectors[:].tolist()
    assert [after.thumbnail_at(row) for row in range(4)] == [before.thumbnail_at(row) for row in range(4)]
    assert [case.modality_told for case in after.cases_at([0, 4])] == [False, True]
    assert main(["collect", "compact", str(out)]) == 0
    assert load_collection(out).records[TOLD_BY].tolist() == after.records[TOLD_BY].tolist()


def test_a_model_that_cannot_tell_asks_for_the_modality(unsorted, encoder_folder, tmp_path, error_of):
    options = ["--model", encoder_folder, "--data", unsorted, "--out", tmp_path / "out"]
    code, sentence = error_of("collect", *options)
    assert code == 2
    assert "--modality cxr" in sentence
    assert "fitted on no modalities" in sentence
    assert "cannot tell that of an image" in error_of("collect", "--modality", "auto", *options)[1]


def test_other_commands_ask_for_the_modality_as_a_person_can_type_it(unsorted, tmp_path, error_of):
    code, sentence = error_of("pack-shards", "--data", unsorted, "--out", tmp_path / "out")
    assert code == 2
    assert "images:FOLDER?modality=cxr" in sentence


def test_vectors_of_another_encoder_tell_no_modality(unsorted, tmp_path, error_of):
    options = ["--modality", "auto", "--vectors", tmp_path / "theirs.npy"]
    assert "--modality auto needs the model" in error_of("explore", unsorted, *options)[1]
