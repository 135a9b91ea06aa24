"""What a model is fitted on: images, changed copies that are the same each time, and unknown kinds."""

from dataclasses import replace

import numpy as np
import pytest

from mermed_core.fitting import training_vectors
from mermed_core.fitting.acquisition_changes import acquired_elsewhere
from mermed_core.fitting.image_changes import change, grey_world
from mermed_core.fitting.training_vectors import embed_training, embed_unknown
from mermed_core.models.embedder import Embedder
from mermed_core.models.embedding_cache import EmbeddingCache
from mermed_core.models.preprocessing import paper_normalisation


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(training_vectors, "_DETECTOR_IMAGES", 5)
    monkeypatch.setattr(training_vectors, "_CHANGED_IMAGES", 2)


@pytest.fixture
def aware(embedder) -> Embedder:
    """An encoder that normalises every modality in its own way."""
    preprocessing = replace(embedder.config.preprocessing, modalities=paper_normalisation())
    config = replace(embedder.config, preprocessing=preprocessing)
    return Embedder(embedder.backbone, config, "aware", embedder.device)


@pytest.fixture
def few(phantoms):
    frame = phantoms.frame
    return phantoms.select(np.flatnonzero(frame["modality"].isin(["ct", "fundus"]))[::2])


def test_copies_are_those_of_some_training_images(embedder, few):
    vectors = embed_training(embedder, few, {})
    assert vectors.neutral is vectors.by_modality  # this encoder normalises all alike
    assert len(vectors.by_modality.vectors) == len(few)
    frame = vectors.copies.manifest.frame
    assert len(frame) == len(vectors.copies.vectors) == 2 * 2 * 2  # rounds, images and sources
    assert set(frame["split"]) == {"train"}
    cases = few.frame["case_id"].tolist()
    first, second = np.split(np.arange(8), 2)
    for number, rows in ((0, first), (1, second)):
        for row in rows:
            case_id = frame["case_id"].iloc[row]
            seed = [number, training_vectors.zlib.crc32(case_id.encode())]
            pixels = few.read_image(cases.index(case_id)).pixels
            changed = change(pixels, frame["modality"].iloc[row], np.random.default_rng(seed))
            np.testing.assert_allclose(vectors.copies.vectors[row], embedder.embed(changed, None), atol=1e-5)


def test_heads_see_every_training_image_of_skin_with_balanced_colours(embedder, phantoms):
    few = phantoms.select(phantoms.frame["modality"] == "dermatology")
    vectors = embed_training(embedder, few, {})
    train = few.split("train")
    some, copies = vectors.neutral_copies, vectors.copies
    np.testing.assert_array_equal(copies.vectors[: len(some.vectors)], some.vectors)
    frame = copies.manifest.frame[len(some.vectors) :]
    assert frame["case_id"].tolist() == train.frame["case_id"].tolist()
    balanced = embedder.embed(grey_world(train.read_image(0).pixels), None)
    np.testing.assert_allclose(copies.vectors[len(some.vectors)], balanced, atol=1e-5)


def test_copies_as_from_other_devices_are_the_detectors_alone(embedder, few):
    vectors = embed_training(embedder, few, {})
    frame = vectors.elsewhere.manifest.frame
    assert frame["case_id"].tolist() == vectors.neutral_copies.manifest.frame["case_id"].tolist()
    cases = few.frame["case_id"].tolist()
    for row, number in ((0, 0), (len(frame) - 1, 1)):
        case_id = frame["case_id"].iloc[row]
        random = np.random.default_rng([number, training_vectors.zlib.crc32(case_id.encode())])
        pixels = few.read_image(cases.index(case_id)).pixels
        changed = acquired_elsewhere(pixels, frame["modality"].iloc[row], random)
        np.testing.assert_allclose(vectors.elsewhere.vectors[row], embedder.embed(changed, None), atol=1e-5)
    assert len(vectors.copies.vectors) == len(vectors.neutral_copies.vectors)  # what heads see


def test_negatives_are_of_grey_modalities_alone(embedder, few):
    vectors = embed_training(embedder, few, {})
    frame = vectors.negatives.manifest.frame
    assert set(frame["modality"]) == {"ct"}
    assert list(frame["case_id"]) == list(vectors.taken.manifest.frame["case_id"])
    cases = few.frame["case_id"].tolist()
    assert len(frame) == 2
    for row, case_id in enumerate(frame["case_id"]):
        pixels = few.read_image(cases.index(case_id)).pixels
        for side, shown in ((vectors.taken, pixels), (vectors.negatives, 255 - pixels)):
            np.testing.assert_allclose(side.vectors[row], embedder.embed(shown, None), atol=1e-5)


