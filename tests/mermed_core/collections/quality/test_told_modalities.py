"""Where cases are grouped by a modality that nobody stated, a check says so, and of how many."""

import numpy as np
import pytest

from mermed_core.collections.overlap import neighbourhood_overlap
from mermed_core.collections.quality.check import check_collection
from mermed_core.data.validation import BY_FILE, BY_MODEL, TOLD_BY
from mermed_core.languages.say import in_readers_words, speaking

COUNT = 160
SAID = "Cases are grouped by modality; of {} of them it is the model's own answer and stated by nobody."
BY_MODALITY = {"labels", "outliers", "pictures", "regions", "drift", "confounding"}


@pytest.fixture
def checked(make_collection, make_texture, make_jpeg):
    """Makes a collection of two sources and two labels, 40 to 80 cases each, and checks it."""

    def check(told_by):
        rows = np.arange(COUNT)
        collection = make_collection(
            np.random.default_rng(0).normal(size=(COUNT, 8)),
            thumbnails=[make_jpeg(make_texture(row)) for row in range(COUNT)],
            modality=np.where(rows < 140, "ct", "oct"),
            source=np.where(rows % 4 < 2, "a", "b"),
            labels=[["ill" if row % 2 else "well"] for row in rows],
            **({} if told_by is None else {TOLD_BY: told_by}),
        )
        return {result.name: result for result in check_collection(collection)}

    return check


def test_each_check_by_modality_says_of_how_many_cases_the_model_told_it(checked):
    told_by = np.where(np.arange(COUNT) < 7, BY_MODEL, BY_FILE)
    told_by[150:153] = BY_MODEL  # OCT images, ten of a source: too few for drift, confounding and labels
    results = checked(told_by)
    said = {name: [note for note in result.notes if "own answer" in note] for name, result in results.items()}
    assert {name for name, notes in said.items() if notes} == BY_MODALITY | {"modalities"}
    numbers = dict.fromkeys(BY_MODALITY, 10) | {"drift": 7, "confounding": 7, "labels": 7}
    for name in BY_MODALITY:
        assert said[name] == [SAID.format(numbers[name])], name


@pytest.mark.parametrize("told_by", [None, np.full(COUNT, BY_FILE)])
def test_where_all_is_stated_nothing_is_said_of_it(checked, told_by):
    assert not any("own answer" in note for result in checked(told_by).values() for note in result.notes)


def test_it_is_said_in_german():
    with speaking("de"):
        assert in_readers_words(SAID.format("1,234")).startswith(
            "Die Fälle sind nach ihrer Modalität gruppiert"
        )


def test_two_maps_say_of_how_many_compared_cases_the_model_told_the_modality(make_collection):
    told_by = np.where(np.arange(30) < 4, BY_MODEL, BY_FILE)
    vectors = np.random.default_rng(0).normal(size=(30, 6))
    stated = make_collection(vectors)
    unsorted = make_collection(
        vectors[2:], **{TOLD_BY: told_by[2:], "case_id": [f"c{row}" for row in range(2, 30)]}
    )
    assert neighbourhood_overlap(unsorted, stated).told == 2
    assert neighbourhood_overlap(stated, unsorted).told == 0
