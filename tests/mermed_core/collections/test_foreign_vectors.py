"""Collections of vectors from elsewhere: a map of its own kind, in which no image is searched."""

from pathlib import Path

import numpy as np
import pytest

from mermed_core.collections import store
from mermed_core.collections.changes import add_cases, remove_cases
from mermed_core.collections.foreign_vectors import build_from_vectors, fitted_space, holds
from mermed_core.collections.pictures import image_contents
from mermed_core.collections.store import load_collection
from mermed_core.data.manifest import Manifest
from mermed_core.data.vector_file import VectorFile
from mermed_core.errors import CollectionError, ManifestError
from mermed_core.inference import own_heads
from mermed_core.inference.predictor import Predictor


@pytest.fixture(autouse=True)
def _quick_map(monkeypatch) -> None:
    monkeypatch.setattr(store, "compute_map", lambda vectors, _: vectors[:, :2].copy())


@pytest.fixture
def some(phantoms) -> Manifest:
    return phantoms.select(range(12))


@pytest.fixture
def vectors(some) -> VectorFile:
    values = np.random.default_rng(0).normal(size=(12, 300)).astype(np.float32)
    return VectorFile("theirs.npz", "ab" * 32, values, tuple(some.frame["case_id"][::-1]))


def build(folder: Path, manifest: Manifest, vectors: VectorFile, rows=None, **options):
    stated = {"name": "Theirs", "text": "", "synthetic": True, **options}
    rows = vectors.rows_of(manifest.frame["case_id"]) if rows is None else rows
    return build_from_vectors(folder, manifest, vectors, rows, **stated)


def cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def test_each_case_has_its_own_vector_and_nearest_cases(tmp_path, some, vectors):
    short = VectorFile(vectors.name, vectors.sha256, vectors.vectors[:, :40] * 1e20, vectors.case_ids)
    built = build(tmp_path / "theirs", some, short)
    expected = cosines(vectors.vectors[::-1, :40].astype(np.float64))
    np.testing.assert_allclose(built.vectors[:] @ built.vectors[:].T, expected, atol=0.02)
    np.fill_diagonal(expected, -1)
    case = built.cases_at([3])[0]
    assert (
        built.nearest(built.vectors[3], 1, without=case)[0].case == built.cases_at([expected[3].argmax()])[0]
    )
    assert built.thumbnail(case.case_id)
    assert "theirs.npz, 40 numbers" in built.foreign
    assert load_collection(tmp_path / "theirs").encoder == built.encoder


def test_long_vectors_become_principal_components_that_keep_what_they_can():
    random = np.random.default_rng(1)
    latent, mixing = random.normal(size=(900, 30)), random.normal(size=(30, 1000))
    values = (latent @ mixing + 0.1 * random.normal(size=(900, 1000))).astype(np.float32)
    space = fitted_space(values)
    assert space.dim == 256
    kept = space.project(values / np.linalg.norm(values, axis=1, keepdims=True))
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)  # what components are of; the reference keeps every number
    np.testing.assert_allclose(kept @ kept.T, cosines(centred), atol=0.01)


def test_of_few_long_vectors_there_are_fewer_components():
    assert fitted_space(np.random.default_rng(2).normal(size=(9, 300))).dim == 8


def test_an_image_that_cannot_be_read_is_left_out_with_its_vector(tmp_path, some, vectors):
    frame = some.frame.copy()
    frame.at[4, "image"] = b"no image"
    built = build(tmp_path / "theirs", Manifest.from_frame(frame), vectors)
    whole = build(tmp_path / "whole", some, vectors)
    assert len(built) == 11
    expected = np.delete(whole.vectors[:], 4, axis=0)
    np.testing.assert_allclose(built.vectors[:] @ built.vectors[:].T, expected @ expected.T, atol=0.02)
    frame["image"] = b"no image"
    with pytest.raises(ManifestError, match="Not one image"):
        build(tmp_path / "none", Manifest.from_frame(frame), vectors)


def test_without_pictures_no_image_is_read(tmp_path, some, vectors):
    assert not build(tmp_path / "theirs", some, vectors, pictures=False).has_pictures


def test_it_is_known_again_until_an_image_changes(tmp_path, some, vectors):
    def known(images: Manifest) -> bool:
        return holds(tmp_path / "theirs", images, image_contents(images))

    assert not known(some)
    build(tmp_path / "theirs", some, vectors)
    assert known(some)
    assert not known(some.select(range(11)))
    assert not known(some.select(range(11, -1, -1)))


def test_a_patient_is_removed_as_from_any_collection_and_no_model_adds(
    tmp_path, some, vectors, embedder, fitted
):
    build(tmp_path / "theirs", some, vectors)
    assert remove_cases(tmp_path / "theirs", cases=[some.frame["case_id"].iloc[2]]) == 1
    assert load_collection(tmp_path / "theirs").encoder
    with pytest.raises(CollectionError, match=r"made elsewhere \(theirs.npz.*vectors as --vectors"):
        add_cases(tmp_path / "theirs", embedder, some, space=fitted.parts.space)


def test_a_model_explores_it_but_compares_no_image_with_it(tmp_path, some, vectors, model_folder):
    build(tmp_path / "theirs", some, vectors)
    predictor = Predictor.load(model_folder, tmp_path / "theirs")
    assert predictor.collection is None
    assert predictor.explored is not None
    assert predictor.explored.name == "Theirs"
    assert predictor.closeness is None
    image = some.read_image(0)
    embedding = predictor.embed(image)
    analysis = predictor.analyse(embedding)
    assert analysis.neighbours == ()
    assert analysis.point is None
    assert predictor.place(embedding) is None
    with pytest.raises(CollectionError, match=r"“Theirs” were made elsewhere \(theirs.npz, 300 numbers"):
        predictor.similar(embedding)
    case_id = some.frame["case_id"].iloc[0]
    with pytest.raises(
        CollectionError, match="made elsewhere"
    ):  # a visitor's classifier mixes cases and images
        own_heads.example_of(predictor, case_id, "one")
    found = predictor.similar(case_id, count=3)
    assert len(found) == 3
    assert case_id not in {hit.case.case_id for hit in found}
