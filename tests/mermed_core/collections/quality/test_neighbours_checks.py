"""Doubtful labels, outliers, mixed-up modalities and sparse regions: planted ones lead the lists."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mermed_core.collections.quality.doubtful_labels import check_labels, label_doubts
from mermed_core.collections.quality.mixed_modalities import check_modalities
from mermed_core.collections.quality.neighbourhood import Neighbourhood, patients
from mermed_core.collections.quality.outliers import check_outliers, distances_within
from mermed_core.collections.quality.sparse_regions import check_regions
from mermed_core.data.validation import BY_FILE, BY_MODEL, TOLD_BY


def clusters(seed, count, spread=0.35, centres=3):
    """Returns vectors around a few axes, and the axis of each."""
    random = np.random.default_rng(seed)
    axes = np.arange(count) % centres
    return np.eye(16)[axes] + random.normal(size=(count, 16)) * spread / 4, axes


def test_neighbours_leave_out_the_case_itself_also_among_exact_copies(make_collection):
    collection = make_collection(np.repeat(np.eye(3), 4, axis=0))
    found = Neighbourhood.of(collection, count=3)
    assert (found.positions != np.arange(12)[:, None]).all()
    np.testing.assert_allclose(found.similarities, 1, atol=1e-6)
    assert (found.positions // 4 == np.arange(12)[:, None] // 4).all()


def test_a_patient_number_is_its_sources_own_and_a_case_without_one_is_alone(make_collection):
    collection = make_collection(np.eye(4), source=["a", "b", "a", "a"], group=["12", "12", "12", ""])
    codes = patients(collection.records)
    assert codes[0] == codes[2]
    assert len(set(codes)) == 3


def test_planted_labels_are_ranked_first_and_the_right_one_is_proposed(make_collection):
    vectors, axes = clusters(1, 150)
    wrong = np.arange(0, 150, 21)
    stated = axes.copy()
    stated[wrong] = (stated[wrong] + 1) % 3
    collection = make_collection(vectors, labels=[[f"l{code}"] for code in stated])
    neighbours = Neighbourhood.of(collection)
    doubts = label_doubts(stated, neighbours, np.arange(150))
    assert roc_auc_score(np.isin(np.arange(150), wrong), doubts.doubt) > 0.99
    result = check_labels(collection, neighbours, 50)
    planted = {f"c{row}" for row in wrong}
    assert {suspect.cases[0] for suspect in result.suspects[: len(wrong)]} == planted
    assert {suspect.cases[0] for suspect in result.suspects if suspect.flagged} <= planted
    assert result.flagged >= len(wrong) / 2
    first = result.suspects[0]
    assert first.details["proposed"] == f"l{axes[int(first.cases[0][1:])]}"


def test_images_of_one_patient_do_not_vote_for_each_other(make_collection):
    vectors, axes = clusters(2, 60)
    stated = axes.copy()
    stated[:2] = 2  # two images of one patient, both labelled wrongly
    vectors[1] = vectors[0] + 0.001
    groups = ["same", "same", *(f"p{row}" for row in range(58))]
    neighbours = Neighbourhood.of(make_collection(vectors, group=groups))
    doubts = label_doubts(stated, neighbours, np.arange(60))
    assert doubts.doubt[:2].min() > 0.9


def test_a_set_of_one_label_or_none_has_no_doubtful_one(make_collection):
    vectors, _ = clusters(3, 40)
    collection = make_collection(vectors, labels=[["a"] if row % 2 else None for row in range(40)])
    result = check_labels(collection, Neighbourhood.of(collection), 50)
    assert not result.suspects
    assert "two labels" in result.notes[0]


def test_a_case_of_another_modality_is_found(make_collection):
    vectors, axes = clusters(4, 90)
    names = np.array(["ct", "cxr", "oct"])[axes]
    names[7] = "oct" if names[7] != "oct" else "ct"
    collection = make_collection(vectors, modality=names)
    result = check_modalities(collection, Neighbourhood.of(collection), 10)
    assert result.suspects[0].cases == ("c7",)
    assert result.suspects[0].details["proposed"] == ("ct", "cxr", "oct")[axes[7]]
    assert result.flagged == 1


def test_a_modality_that_the_model_told_is_neither_doubted_nor_asked(make_collection):
    vectors, axes = clusters(4, 90)
    names = np.array(["ct", "cxr", "oct"])[axes]
    names[7] = "oct" if names[7] != "oct" else "ct"
    told = np.full(90, BY_FILE, object)
    told[7] = BY_MODEL
    collection = make_collection(vectors, modality=names, **{TOLD_BY: told})
    result = check_modalities(collection, Neighbourhood.of(collection), 10)
    assert not any("c7" in suspect.cases for suspect in result.suspects)
    assert "modality of 1 cases is the model's own answer" in result.notes[0]
    told[:] = BY_MODEL
    told[7] = BY_FILE  # which none of its neighbours can contradict
    collection = make_collection(vectors, modality=names, **{TOLD_BY: told})
    result = check_modalities(collection, Neighbourhood.of(collection), 10)
    assert not result.suspects


def test_a_case_far_from_all_others_is_an_outlier_and_hardly_any_other_is(make_collection):
    vectors, _ = clusters(5, 120)
    vectors[11] = -vectors[11]
    collection = make_collection(vectors)
    result = check_outliers(collection, Neighbourhood.of(collection), 20)
    first, second = result.suspects[:2]
    assert first.cases == ("c11",)
    assert first.score > 3 * second.score
    assert result.flagged <= 3


def test_a_case_among_those_of_another_modality_is_an_outlier_of_its_own(make_collection):
    """Whoever lies within another modality's cases has near neighbours, but none of its own modality."""
    vectors, _ = clusters(8, 240, spread=0.3)
    kinds = np.where(np.arange(240) < 120, "ct", "oct")
    vectors[kinds == "oct"] = vectors[kinds == "oct"][:, ::-1]
    kinds[[7, 130]] = "oct", "ct"
    collection = make_collection(vectors, modality=list(kinds))
    neighbours = Neighbourhood.of(collection, count=30)
    result = check_outliers(collection, neighbours, 20)
    assert {suspect.cases[0] for suspect in result.suspects[:2] if suspect.flagged} == {"c7", "c130"}
    distances = distances_within(collection.vectors, neighbours, kinds)
    similar = collection.vectors[[7]] @ collection.vectors[np.flatnonzero(kinds == "oct")].T
    assert distances[7] == pytest.approx(1 - np.sort(similar[0])[-11:-1].mean(), abs=1e-5)  # but for itself


