"""Copies of a picture are found, turned, mirrored or cut closer, and those across splits are listed."""

import numpy as np
import pytest
from PIL import Image

from mermed_core.collections.quality.duplicates import check_duplicates, compare_pairs
from mermed_core.collections.quality.neighbourhood import Neighbourhood, unique_pairs
from mermed_core.collections.quality.polar_picture import PolarPictures

PLAIN = 40


def closer(pixels, angle):
    turned = Image.fromarray(pixels).rotate(angle, Image.Resampling.BICUBIC)
    side = pixels.shape[0]
    cut = round(side * 0.15)
    return np.asarray(turned.crop((cut, cut, side - cut, side - cut)).resize((side, side)))


CHANGES = {
    "turned": lambda pixels: np.rot90(pixels),
    "mirrored": lambda pixels: pixels[:, ::-1],
    "upside down": lambda pixels: pixels[::-1],
    "turned and cut": lambda pixels: closer(pixels, 20),
    "darker": lambda pixels: (pixels * 0.8).astype(np.uint8),
}


def kinds(collection):
    return collection.records["modality"].to_numpy()


def polar(pictures):
    held = PolarPictures.empty(len(pictures))
    for row, pixels in enumerate(pictures):
        held.put(row, np.ascontiguousarray(pixels))
    return held


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_liker_than_any_other_picture(make_texture, change):
    first = [make_texture(seed) for seed in range(6)]
    held = polar([*first, CHANGES[change](first[0])])
    (likeness,) = held.likeness(np.array([[other, 6] for other in range(6)]))
    assert likeness[0] > 0.85
    assert likeness[0] > likeness[1:].max() + 0.2


def test_the_likeness_does_not_depend_on_the_order_and_a_picture_is_like_itself(make_texture):
    held = polar([make_texture(0), make_texture(1)])
    (likeness,) = held.likeness(np.array([[0, 1], [1, 0], [0, 0]]))
    assert likeness[0] == pytest.approx(likeness[1], abs=1e-3)
    assert likeness[2] == pytest.approx(1, abs=1e-3)


def test_a_picture_that_shows_nothing_is_like_no_other(make_texture):
    held = polar([np.full((50, 60, 3), 90, np.uint8), make_texture(1)])
    (likeness,) = held.likeness(np.array([[0, 1]]))
    assert likeness[0] == 0
    assert held.shown().tolist() == [False, True]


@pytest.fixture
def with_copies(make_collection, make_jpeg, make_texture):
    """Forty pictures with their own vectors, and copies of the first three in another split."""
    random = np.random.default_rng(5)
    pictures = [make_texture(seed) for seed in range(PLAIN)]
    pictures += [change(pictures[row]) for row, change in enumerate(list(CHANGES.values())[:3])]
    vectors = random.normal(size=(PLAIN, 24)) + 1.0
    vectors = np.concatenate([vectors, vectors[:3] + random.normal(size=(3, 24)) * 0.2])
    splits = ["train"] * PLAIN + ["test"] * 3
    thumbnails = [make_jpeg(np.ascontiguousarray(pixels)) for pixels in pictures]
    labels = [["a"]] * PLAIN + [["b"]] + [["a"]] * 2
    return make_collection(vectors, thumbnails, split=splits, labels=labels), pictures


def test_copies_across_splits_lead_the_list_and_no_other_pair_is_flagged(with_copies):
    collection, pictures = with_copies
    pairs = compare_pairs(
        collection.vectors, kinds(collection), Neighbourhood.of(collection), polar(pictures)
    )
    duplicates, leakage = check_duplicates(collection, pairs, 100)
    wanted = {("c0", "c40"), ("c1", "c41"), ("c2", "c42")}
    assert {suspect.cases for suspect in leakage.suspects[:3]} == wanted
    assert {suspect.cases for suspect in duplicates.suspects if suspect.flagged} == wanted
    assert leakage.flagged == 3
    details = {suspect.cases: suspect.details for suspect in duplicates.suspects}
    assert not details["c0", "c40"]["same_labels"]
    assert details["c1", "c41"]["same_labels"]
    assert details["c1", "c41"]["across_splits"]
    assert "in train and test" in leakage.suspects[0].reason


def test_without_pictures_vectors_serve_and_the_result_says_so(with_copies):
    collection, _ = with_copies
    pairs = compare_pairs(collection.vectors, kinds(collection), Neighbourhood.of(collection), None)
    duplicates, leakage = check_duplicates(collection, pairs, 100)
    assert {suspect.cases for suspect in leakage.suspects[:3]} == {
        ("c0", "c40"),
        ("c1", "c41"),
        ("c2", "c42"),
    }
    assert "no pictures" in duplicates.notes[0]
    assert "likeness" not in duplicates.suspects[0].details


def test_identical_vectors_are_always_flagged(make_collection):
    vectors = np.random.default_rng(0).normal(size=(30, 8))
    vectors[29] = vectors[4]
    collection = make_collection(vectors, split=["train"] * 29 + ["test"])
    pairs = compare_pairs(collection.vectors, kinds(collection), Neighbourhood.of(collection), None)
    first = check_duplicates(collection, pairs, 5)[1].suspects[0]
    assert (first.cases, first.flagged, first.details["identical"]) == (("c4", "c29"), True, True)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_collection_of_a_few_cases_has_no_copies_among_different_ones(make_collection, count):
    collection = make_collection(np.eye(4)[:count] + 0.1)
    pairs = compare_pairs(collection.vectors, kinds(collection), Neighbourhood.of(collection), None)
    assert check_duplicates(collection, pairs, 5)[0].flagged == 0


def test_pairs_are_unique_and_ordered():
    assert unique_pairs(np.array([[1, 2], [0, -1], [1, 0]])).tolist() == [[0, 1], [0, 2], [1, 2]]
