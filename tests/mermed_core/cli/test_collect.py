"""Folders of images and phantoms become collections."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mermed_core.cli import main
from mermed_core.collections.collection import Collection
from mermed_core.collections.migration import migrate_collection
from mermed_core.collections.pictures import Pictures
from mermed_core.collections.store import load_collection
from mermed_core.errors import CollectionError
from mermed_core.files import checksum
from mermed_core.inference.predictor import Predictor
from mermed_core.models.embedder import Embedder
from mermed_core.models.heads import HEADS_FOLDER
from mermed_core.models.retrieval_space import RetrievalSpace, save_retrieval_space
from mermed_core.search.quantised import StoredVectors

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


def test_names_of_files_are_kept_where_they_are_wanted(collect, pictures, encoder_folder, tmp_path):
    table = pictures / "table.csv"
    table.write_text("image_path,modality\nmass/0.png,cxr\nnormal/1.png,cxr\n")
    kept = collect("--data", table, "--keep", "file")
    assert sorted(kept.records["file"]) == ["mass/0.png", "normal/1.png"]
    more = tmp_path / "more" / "other.png"
    more.parent.mkdir()
    Image.effect_noise((48, 48), 60).save(more)
    add = ["collect", "add", tmp_path / "mine", "--model", encoder_folder, "--data", more.parent]
    assert main([*map(str, add), "--modality", "cxr"]) == 0
    assert sorted(load_collection(tmp_path / "mine").records["file"]) == [
        "mass/0.png",
        "normal/1.png",
        "other.png",
    ]


def test_vectors_of_the_whole_table_serve_for_a_split_of_it(scans, tmp_path):
    values = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    np.save(tmp_path / "theirs.npy", values)
    options = [
        "--vectors",
        tmp_path / "theirs.npy",
        "--split",
        "test",
        "--keep",
        "age",
        "--out",
        tmp_path / "m",
    ]
    assert main([str(each) for each in ("collect", "--data", scans, *options)]) == 0
    collection = load_collection(tmp_path / "m")
    unit = values[20:] / np.linalg.norm(values[20:], axis=1, keepdims=True)
    assert collection.records["age"].astype(int).tolist() == list(range(40, 60))
    np.testing.assert_allclose(collection.vectors[:] @ collection.vectors[:].T, unit @ unit.T, atol=0.03)


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


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_collection_changes_in_place(collect, encoder_folder, pictures, tmp_path, capsys):
    collect("--data", pictures, "--modality", "cxr")
    mine, more = tmp_path / "mine", tmp_path / "more"
    more.mkdir()
    shutil.copy(pictures / "mass" / "0.png", more / "known.png")
    pixels = np.random.default_rng(99).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(more / "new.png")
    options = ["--model", encoder_folder, "--data", more, "--modality", "cxr", "--cache", tmp_path / "cache"]
    assert run("collect", "add", mine, *options) == 0
    assert "1 cases added" in (said := capsys.readouterr().out)
    assert "1 were there already" in said
    assert len(load_collection(mine)) == 9
    case = load_collection(mine).records["case_id"].iloc[8]
    assert list((tmp_path / "cache" / "vectors").glob("*.npz"))
    assert run("collect", "remove", mine, "--case", case, "--cache", tmp_path / "cache", "--later") == 0
    assert "1 cases taken out" in capsys.readouterr().out
    assert not list((tmp_path / "cache" / "vectors").glob("*.npz"))
    assert run("collect", "compact", mine, "-q") == 0
    assert "2 segments" in capsys.readouterr().out
    assert len(load_collection(mine)) == 8
    assert run("collect", "verify", mine) == 0
    assert "every file as it was written" in capsys.readouterr().out
    next(mine.glob("segment-*/records.parquet")).unlink()
    assert run("collect", "verify", mine) == 1
    assert "records.parquet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "x"], "required: --out"),
        (["remove", "x"], "one of the arguments --case and --group is required"),
        (["add", "x"], "required: --data"),
        (["remove", "nowhere", "--case", "x"], "There is no collection in 'nowhere'"),
        (["migrate", "nowhere"], "There is no collection in 'nowhere'"),
    ],
)
def test_what_is_missing_is_a_sentence(arguments, sentence, error_of):
    assert sentence in error_of("collect", *arguments)[1]


@pytest.mark.parametrize(
    ("unfit", "sentence"),
    [
        ("cut", "vectors.npy' is missing or damaged. Build it again: mermed collect --data"),
        ("flipped", "vectors.npy' is missing or damaged. Build it again: mermed collect --data"),
        ("missing", "scale.npz' is missing or damaged. Build it again: mermed collect --data"),
        ("newer", "is of format 9: a newer version has made it"),
        (
            "other model",
            "was made by another model: name the one that made it with --model, or build it again",
        ),
    ],
)
def test_a_collection_that_cannot_be_added_to_is_refused_before_images_are_read(
    collect, pictures, tmp_path, encoder_folder, monkeypatch, error_of, unfit, sentence
):
    collect("--data", pictures, "--modality", "cxr")
    out, model = tmp_path / "mine", encoder_folder
    (vectors,) = out.glob("segment-*/vectors.npy")
    content = bytearray(vectors.read_bytes())
    if unfit == "cut":
        vectors.write_bytes(content[:-1])
    elif unfit == "flipped":
        content[-1] ^= 1
        vectors.write_bytes(content)
    elif unfit == "missing":
        (vectors.parent / "scale.npz").unlink()
    elif unfit == "newer":
        stated = json.loads((out / "manifest.json").read_text())
        (out / "manifest.json").write_text(json.dumps({**stated, "format": 9}))
    else:
        model = shutil.copytree(encoder_folder, tmp_path / "model")
        width = Embedder.load(model).backbone.dim
        (model / HEADS_FOLDER).mkdir(exist_ok=True)
        narrower = RetrievalSpace(np.zeros(width, np.float32), np.eye(4, width, dtype=np.float32))
        save_retrieval_space(model / HEADS_FOLDER, narrower)
    monkeypatch.setattr(
        "mermed_core.data.sources.opener.open_manifests", lambda *_, **__: pytest.fail("read")
    )
    arguments = ["add", out, "--data", pictures, "--model", model, "--modality", "cxr"]
    assert sentence in error_of("collect", *map(str, arguments))[1]


def test_a_collection_of_the_format_before_is_brought_up_to_date(collect, pictures, tmp_path, capsys):
    collection = collect("--data", pictures, "--modality", "cxr")
    old = tmp_path / "old"
    write_format_2(old, collection)
    with pytest.raises(CollectionError, match="mermed collect migrate"):
        load_collection(old)
    assert run("collect", "migrate", old) == 0
    assert "8 cases" in capsys.readouterr().out
    migrated = load_collection(old)
    assert migrated.cases_at(range(8)) == collection.cases_at(range(8))
    np.testing.assert_allclose(migrated.vectors[:], collection.vectors[:], atol=1e-6)
    np.testing.assert_array_equal(migrated.coordinates, collection.coordinates)
    for case in collection.records["case_id"]:
        assert migrated.thumbnail(case) == collection.thumbnail(case)
    with pytest.raises(CollectionError, match="only format 2"):
        migrate_collection(old)


def test_a_damaged_collection_of_the_format_before_is_refused_and_kept(collect, pictures, tmp_path):
    write_format_2(tmp_path / "old", collect("--data", pictures, "--modality", "cxr"))
    (tmp_path / "old" / "map.npz").write_bytes(b"damaged")
    with pytest.raises(CollectionError, match=r"map.npz' is missing or damaged.*--out"):
        migrate_collection(tmp_path / "old")
    assert (tmp_path / "old" / "vectors.npz").is_file()


def write_format_2(folder: Path, collection: Collection) -> None:
    """Writes a collection as versions before format 3 did."""
    folder.mkdir()
    pq.write_table(pa.Table.from_pandas(collection.records, preserve_index=False), folder / "records.parquet")
    assert isinstance(collection.vectors, StoredVectors)
    vectors = collection.vectors.parts[0].vectors
    np.savez(folder / "vectors.npz", codes=vectors.codes, lowest=vectors.lowest, step=vectors.step)
    np.savez(folder / "map.npz", coordinates=collection.coordinates)
    pictures = pa.array([collection.thumbnail(case) for case in collection.records["case_id"]], pa.binary())
    pq.write_table(pa.table({"thumbnail": pictures}), folder / "thumbnails.parquet")
    sums = {path.name: checksum(path) for path in folder.iterdir()}
    stated = {"format": 2, "name": "Old", "text": "", "synthetic": False, "sources": {}, "checksums": sums}
    stated |= {"fingerprint": collection.fingerprint, "broken": {"a": "no image"}, "left_out": {}}
    (folder / "manifest.json").write_text(json.dumps(stated))