def test_known_images_are_some_of_each_source_with_the_copies_behind(embedder, few):
    vectors = embed_training(embedder, few, {})
    known = vectors.known()
    sampled = vectors.sampled()
    train = (few.frame["split"] == "train").to_numpy()
    assert train[sampled].all()
    assert len(sampled) == 10
    assert known.original.tolist() == [True] * 10 + [False] * 16
    np.testing.assert_array_equal(known.vectors[:10], vectors.neutral.vectors[sampled])
    frame = few.frame.iloc[sampled]
    assert known.modalities[:10].tolist() == frame["modality"].tolist()
    assert known.sources[:10].tolist() == frame["source"].tolist()
    assert known.groups[:10].tolist() == few.patients()[sampled].tolist()
    same = {(a, b) for a, b in zip(known.classes, known.sources, strict=True)}
    assert len(same) == len(set(known.classes))  # a class belongs to one label set


def test_images_without_a_label_are_a_class_of_their_own(embedder, few):
    frame = few.frame
    frame["labels"] = None
    vectors = embed_training(embedder, type(few).from_frame(frame), {})
    assert set(vectors.known().classes) == {"phantom_ct/", "phantom_fundus/"}


def test_what_is_held_out_is_val_or_else_train(embedder, few):
    frame = few.frame
    frame["split"] = np.resize(["train", "train", "val"], len(frame))
    held_out = embed_training(embedder, type(few).from_frame(frame), {}).held_out()
    assert len(held_out.vectors) == (frame["split"] == "val").sum()
    assert held_out.original.all()
    frame["split"] = "train"
    assert len(embed_training(embedder, type(few).from_frame(frame), {}).held_out().vectors) == len(few)


def test_an_encoder_that_normalises_each_modality_is_asked_twice(aware, few):
    vectors = embed_training(aware, few, {})
    pixels, modality = few.read_image(0).pixels, few.frame["modality"].iloc[0]
    np.testing.assert_allclose(vectors.by_modality.vectors[0], aware.embed(pixels, modality), atol=1e-5)
    np.testing.assert_allclose(vectors.neutral.vectors[0], aware.embed(pixels, None), atol=1e-5)
    assert not np.allclose(vectors.copies.vectors, vectors.neutral_copies.vectors, atol=1e-3)
    assert vectors.copies.manifest == vectors.neutral_copies.manifest
    known = vectors.known().vectors
    np.testing.assert_array_equal(known[-16:-8], vectors.neutral_copies.vectors)
    np.testing.assert_array_equal(known[-8:], vectors.elsewhere.vectors)


def test_a_cache_gives_the_same_and_embeds_nothing_again(aware, few, tmp_path, monkeypatch):
    cache = EmbeddingCache(tmp_path)
    plain, first = embed_training(aware, few, {}), embed_training(aware, few, {}, cache=cache)

    def refuse(*_, **__):
        raise AssertionError("embedded again")

    monkeypatch.setattr("mermed_core.models.embedding_cache.embed_manifest", refuse)
    second = embed_training(aware, few, {}, cache=cache)
    for name in ("by_modality", "neutral", "copies", "neutral_copies", "elsewhere"):
        vectors = [getattr(each, name).vectors for each in (plain, first, second)]
        np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
        np.testing.assert_array_equal(vectors[1], vectors[2])


def test_unknown_kinds_are_embedded_each_with_two_copies(embedder, monkeypatch, make_strange):
    cats = make_strange(3, 2)["squares of 1"]
    packaged = {"photographs": cats[:1], "crops": cats[1:], "textures": cats[:1], "noise": cats[:1]}
    monkeypatch.setattr(training_vectors, "unknown_images", lambda: packaged)
    monkeypatch.setattr(training_vectors, "unknown_medical", lambda: cats[1:])
    given = {"cats": cats, "noise": cats[1:]}
    unknown = embed_unknown(embedder, given)
    kinds, counts = np.unique(unknown.kinds, return_counts=True)
    # Crops and textures show the same as photographs, and what is given joins what is packaged.
    assert dict(zip(kinds, counts.tolist(), strict=True)) == {
        "MR": 3,
        "cats": 6,
        "noise": 6,
        "photographs": 9,
    }
    assert unknown.original.tolist() == [True, False, False] * 8
    np.testing.assert_array_equal(unknown.vectors[0], embedder.embed(cats[0], None))
    assert not np.allclose(unknown.vectors[0], unknown.vectors[1], atol=1e-4)
    np.testing.assert_array_equal(unknown.vectors, embed_unknown(embedder, given).vectors)
    assert len(given["noise"]) == 1  # what was given is left as it was
