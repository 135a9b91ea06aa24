"""Predictions by neighbours, their confidence and error, agreement, outlier scores: against plain loops."""

import numpy as np
import pytest

from mermed_core.collections.quality.case_measures import measure_cases
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.collections.quality.outliers import outlier_scores
from mermed_core.collections.quality.watch import Watch


def around_axes(seed, count, spread=0.25):
    """Returns unit vectors around three axes, and the axis of each."""
    random = np.random.default_rng(seed)
    axes = random.integers(0, 3, count)
    return np.eye(8)[axes] + random.normal(size=(count, 8)) * spread, axes


def shares(collection, row, voters):
    """Returns the share of each label in the vote on a case, by the definition."""
    vectors, records = np.asarray(collection.vectors, np.float64), collection.records
    cosines = vectors @ vectors[row]
    patients = list(zip(records["source"], records["group"], strict=True))
    order = [other for other in np.argsort(-cosines) if other != row][:50]
    asked = [other for other in order if voters[other] and patients[other] != patients[row]][:20]
    votes: dict[tuple[str, ...], float] = {}
    for other in asked:
        label = tuple(sorted(records["labels"].iat[other]))
        votes[label] = votes.get(label, 0.0) + float(np.exp((cosines[other] - cosines[asked[0]]) / 0.05))
    return {label: vote / sum(votes.values()) for label, vote in votes.items()}


def test_votes_are_those_of_the_definition(make_collection):
    vectors, axes = around_axes(1, 140, spread=0.5)
    labels = [[f"l{axis}"] if row % 5 else [] for row, axis in enumerate(axes)]
    labels[7] = ["l2", "l0"]
    groups = [f"p{row // 2}" for row in range(140)]
    collection = make_collection(vectors, labels=labels, group=groups)
    measures = measure_cases(collection, Neighbourhood.of(collection))
    for row in range(140):
        wanted = shares(collection, row, [len(names) > 0 for names in labels])
        best = max(wanted, key=lambda label: wanted[label])
        assert measures.names[measures.prediction[row]] == best
        assert measures.confidence[row] == pytest.approx(wanted[best], abs=1e-4)
        own = tuple(sorted(labels[row]))
        if own:
            assert measures.agreement[row] == pytest.approx(wanted.get(own, 0), abs=1e-4)
            assert measures.error[row] == (best != own)
        else:
            assert np.isnan(measures.agreement[row])
            assert measures.error[row] == -1


def test_data_sets_with_labels_vote_within_themselves_and_others_are_voted_on_by_their_modality(
    make_collection,
):
    vectors, axes = around_axes(2, 200)
    source = np.array(["own names", "other names", "none", "one"])[np.arange(200) % 4]
    names = {"own names": "a{}", "other names": "b{}", "one": "only"}
    labels = [
        [names[each].format(axis)] if each in names else None for each, axis in zip(source, axes, strict=True)
    ]
    collection = make_collection(vectors, labels=labels, source=list(source), modality=["ct"] * 200)
    measures = measure_cases(collection, Neighbourhood.of(collection))
    predicted = np.array(["".join(measures.names[code]) if code >= 0 else "" for code in measures.prediction])
    for each, letter in (("own names", "a"), ("other names", "b")):
        rows = source == each
        assert (predicted[rows] == [f"{letter}{axis}" for axis in axes[rows]]).mean() > 0.9
    assert {name[:1] for name in predicted[source == "none"]} <= {"a", "b", "o"}
    assert (measures.prediction[source == "none"] >= 0).all()
    assert (measures.prediction[source == "one"] < 0).all()
    assert np.isnan(measures.confidence[source == "one"]).all()


def test_other_modalities_do_not_vote(make_collection):
    vectors, axes = around_axes(3, 90)
    kinds = ["ct" if row % 2 else "oct" for row in range(90)]
    labels = [[f"{kind}{axis}"] for kind, axis in zip(kinds, axes, strict=True)]
    collection = make_collection(vectors, labels=labels, modality=kinds)
    measures = measure_cases(collection, Neighbourhood.of(collection))
    for row in np.flatnonzero(measures.prediction >= 0):
        assert measures.names[measures.prediction[row]][0].startswith(kinds[row])


def test_outlier_scores_are_those_of_the_check(make_collection):
    vectors, _ = around_axes(4, 80)
    kinds = np.array(["ct"] * 70 + ["oct"] * 10)
    collection = make_collection(vectors, modality=list(kinds))
    neighbours = Neighbourhood.of(collection)
    found = measure_cases(collection, neighbours).outlier
    scores = outlier_scores(collection.vectors, neighbours, kinds)
    np.testing.assert_allclose(found[:70], scores[:70], rtol=1e-5)
    assert np.isnan(found[70:]).all()  # too few to say what is usual


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_handful_of_cases_has_measures_too(make_collection, count):
    collection = make_collection(np.eye(4)[:count], labels=[["a"], ["b"], None][:count])
    measures = measure_cases(collection, Neighbourhood.of(collection))
    assert len(measures.prediction) == len(measures.outlier) == count
    assert np.isnan(measures.outlier).all()


def test_neighbours_of_a_collection_are_those_of_its_engine(make_collection):
    vectors, _ = around_axes(5, 120)
    collection = make_collection(vectors)
    found = Neighbourhood.of(collection, count=10)
    similarities, positions = collection.engine.search(collection.vectors[:], 11)
    np.testing.assert_array_equal(found.positions, positions[:, 1:])
    np.testing.assert_allclose(found.similarities, similarities[:, 1:], atol=1e-5)


def test_the_votes_are_counted_and_can_be_stopped(make_collection):
    class Counts(Watch):
        def __init__(self) -> None:
            self.steps: list[tuple[str, int]] = []
            self.done = 0

        def begin(self, what: str, total: int) -> None:
            self.steps.append((what, total))

        def advance(self, parts: int) -> None:
            self.done += parts

    class Stops(Watch):
        def advance(self, parts: int) -> None:
            raise KeyboardInterrupt

    vectors, axes = around_axes(6, 80)
    labels = [[f"l{axis}"] if row % 4 else [] for row, axis in enumerate(axes)]
    collection = make_collection(vectors, labels=labels)
    neighbours = Neighbourhood.of(collection)
    measure_cases(collection, neighbours, watch=(counts := Counts()))
    assert counts.steps == [("measures of the cases", 80)]
    assert counts.done == 80
    with pytest.raises(KeyboardInterrupt):
        measure_cases(collection, neighbours, watch=Stops())
