"""A collection comes back as it was written, or not at all."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mermed_core.collections.collection import (
    INDEX,
    MANIFEST,
    MAP,
    RECORDS,
    VECTORS,
    Collection,
    build_collection,
    load_collection,
)
from mermed_core.data.manifest import Manifest
from mermed_core.models.embedder import THUMBNAIL_SIDE
from mermed_core.errors import CollectionError, ManifestError, OccupiedError
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.inference.predictor import Predictor

FILES = (MANIFEST, RECORDS, VECTORS, INDEX, MAP)


@pytest.fixture(scope="session")
def collection(collection_folder):
    return load_collection(collection_folder)


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
    assert loaded.cases == built.cases == tuple(three.cases())
    np.testing.assert_array_equal(loaded.vectors, built.vectors)
    np.testing.assert_array_equal(loaded.coordinates, built.coordinates)
    facts = ("name", "description", "synthetic", "fingerprint")
    assert [getattr(loaded, fact) for fact in facts] == [getattr(built, fact) for fact in facts]
    assert loaded.name == "Small"
    for case in loaded.cases:
        assert loaded.thumbnail(case.case_id) == built.thumbnail(case.case_id)


def test_every_part_is_of_the_same_case(collection, embedder):
    assert len(collection) == 42
    assert collection.modalities() == tuple(sorted(MODALITY_KEYS))
    np.testing.assert_allclose(np.linalg.norm(collection.vectors, axis=1), 1, atol=1e-5)
    similarities, positions = collection.index.search(collection.vectors, 1)
    np.testing.assert_array_equal(positions[:, 0], np.arange(42))
    np.testing.assert_allclose(similarities, 1, atol=1e-5)
    case = collection.cases[17]
    assert collection.position(case.case_id) == 17
    assert collection.case(case.case_id) is case
    picture = Image.open(io.BytesIO(collection.thumbnail(case.case_id)))
    assert (picture.format, max(picture.size)) == ("JPEG", THUMBNAIL_SIDE)
    near = embedder.embed(np.array(picture), case.modality)
    assert collection.index.search(near[None], 1)[1][0, 0] == 17


def test_a_map_keeps_the_modalities_together(collection):
    assert collection.coordinates.shape == (42, 2)
    assert np.isfinite(collection.coordinates).all()
    of = np.array([case.modality for case in collection.cases])
    distances = np.linalg.norm(collection.coordinates[:, None] - collection.coordinates[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert np.mean(of[distances.argmin(axis=1)] == of) > 0.6


def test_how_near_cases_usually_are(collection):
    similarity = collection.vectors @ collection.vectors.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = similarity.max(axis=1)
    assert len(collection) < 200  # so all of them are asked
    assert collection.usual_similarity == pytest.approx(np.quantile(nearest, 0.01), abs=1e-5)


def test_a_case_that_is_alone_makes_no_other_far(build, three, tmp_path):
    build(tmp_path / "one", three.select([0]))
    assert load_collection(tmp_path / "one").usual_similarity == -1


def test_unknown_case_is_told(collection):
    for ask in (collection.position, collection.case, collection.thumbnail):
        with pytest.raises(CollectionError, match="no case 'nobody'"):
            ask("nobody")


def test_filters_agree_with_a_plain_search(collection):
    case = collection.cases[0]
    labels = set(collection.labels()[:2])
    chosen = collection.matching(modalities={"ct", "oct"}, labels=labels, without_group=case.group)
    expected = [
        row
        for row, each in enumerate(collection.cases)
        if each.modality in ("ct", "oct") and labels & set(each.labels) and each.group != case.group
    ]
    assert chosen.tolist() == expected
    assert collection.matching().tolist() == list(range(42))
    assert collection.matching(sources={"nowhere"}).tolist() == []
    assert (
        collection.matching(sources={"phantom_ct"}).tolist()
        == collection.matching(modalities={"ct"}).tolist()
    )


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


def test_no_folder_is_told_with_the_way_to_make_one(tmp_path):
    with pytest.raises(CollectionError, match=r"python -m train\.build_collection"):
        load_collection(tmp_path / "nowhere")


def test_parts_of_different_length_are_refused(collection):
    from mermed_core.collections.collection import Description

    with pytest.raises(CollectionError, match="differ in length"):
        Collection(
            Description("n", "", True, "f"),
            collection.cases[1:],
            collection.vectors,
            collection.coordinates,
            [b""] * 42,
            collection.index,
        )


def test_a_collection_can_be_moved(copied, collection, tmp_path):
    moved = copied.rename(tmp_path / "elsewhere")
    assert load_collection(moved).cases == collection.cases


def test_another_models_collection_is_refused(collection_folder, model_folder, make_model, tmp_path):
    make_model(tmp_path / "other", seed=1)
    shutil.copytree(model_folder / "heads", tmp_path / "other" / "heads")
    with pytest.raises(CollectionError, match="another model"):
        Predictor.load(tmp_path / "other", collection_folder)


def test_broken_images_are_left_out_and_named(build, three, tmp_path):
    frame = three.frame.copy()
    frame.at[1, "image"] = b"no image"
    collection = build(tmp_path / "c", Manifest.from_frame(frame))
    assert [case.case_id for case in collection.cases] == [frame.at[0, "case_id"], frame.at[2, "case_id"]]
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
    assert [case.case_id for case in loaded.cases] == ["../ü", "a/b c", "<b>"]
    assert {case.labels for case in loaded.cases} == {()}
    assert loaded.cases[0].label == "unlabelled"
    assert loaded.labels() == ()
