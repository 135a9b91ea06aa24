"""A collection folder: it comes back as it was written, or not at all."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mermed_core.collections.collection import CASE_COLUMNS, Collection, Description
from mermed_core.collections.folder import verify_folder
from mermed_core.collections.segment import RECORDS, SCALE, THUMBNAILS, VECTORS
from mermed_core.collections.sources import SourceFacts
from mermed_core.collections.stated import FORMAT, MANIFEST
from mermed_core.collections.store import build_collection, load_collection, write_collection
from mermed_core.data.manifest import Manifest
from mermed_core.errors import CollectionError, ManifestError, OccupiedError
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.inference.predictor import Predictor
from mermed_core.models.embedder import embed_manifest
from mermed_core.models.embedding_cache import EmbeddingCache
from mermed_core.models.retrieval_space import RetrievalSpace
from mermed_core.records import Case


def cases(collection: Collection) -> tuple[Case, ...]:
    return collection.cases_at(np.arange(len(collection)))


PARTS = (RECORDS, VECTORS, SCALE, THUMBNAILS)
FILES = (MANIFEST, "map-*.parquet", *(f"segment-*/{name}" for name in PARTS))


def file_of(folder: Path, name: str) -> Path:
    """Returns the one file of a collection whose name is like this."""
    (path,) = folder.glob(name)
    return path


@pytest.fixture
def copied(collection_folder, tmp_path):
    return shutil.copytree(collection_folder, tmp_path / "copy")


@pytest.fixture
def build(embedder):
    def make(folder, manifest, **options):
        given = {"name": "Small", "text": "Drawn.", "synthetic": True} | options
        given.setdefault("space", RetrievalSpace.identity(embedder.backbone.dim))
        return build_collection(folder, embedder, manifest, **given)

    return make


@pytest.fixture
def three(phantoms):
    """As few as need no map by UMAP."""
    return phantoms.select([0, 21, 42])


def test_what_was_built_comes_back(build, three, tmp_path):
    built, loaded = build(tmp_path / "c", three), load_collection(tmp_path / "c")
    assert cases(loaded) == cases(built) == tuple(three.cases())
    np.testing.assert_array_equal(loaded.vectors[:], built.vectors[:])
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
    path = file_of(copied, name)
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "renamed":
        path.with_suffix(".old").write_bytes(content)
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
        shutil.copy(file_of(tmp_path / "other", name), file_of(copied, name))
        with pytest.raises(CollectionError, match="damaged"):
            load_collection(copied)


@pytest.mark.parametrize(
    "change",
    [
        {"format": FORMAT + 1},
        {"format": None},
        {"segments": None},
        {"segments": []},
        {"segments": [{"name": "segment-0", "rows": 42, "files": []}]},
        {"map": {"name": "../map.parquet", "size": 1, "sha256": "", "sample": ""}},
        {"cases": 41},
        {"dim": 3},
        {"sources": None},
        {"sources": {"busi": 1}},
        {"sources": {"busi": {"home": "javascript:alert(1)"}}},
        *({name: ...} for name in ("format", "name", "text", "synthetic", "fingerprint", "sources")),
        *({name: ...} for name in ("segments", "map", "cases", "state")),
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


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (1, "build it again: mermed collect --data"),
        (2, "mermed collect migrate"),
        (FORMAT + 1, "newer version has made it.*Update this program"),
    ],
)
def test_a_folder_of_another_format_says_what_to_do(copied, number, advice):
    stated = json.loads((copied / MANIFEST).read_text()) | {"format": number}
    (copied / MANIFEST).write_text(json.dumps(stated))
    with pytest.raises(CollectionError, match=rf"is of format {number}.*{advice}"):
        load_collection(copied)


def test_a_damaged_one_says_what_is_wrong_and_how_to_build_it_again(copied):
    file_of(copied, f"segment-*/{VECTORS}").unlink()
    with pytest.raises(CollectionError, match=rf"{VECTORS}' is missing.*mermed collect --data .* --out"):
        load_collection(copied)


@pytest.mark.parametrize("pattern", [MANIFEST, f"segment-*/{VECTORS}", "map-*.parquet"])
def test_what_may_not_be_read_is_not_called_damaged(copied, pattern, monkeypatch):
    forbidden = file_of(copied, pattern)
    forbidden.chmod(0)
    if os.access(forbidden, os.R_OK):  # root may read all there is
        status = Path.is_file

        def refused(path: Path) -> bool:
            if path == forbidden:
                raise PermissionError(13, "Permission denied", str(path))
            return status(path)

        monkeypatch.setattr(Path, "is_file", refused)
        monkeypatch.setattr(os, "access", lambda path, _: path != forbidden)
    for opens in (load_collection, verify_folder):
        with pytest.raises(CollectionError, match="may not be read by the user") as caught:
            opens(copied)
        assert "damaged" not in str(caught.value)
        assert "mermed collect" not in str(caught.value)


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


def test_only_the_columns_that_are_named_are_kept(build, three, tmp_path):
    frame = three.frame.assign(sex=["f", None, "m"], age=[61, 40, 7], name="Doe")
    build(tmp_path / "c", Manifest.from_frame(frame), keep=["sex", "age"])
    loaded = load_collection(tmp_path / "c")
    further = set(loaded.records.columns) - set(CASE_COLUMNS)
    assert further == {"sex", "age", "file", "frame", "checksum"}
    assert loaded.values("sex") == ("f", "m")
    assert loaded.values("age") == (7, 40, 61)
    with pytest.raises(ManifestError, match="no such column"):
        build(tmp_path / "c", three, keep=["sex"])


def test_file_names_are_kept_of_known_sets_and_where_they_are_asked_for(build, three, tmp_path):
    frame = three.frame.assign(file=["a.png", "Doe.png", "c.png"], source=["known", "ward", "known"])
    manifest, facts = Manifest.from_frame(frame), {"known": {"title": "Known", "other": 1}, "absent": {}}
    loaded = build(tmp_path / "c", manifest, sources=facts) and load_collection(tmp_path / "c")
    assert [case.file for case in cases(loaded)] == ["a.png", "", "c.png"]
    assert loaded.sources == {"known": SourceFacts(title="Known")}
    assert (loaded.source("known").title, loaded.source("ward").title) == ("Known", "ward")
    kept = build(tmp_path / "c", manifest, keep=["file"])
    assert [case.file for case in cases(kept)] == ["a.png", "Doe.png", "c.png"]


def test_the_checksum_is_that_of_the_encoded_image_wherever_it_lies(build, three, tmp_path):
    (tmp_path / "image.png").write_bytes(three.frame.at[1, "image"])
    frame = three.frame.copy()
    frame.loc[1, ["path", "image"]] = [str(tmp_path / "image.png"), None]
    records = build(tmp_path / "c", Manifest.from_frame(frame)).records
    expected = [hashlib.sha256(image).hexdigest()[:16] for image in three.frame["image"]]
    assert records["checksum"].tolist() == expected


def test_without_pictures_none_is_kept(build, three, tmp_path):
    build(tmp_path / "c", three, pictures=False)
    loaded = load_collection(tmp_path / "c")
    assert not loaded.has_pictures
    assert [loaded.thumbnail(case.case_id) for case in cases(loaded)] == [None] * 3
    (segment,) = (tmp_path / "c").glob("segment-*")
    assert {path.name for path in segment.iterdir()} == {*PARTS} - {THUMBNAILS}


def test_pictures_come_one_by_one_and_each_is_its_cases(build, phantoms, tmp_path, monkeypatch):
    monkeypatch.setattr("mermed_core.collections.segment._BATCH", 4)
    monkeypatch.setattr("mermed_core.collections.store.compute_map", lambda vectors, _: vectors[:, :2].copy())
    built = build(tmp_path / "c", phantoms.select(range(10)))
    loaded = load_collection(tmp_path / "c")
    for case in cases(built):
        assert loaded.thumbnail(case.case_id) == built.thumbnail(case.case_id)
    build(tmp_path / "c", phantoms.select(range(100, 110)))
    for case in cases(built):  # the collection that took its place lends it no picture
        assert loaded.thumbnail(case.case_id) == built.thumbnail(case.case_id)


def test_cases_are_compared_in_the_retrieval_space(build, embedder, phantoms, tmp_path, monkeypatch):
    monkeypatch.setattr("mermed_core.collections.store.compute_map", lambda vectors, _: vectors[:, :2].copy())
    manifest = phantoms.select(range(30))
    vectors = embed_manifest(embedder, manifest).vectors
    basis = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2][:8]
    space = RetrievalSpace(vectors.mean(axis=0), basis.astype(np.float32))
    build(tmp_path / "c", manifest, space=space)
    loaded = load_collection(tmp_path / "c")
    np.testing.assert_allclose(loaded.vectors[:], space.project(vectors), atol=0.01)
    assert loaded.fingerprint == f"{embedder.fingerprint}-{space.digest}"


def test_embeddings_are_made_once_and_give_the_same_collection(build, embedder, three, tmp_path, monkeypatch):
    plain = build(tmp_path / "plain", three)
    cache = EmbeddingCache(tmp_path / "cache")
    build(tmp_path / "first", three, cache=cache)
    monkeypatch.setattr(embedder, "embed_tensors", None)  # nothing is embedded from here on
    second = build(tmp_path / "second", three, cache=cache)
    np.testing.assert_array_equal(second.vectors[:], plain.vectors[:])
    assert second.thumbnail(cases(second)[1].case_id) == plain.thumbnail(cases(plain)[1].case_id)


def test_vectors_from_elsewhere_become_a_collection(embedder, three, tmp_path):
    embeddings = embed_manifest(embedder, three)
    space = RetrievalSpace.identity(embedder.backbone.dim)
    description = Description("Given", "", True, "someone's")
    write_collection(tmp_path / "c", embeddings, description, space=space, pictures=False)
    loaded = load_collection(tmp_path / "c")
    assert (loaded.name, loaded.fingerprint, len(loaded)) == ("Given", "someone's", 3)


def test_opening_and_searching_load_nothing_that_only_a_model_needs():
    """Torch alone is half of the gigabyte that a million cases may take."""
    check = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mermed_core.collections.store import load_collection\n"
        "collection = load_collection(Path(sys.argv[1]))\n"
        "collection.nearest(collection.vectors[0], 12), collection.records\n"
        "collection.thumbnail(collection.cases_at([0])[0].case_id)\n"
        "print(*{'torch', 'timm', 'sklearn', 'umap', 'numba', 'gradio', 'matplotlib'} & sys.modules.keys())\n"
    )
    command = [sys.executable, "-c", check, str(BUNDLED_COLLECTION)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