def test_too_few_cases_make_nothing_unusual(make_collection):
    collection = make_collection(np.eye(5))
    neighbours = Neighbourhood.of(collection)
    assert not check_outliers(collection, neighbours, 5).suspects
    assert "too few" in check_outliers(collection, neighbours, 5).notes[0]
    assert not check_regions(collection, neighbours, 5).suspects


def test_a_small_group_apart_is_a_region_that_few_cases_cover(make_collection):
    vectors, _ = clusters(6, 120, spread=0.2)
    apart = np.eye(16)[12] + np.random.default_rng(0).normal(size=(4, 16)) * 0.1
    collection = make_collection(np.concatenate([vectors, apart]), labels=[["common"]] * 120 + [["rare"]] * 4)
    (region,) = check_regions(collection, Neighbourhood.of(collection), 5).suspects[:1]
    assert set(region.cases) == {"c120", "c121", "c122", "c123"}
    assert "rare 4" in region.reason
    assert region.score > 1.5


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_cases_are_checked_without_an_error(make_collection, count):
    collection = make_collection(np.eye(2)[:count], labels=[["a"], ["b"]][:count])
    neighbours = Neighbourhood.of(collection)
    for check in (check_labels, check_outliers, check_modalities, check_regions):
        assert check(collection, neighbours, 5).flagged == 0
