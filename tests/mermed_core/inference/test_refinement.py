"""Marked cases move what is searched with."""

import numpy as np
import pytest

from mermed_core.errors import CollectionError
from mermed_core.inference.refinement import Marks, refined
from mermed_core.search.filters import Filter

ONE, TWO, THREE = np.eye(3, dtype=np.float32)


def test_it_goes_towards_good_and_away_from_bad():
    moved = refined(ONE, TWO[None], THREE[None])
    assert moved == pytest.approx(np.array([1, 1, -0.75]) / np.linalg.norm([1, 1, -0.75]))
    assert refined(ONE, np.stack([TWO, THREE]), np.empty((0, 3))) == pytest.approx(
        np.array([1, 0.5, 0.5]) / np.linalg.norm([1, 0.5, 0.5])
    )
    assert moved.dtype == np.float32


def test_without_marks_or_against_itself_it_stays():
    none = np.empty((0, 3), np.float32)
    assert refined(ONE, none, none) == pytest.approx(ONE)
    assert refined(ONE, -ONE[None], none) == pytest.approx(ONE)


def test_bad_cases_are_not_found_again_and_similarities_are_to_the_query(predictor):
    collection = predictor.collection
    case_id = collection.records["case_id"].iloc[0]
    before = predictor.similar(case_id, count=6)
    bad, good = before[0].case.case_id, before[3].case.case_id
    after = predictor.similar(case_id, count=6, marks=Marks([good], [bad]))
    assert len(after) == 6
    found = [hit.case.case_id for hit in after]
    assert bad not in found
    assert good in found
    query = collection.vectors[collection.position(case_id)]
    for hit in after:
        vector = collection.vectors[collection.position(hit.case.case_id)]
        assert hit.similarity == pytest.approx(float(vector @ query), abs=1e-5)
    modality = before[0].case.modality
    filtered = predictor.similar(
        case_id, count=6, where=Filter({"modality": [modality]}), marks=Marks([good])
    )
    assert {hit.case.modality for hit in filtered} == {modality}


def test_a_marked_case_must_exist(predictor):
    case_id = predictor.collection.records["case_id"].iloc[0]
    with pytest.raises(CollectionError, match="no case"):
        predictor.similar(case_id, marks=Marks(["none"]))
