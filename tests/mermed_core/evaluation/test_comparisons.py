"""Paired comparisons against a bootstrap written out, and Holm's method against its definition."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, roc_auc_score

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.comparisons import (
    BOOTSTRAP,
    DELONG,
    METRICS,
    Comparison,
    compare,
    corrected,
    enough_draws,
    holm,
    to_frame,
)
from mermed_core.evaluation.predictions import Predictions
from mermed_core.metrics.bootstrap import resampled_counts
from mermed_core.metrics.calibration import calibration_bins
from mermed_core.metrics.catalogue import AUPRC, AUROC, BALANCED_ACCURACY, BRIER, ECE, F1
from mermed_core.metrics.delong import delong

FIELDS = (
    "protocol task modality metric first second difference low high p_value p_corrected method images groups"
)


def predictions(encoder, skill, classes=3, kind="multiclass", groups=None, images=60):
    """Two encoders see the same images; the better one has the higher skill."""
    shared, own = np.random.default_rng(0), np.random.default_rng(sum(map(ord, encoder)))
    if kind == "multilabel":
        targets = shared.integers(0, 2, (images, classes)).astype(float)
        noise = own.random((images, classes))
    else:
        targets = np.eye(classes)[shared.permutation(np.arange(images) % classes)]
        noise = own.dirichlet(np.ones(classes), images)
    return Predictions(
        encoder,
        "linear_probe",
        "busi",
        "us",
        kind,
        tuple("abcde"[:classes]),
        np.arange(images).astype(str),
        np.arange(images) % (groups or images),
        targets,
        (1 - skill) * noise + skill * targets,
        pd.DataFrame(index=range(images)),
    )


def only(comparisons, metric, method=BOOTSTRAP):
    (found,) = [c for c in comparisons if (c.metric, c.method) == (metric, method)]
    return found


def auprc(targets, probabilities):
    return average_precision_score(targets, probabilities, average="macro")


def balanced_accuracy(targets, probabilities):
    return balanced_accuracy_score(targets.argmax(1), probabilities.argmax(1))


def f1(targets, probabilities):
    return f1_score(targets.argmax(1), probabilities.argmax(1), average="macro")


def brier(targets, probabilities):
    return ((probabilities - targets) ** 2).sum() / len(targets)


def ece(targets, probabilities):
    bins = calibration_bins(targets, probabilities, multilabel=False)
    return ((bins["confidence"] - bins["accuracy"]).abs() * bins["images"]).sum() / len(targets)


REFERENCES = {
    AUROC: roc_auc_score,
    AUPRC: auprc,
    BALANCED_ACCURACY: balanced_accuracy,
    F1: f1,
    ECE: ece,
    BRIER: brier,
}


def test_differences_intervals_and_p_values_are_those_of_paired_draws():
    first, second = predictions("one", 0.2, groups=25), predictions("two", 0.15, groups=25)
    found = compare(first, second, resamples=40, seed=5)
    assert [(c.metric, c.method) for c in found] == [(metric, BOOTSTRAP) for metric in METRICS]
    assert set(REFERENCES) == set(METRICS)
    copies = [
        np.repeat(np.arange(60), w) for w in np.concatenate(list(resampled_counts(first.groups, 40, 5)))
    ]
    for metric, score in REFERENCES.items():

        def difference(rows, score=score):
            return score(first.targets[rows], first.probabilities[rows]) - score(
                second.targets[rows], second.probabilities[rows]
            )

        drawn = np.array([difference(rows) for rows in copies])
        comparison = only(found, metric)
        assert comparison.difference == pytest.approx(difference(np.arange(60)))
        low, high = np.percentile(drawn, [2.5, 97.5])
        assert (comparison.low, comparison.high) == pytest.approx((low, high))
        smaller = min((drawn <= 0).sum(), (drawn >= 0).sum())
        assert comparison.p_value == pytest.approx(min(1, 2 * (1 + smaller) / 41))
        assert np.isnan(comparison.p_corrected)
        assert (comparison.images, comparison.groups) == (60, 25)


def test_every_two_encoders_are_compared_as_if_they_were_alone():
    one, two, three = (
        predictions(name, skill) for name, skill in (("one", 0.2), ("two", 0.15), ("six", 0.3))
    )
    found = compare(one, two, three, resamples=20, seed=3)
    assert list(dict.fromkeys((c.first, c.second) for c in found)) == [
        ("one", "two"),
        ("one", "six"),
        ("two", "six"),
    ]
    alone = [compare(*pair, resamples=20, seed=3) for pair in ((one, two), (one, three), (two, three))]
    pd.testing.assert_frame_equal(to_frame(found), to_frame(c for several in alone for c in several))
    assert compare(one) == []


def test_a_huge_difference_stays_significant_on_forty_tasks_and_with_seven_encoders():
    better, worse = predictions("one", 0.7, images=24), predictions("two", 0.0, images=24)
    for comparisons in (40, 21 * 23):  # 40 tasks and a pair; 23 tasks and all pairs of seven encoders
        found = compare(better, worse, resamples=enough_draws(comparisons, 1000))
        for comparison in corrected([only(found, AUROC)] * comparisons):
            assert comparison.p_corrected < 0.05


def test_draws_are_never_fewer_than_wanted_and_too_few_are_warned_of(caplog):
    assert [enough_draws(*given) for given in ((1, 1000), (5, 1000), (6, 1000), (40, 9000))] == [
        1000,
        1000,
        1200,
        9000,
    ]
    assert enough_draws(500, 1000) == 20_000
    assert not caplog.messages
    assert (enough_draws(501, 1000), enough_draws(501, 30_000)) == (20_000, 30_000)
    (message,) = caplog.messages
    assert "no bootstrap of 20000 draws can be significant among 501 comparisons" in message


def test_an_encoder_does_not_differ_from_itself():
    encoder = predictions("one", 0.2, classes=2)
    for comparison in compare(encoder, replace(encoder, encoder="copy"), resamples=30):
        assert (comparison.difference, comparison.low, comparison.high) == (0, 0, 0)
        assert comparison.p_value == 1


def test_a_much_better_encoder_is_found_and_the_other_way_round_alike():
    better, worse = predictions("one", 0.6, classes=2), predictions("two", 0.0, classes=2)
    ahead, behind = compare(better, worse, resamples=200), compare(worse, better, resamples=200)
    for there, back in zip(ahead, behind, strict=True):
        if there.metric not in (ECE, BRIER):
            assert there.low > 0
            assert there.p_value < 0.02
        assert (there.first, there.second) == (back.second, back.first) == ("one", "two")
        assert (there.difference, there.low, there.high) == pytest.approx(
            (-back.difference, -back.high, -back.low)
        )
        assert there.p_value == pytest.approx(back.p_value)
    assert only(ahead, AUROC).p_value == pytest.approx(2 / 201)


@pytest.mark.parametrize(("kind", "classes", "positive"), [("multiclass", 2, 1), ("multilabel", 1, 0)])
def test_two_classes_of_independent_images_are_also_tested_by_delong(kind, classes, positive):
    first, second = (predictions(name, 0.2, classes, kind) for name in ("one", "two"))
    found = compare(first, second, resamples=300)
    comparison = only(found, AUROC, DELONG)
    columns = (each.probabilities[:, positive] for each in (first, second))
    test = delong(first.targets[:, positive], *columns)
    assert (comparison.difference, comparison.p_value) == (test.difference, test.p_value)
    half = stats.norm.ppf(0.975) * test.standard_error
    assert (comparison.low, comparison.high) == pytest.approx(
        (test.difference - half, test.difference + half)
    )
    bootstrapped = only(found, AUROC)
    assert comparison.difference == pytest.approx(bootstrapped.difference)
    # 300 draws know the ends of an interval to about a tenth of its width.
    assert comparison.high - comparison.low == pytest.approx(bootstrapped.high - bootstrapped.low, rel=0.25)


@pytest.mark.parametrize(
    ("kind", "classes", "groups"), [("multiclass", 3, 60), ("multilabel", 2, 60), ("multiclass", 2, 59)]
)
def test_there_is_no_delong_of_more_classes_or_of_several_images_of_a_patient(kind, classes, groups):
    first, second = (predictions(name, 0.2, classes, kind, groups) for name in ("one", "two"))
    assert {c.method for c in compare(first, second, resamples=5)} == {BOOTSTRAP}


def test_fewer_than_five_groups_give_a_difference_alone():
    first, second = (predictions(name, 0.2, groups=4) for name in ("one", "two"))
    for comparison in compare(first, second, resamples=20):
        assert np.isfinite(comparison.difference)
        assert np.isnan([comparison.low, comparison.high, comparison.p_value]).all()


def test_the_same_seed_gives_the_same_comparison():
    encoders = predictions("one", 0.2), predictions("two", 0.15)
    once, again, other = (to_frame(compare(*encoders, resamples=20, seed=seed)) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(once, again)
    assert not once.equals(other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "other"}, "their task"),
        ({"protocol": "knn"}, "their protocol"),
        ({"classes": ("a", "c", "b")}, "their classes"),
        ({"case_ids": np.arange(60)[::-1].astype(str)}, "same images"),
        ({"groups": np.arange(60) % 7}, "same images"),
        ({"targets": np.eye(3)[np.zeros(60, int)]}, "same images"),
    ],
)
def test_what_was_not_measured_alike_is_not_compared(changes, message):
    first = predictions("one", 0.2)
    with pytest.raises(EvaluationError, match=message):
        compare(first, replace(first, encoder="two", **changes))


def test_other_images_and_none_are_errors():
    first, none = predictions("one", 0.2), predictions("one", 0.2, images=0, groups=1)
    with pytest.raises(EvaluationError, match="same images"):
        compare(first, predictions("two", 0.2, images=57))
    with pytest.raises(EvaluationError, match="no test image"):
        compare(none, none)


def rejected(p_values, level):
    """Holm 1979: step down from the smallest, reject while p ≤ level / (tests that are left)."""
    found, left = set(), sorted(range(len(p_values)), key=lambda test: p_values[test])
    while left and p_values[left[0]] <= level / len(left):
        found.add(left.pop(0))
    return found


@settings(max_examples=30)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=9), st.floats(0.001, 0.999))
def test_corrected_p_values_reject_what_holms_steps_reject(hundredths, level):
    p_values = np.array(hundredths) / 200
    adjusted = holm(p_values)
    assert {test for test, value in enumerate(adjusted) if value <= level} == rejected(p_values, level)
    assert (adjusted >= p_values).all()
    assert (adjusted <= 1).all()


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def comparison(metric, method, p_value):
    names = dict.fromkeys(("protocol", "task", "modality", "first", "second"), "x")
    numbers = {"difference": 0.1, "low": 0.0, "high": 0.2, "p_corrected": np.nan, "images": 9, "groups": 9}
    return Comparison(**names, **numbers, metric=metric, method=method, p_value=p_value)


def test_each_metric_and_method_is_a_family_of_its_own():
    given = [
        comparison(AUROC, BOOTSTRAP, 0.03),
        comparison(AUROC, DELONG, 0.03),
        comparison(AUROC, BOOTSTRAP, np.nan),
        comparison(ECE, BOOTSTRAP, 0.2),
        comparison(AUROC, BOOTSTRAP, 0.01),
        comparison(ECE, BOOTSTRAP, 0.04),
    ]
    found = corrected(given)
    assert [c.p_corrected for c in found] == pytest.approx([0.03, 0.03, np.nan, 0.2, 0.02, 0.08], nan_ok=True)
    assert [replace(c, p_corrected=0) for c in found if c.p_value > 0] == [
        replace(c, p_corrected=0) for c in given if c.p_value > 0
    ]
    assert corrected([]) == []


def test_the_table_has_a_column_for_every_field():
    assert [field.name for field in fields(Comparison)] == FIELDS.split()
    frame = to_frame([comparison(AUROC, DELONG, 0.5)])
    assert list(frame) == list(to_frame([])) == FIELDS.split()
    assert frame.loc[0, "p_value"] == 0.5
