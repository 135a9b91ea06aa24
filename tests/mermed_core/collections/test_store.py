"""A collection folder: it comes back as it was written, or not at all."""

import json
import shutil

import numpy as np
import pytest

from mermed_core.collections.collection import CASE_COLUMNS, Collection
from mermed_core.collections.store import (
    INDEX,
    MANIFEST,
    MAP,
    RECORDS,
    VECTORS,
    build_collection,
    load_collection,
)
from mermed_core.data.manifest import Manifest
from mermed_core.errors import CollectionError, ManifestError, OccupiedError
from mermed_core.inference.predictor import Predictor
from mermed_core.records import Case


def cases(collection: Collection) -> tuple[Case, ...]:
    return collection.cases_at(np.arange(len(collection)))


FILES = (MANIFEST, RECORDS, VECTORS, INDEX, MAP)


@pytest.fixture
def copied(collection_folder, tmp_path):
    return shutil.copytree(collection_folder, tmp_path / "copy")


@pytest.fixture
def build(embedder):
    def make(folder, manifest, name="Small"):
        return build_collection(folder, embedder, manifest, name=name, text="Drawn.", synthetic=True)

    return make


@pytest.fixture
def three(phantoms):
    """As few as need no map by UMAP."""
    return phantoms.select([0, 21, 42])


def test_what_was_built_comes_back(build, three, tmp_path):
    built, loaded = build(tmp_path / "c", three), load_collection(tmp_path / "c")
    assert cases(loaded) == cases(built) == tuple(three.cases())
    np.testing.assert_array_equal(loaded.vectors, built.vectors)
    np.testing.assert_array_equal(loaded.coordinates, built.coordinates)
    facts = ("name", "description", "synthetic", "fingerprint")
    assert [getattr(loaded, fact) for fact in facts] == [getattr(built, fact) for fact in facts]
    assert loaded.name == "Small"
    for case in cases(loaded):
        assert loaded.thumbnail(case.case_id) == built.thumbnail(case.case_id)


def test_a_case_that_is_alone_makes_no_other_far(build, three, tmp_path):
    build(tmp_path / "one", three.select([0]))
    assert load_collection(tmp_path / "one").usual_similarity == -1


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "renamed", "truncated", "changed", "empty", "folder"])
def test_a_damaged_file_is_refused(copied, name, damage):
    path = copied / name
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "renamed":
        (copied / f"{name}.old").write_bytes(content)
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    elif damage == "empty":
        path.touch()
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(CollectionError):
        load_collection(copied)


def test_files_of_another_collection_are_refused(copied, build, three, tmp_path):
    build(tmp_path / "other", three)
    for name in FILES[1:]:
        shutil.copy(tmp_path / "other" / name, copied / name)
        with pytest.raises(CollectionError, match="damaged"):
            load_collection(copied)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"checksums": None},
        {"checksums": []},
        {"checksums": {}},
        {"checksums": {RECORDS: 1}},
        *({name: ...} for name in ("format", "name", "text", "synthetic", "fingerprint", "checksums")),
    ],
    ids=str,
)
def test_a_manifest_that_states_something_else_is_refused(copied, change):
    stated = json.loads((copied / MANIFEST).read_text()) | change
    (copied / MANIFEST).write_text(
        json.dumps({key: value for key, value in stated.items() if value is not ...})
    )
    with pytest.raises(CollectionError):
        load_collection(copied)


@pytest.mark.parametrize("content", [b"[]", b"null", b"3", b'"x"', b"\xff\xfe", b"{", b""])
def test_a_manifest_that_is_none_is_refused(copied, content):
    (copied / MANIFEST).write_bytes(content)
    with pytest.raises(CollectionError):
        load_collection(copied)


def test_a_missing_folder_is_a_sentence_with_the_way_to_make_one(tmp_path):
    with pytest.raises(CollectionError, match="mermed collect"):
        load_collection(tmp_path / "nowhere")


def test_a_collection_can_be_moved(copied, collection_folder, tmp_path):
    moved = copied.rename(tmp_path / "elsewhere")
    assert cases(load_collection(moved)) == cases(load_collection(collection_folder))


def test_another_models_collection_is_refused(collection_folder, model_folder, make_model, tmp_path):
    make_model(tmp_path / "other", seed=1)
    shutil.copytree(model_folder / "heads", tmp_path / "other" / "heads")
    with pytest.raises(CollectionError, match="another model"):
        Predictor.load(tmp_path / "other", collection_folder)


def test_broken_images_are_left_out_and_named(build, three, tmp_path):
    frame = three.frame.copy()
    frame.at[1, "image"] = b"no image"
    collection = build(tmp_path / "c", Manifest.from_frame(frame))
    assert collection.records["case_id"].tolist() == [frame.at[0, "case_id"], frame.at[2, "case_id"]]
    assert list(json.loads((tmp_path / "c" / MANIFEST).read_text())["broken"]) == [frame.at[1, "case_id"]]
    assert len(load_collection(tmp_path / "c")) == 2


def test_an_error_leaves_the_previous_collection(build, three, tmp_path):
    build(tmp_path / "c", three)
    frame = three.frame.copy()
    frame["image"] = [b"no image"] * 3
    with pytest.raises(ManifestError):
        build(tmp_path / "c", Manifest.from_frame(frame))
    assert len(load_collection(tmp_path / "c")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_new_one_replaces_the_old_one(build, three, tmp_path):
    build(tmp_path / "c", three)
    build(tmp_path / "c", three.select([2]), name="New")
    assert (load_collection(tmp_path / "c").name, len(load_collection(tmp_path / "c"))) == ("New", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_folder_with_something_else_is_never_replaced(build, three, tmp_path):
    (tmp_path / "scan.png").write_bytes(b"mine")
    with pytest.raises(OccupiedError, match="another place"):
        build(tmp_path, three)
    assert (tmp_path / "scan.png").read_bytes() == b"mine"
    with pytest.raises(OccupiedError):
        build(tmp_path / "scan.png", three)


def test_unlabelled_and_odd_names_come_back(build, three, tmp_path):
    frame = three.frame.copy()
    frame["labels"] = None
    frame["case_id"] = ["../ü", "a/b c", "<b>"]
    frame["split"] = ""
    loaded = build(tmp_path / "c", Manifest.from_frame(frame)) and load_collection(tmp_path / "c")
    assert loaded.records["case_id"].tolist() == ["../ü", "a/b c", "<b>"]
    assert {case.labels for case in cases(loaded)} == {()}
    assert cases(loaded)[0].label == "unlabelled"
    assert loaded.values("label") == ()


def test_only_the_columns_that_are_named_are_kept(embedder, three, tmp_path):
    frame = three.frame.assign(sex=["f", None, "m"], age=[61, 40, 7], name="Doe")
    options = {"name": "Small", "text": "", "synthetic": True, "keep": ["sex", "age"]}
    build_collection(tmp_path / "c", embedder, Manifest.from_frame(frame), **options)
    loaded = load_collection(tmp_path / "c")
    further = set(loaded.records.columns) - set(CASE_COLUMNS)
    assert further == {"sex", "age"}
    assert loaded.values("sex") == ("f", "m")
    assert loaded.values("age") == (7, 40, 61)
    with pytest.raises(ManifestError, match="no such column"):
        build_collection(tmp_path / "c", embedder, three, **options)
