"""What findings call the cases: as people read it."""

import numpy as np
import pytest

from mermed_core.collections.quality.case_words import label_words
from mermed_core.collections.quality.check import check_collection
from mermed_core.collections.sources import SourceFacts


@pytest.fixture
def collection(make_collection):
    """Cases of two sources whose labels follow from the source; the label of the first is wrong."""
    random = np.random.default_rng(3)
    kinds = np.repeat([0, 1], 30)
    vectors = np.eye(8)[kinds] + random.normal(size=(60, 8)) * 0.05
    sources = np.tile(["a", "b"], 30)
    labels = [["nv" if kind else "clear_cell"] for kind in kinds]
    labels[0] = ["nv"]
    made = make_collection(vectors, labels=labels, source=sources, group=[f"c{row}" for row in range(60)])
    made.sources = {"a": SourceFacts(title="Ward 7", names={"nv": "Melanocytic naevus"})}
    return made


def test_a_label_has_the_name_that_a_source_gives_it_and_none_is_written_as_a_key(collection):
    words = label_words(collection)
    assert words("nv") == "Melanocytic naevus"
    assert words("nv|clear_cell") == "Melanocytic naevus, clear cell"


def test_reasons_say_names_and_details_keep_keys(collection):
    results = {each.name: each for each in check_collection(collection, ("labels", "duplicates"))}
    first = results["labels"].suspects[0]
    assert first.cases == ("c0",)
    assert first.reason.startswith("labelled Melanocytic naevus, but")
    assert first.reason.endswith("most neighbours say clear cell")
    assert (first.details["label"], first.details["proposed"]) == ("nv", "clear_cell")


def test_cases_of_which_nobody_said_whose_they_are_are_not_called_different_patients(make_collection):
    vectors = np.random.default_rng(1).normal(size=(30, 8))
    vectors[1] = vectors[0]
    for groups, said in (([f"c{row}" for row in range(30)], False), ([f"p{row}" for row in range(30)], True)):
        (pairs, _) = check_collection(make_collection(vectors, group=groups), ("duplicates",))
        assert pairs.suspects[0].cases == ("c0", "c1")
        assert ("different patients" in pairs.suspects[0].reason) == said
        assert not pairs.suspects[0].details["same_group"]
