from dataclasses import replace

import pytest

from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.inference.neighbourhood import (
    Vote,
    _doubt,
    contrast,
    doubts,
    in_words,
    none_similar,
    votes,
)
from mermed_core.inference.predictor import MedicalImage
from mermed_core.records import Case, Finding, Neighbour


@pytest.fixture
def embedded(predictor):
    pixels = draw_phantom("ct", FINDINGS["ct"][0], size=96, seed=7).pixels
    return predictor.embed(MedicalImage(pixels, 1, 0, "PNG", ()), modality="ct")


def near(source: str, *labels: str) -> Neighbour:
    return Neighbour(Case("c", "ct", labels, source, "g", ""), 0.9)


def test_cases_vote_with_what_their_labels_mean(predictor, embedded):
    nodule, normal = predictor.heads.get("phantom_ct").classes
    analysis = replace(
        predictor.analyse(embedded, neighbours=1),
        findings=(Finding("phantom_ct", nodule, 0.6), Finding("phantom_ct", normal, 0.4)),
        neighbours=(
            *(near("phantom_ct", normal) for _ in range(3)),
            near("phantom_ct", nodule),
            near("elsewhere", nodule),
            near("phantom_ct"),
        ),
    )
    (voted,) = votes(predictor, analysis)
    assert voted == Vote("phantom_ct", nodule, {normal: 3, nodule: 1}, 6)
    assert voted.disagrees
    assert "puts" in doubts(predictor, analysis)["phantom_ct"]
    assert votes(predictor, replace(analysis, findings=())) == ()
    assert votes(predictor, replace(analysis, neighbours=())) == ()


def test_each_label_set_is_voted_on_and_one_without_cases_is_doubted(predictor, embedded):
    ours, other = predictor.heads.get("phantom_ct"), predictor.heads.get("phantom_cxr")
    findings = (Finding(ours.task, ours.classes[0], 0.9), Finding(other.task, other.classes[0], 0.8))
    neighbours = tuple(near("phantom_cxr", other.classes[0]) for _ in range(4))
    analysis = replace(predictor.analyse(embedded), findings=findings, neighbours=neighbours)
    assert [voted.counts for voted in votes(predictor, analysis)] == [{}, {other.classes[0]: 4}]
    against = doubts(predictor, analysis)
    assert list(against) == [ours.task]
    assert "None of the 4 nearest known cases" in against[ours.task]
    said, doubt = in_words(predictor, analysis)
    assert said.count("Of the 4 nearest cases") == 1
    assert doubt == ""


def test_where_no_case_is_similar_every_finding_is_a_guess(predictor, embedded):
    ours = predictor.heads.get("phantom_ct")
    analysis = replace(
        predictor.analyse(embedded),
        findings=(Finding(ours.task, ours.classes[0], 0.9),),
        neighbours=(replace(near("phantom_ct", ours.classes[0]), similarity=0.01),),
    )
    assert none_similar(predictor, analysis)
    assert "a guess" in doubts(predictor, analysis)[ours.task]
    assert "closer to the image" not in in_words(predictor, analysis)[0]


@pytest.mark.parametrize(
    ("counts", "disagrees"),
    [({"b": 3}, True), ({"a": 3, "b": 2}, False), ({"b": 2}, False), ({"b": 3, "a": 3}, False), ({}, False)],
)
def test_only_a_clear_majority_of_three_disagrees(counts, disagrees):
    assert Vote("set", "a", counts, 8).disagrees == disagrees


@pytest.mark.parametrize(
    ("counts", "disagrees"),
    [
        ({"b": 4, "c": 2, "a": 1, "d": 1}, True),
        ({"b": 3, "c": 3, "d": 2}, True),
        ({"b": 3, "a": 2, "c": 2}, False),
        ({"a": 4, "b": 2, "c": 2}, False),
        ({"b": 2, "c": 2, "d": 2, "e": 2}, False),
    ],
)
def test_without_a_majority_twice_as_many_disagree(counts, disagrees):
    voted = Vote("set", "a", counts, 8)
    assert voted.disagrees == disagrees
    assert not voted.by_majority


def test_where_no_class_has_most_of_the_votes_none_is_said_to(predictor, embedded):
    ours = predictor.heads.get("phantom_ct")
    voted = Vote("phantom_ct", ours.classes[0], {ours.classes[1]: 4, "c": 2, "d": 2}, 8)
    assert "many more of the nearest cases" in _doubt(predictor, voted)
    assert "most of the nearest cases" in _doubt(predictor, replace(voted, counts={ours.classes[1]: 5}))


def test_the_contrast_is_of_one_class_and_of_the_others_nearest_first(predictor, embedded):
    nodule, normal = predictor.heads.get("phantom_ct").classes
    found = contrast(predictor, embedded, "phantom_ct", nodule, 2)
    assert [hit.case.labels for hit in found.same] == [(nodule,)] * len(found.same)
    assert [hit.case.labels for hit in found.other] == [(normal,)] * len(found.other)
    assert {hit.case.source for hit in found.same + found.other} == {"phantom_ct"}
    assert found.same[0].similarity >= found.same[-1].similarity
    assert 0 < len(found.same) <= 2
