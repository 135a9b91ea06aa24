"""Draws by group against brute force, intervals against scipy's bootstrap, p-values against their meaning."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mermed_core.metrics import bootstrap as resampling
from mermed_core.metrics.bootstrap import interval, resample, resampled_counts, two_sided_p_value
from mermed_core.metrics.scores import auroc, unweighted

GROUPS = np.array(["b", "a", "b", "c", "a", "b", "d", "e", "f"])


def drawn(groups, resamples=50, seed: int | tuple[int, int] = 0):
    return np.concatenate(list(resampled_counts(groups, resamples, seed)))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=20), st.integers(1, 30), st.integers(0, 99))
def test_a_draw_is_as_many_whole_groups_as_there_are(names, resamples, seed):
    groups = np.array(names)
    counts = drawn(groups, resamples, seed)
    assert counts.shape == (resamples, len(groups))
    distinct, first = np.unique(groups, return_index=True)
    assert (counts[:, first].sum(axis=1) == len(distinct)).all()
    for name, position in zip(distinct, first, strict=True):
        assert (counts[:, groups == name] == counts[:, [position]]).all()


def test_every_group_is_drawn_as_often_as_any_other():
    counts = drawn(GROUPS, 6000)
    once = counts[:, np.unique(GROUPS, return_index=True)[1]]
    # Of six groups each is drawn a binomial number of times, 1 on average with variance 5/6.
    np.testing.assert_allclose(once.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(once.var(axis=0), 5 / 6, atol=0.08)


def test_a_seed_of_several_numbers_draws_otherwise_than_one():
    assert (drawn(GROUPS, seed=(0, 97)) == drawn(GROUPS, seed=(0, 97))).all()
    assert (drawn(GROUPS, seed=(0, 97)) != drawn(GROUPS, seed=(0, 98))).any()
    assert (drawn(GROUPS, seed=(0, 97)) != drawn(GROUPS, seed=0)).any()


def test_the_size_of_a_block_changes_no_draw(monkeypatch):
    whole = drawn(GROUPS, 40)
    monkeypatch.setattr(resampling, "_CELLS", 30)
    blocks = list(resampled_counts(GROUPS, 40, 0))
    assert [len(block) for block in blocks] == [3] * 13 + [1]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_draws_are_those_of_the_seed():
    np.testing.assert_array_equal(drawn(GROUPS, seed=4), drawn(GROUPS, seed=4))
    assert (drawn(GROUPS, seed=4) != drawn(GROUPS, seed=5)).any()


def test_the_interval_is_that_of_repeated_rows_drawn_one_by_one():
    generator = np.random.default_rng(1)
    groups = generator.integers(0, 30, 90)
    targets = np.eye(3)[generator.integers(0, 3, 90)]
    probabilities = generator.dirichlet([1, 1, 1], 90) + 0.3 * targets
    members = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    random, expected = np.random.default_rng(2), []
    for _ in range(100):
        rows = np.concatenate([members[group] for group in random.integers(0, len(members), len(members))])
        expected.append(unweighted(auroc, targets[rows], probabilities[rows]))
    values = resample(lambda weights: auroc(targets, probabilities, weights), groups, 100, 2)
    np.testing.assert_allclose(values, expected, atol=1e-12)
    assert interval(values) == pytest.approx(tuple(np.percentile(expected, [2.5, 97.5])), abs=1e-12)


def test_images_of_one_patient_are_drawn_together():
    # Ten copies of each of ten patients say no more than the ten patients.
    target, score = np.array([0, 1] * 5), np.random.default_rng(1).random(10)

    def estimate(copies):
        data = (np.repeat(each, copies)[:, None] for each in (target, score))
        targets, scores = data
        return interval(
            resample(
                lambda weights: auroc(targets, scores, weights), np.repeat(np.arange(10), copies), 200, 0
            )
        )

    assert estimate(10) == pytest.approx(estimate(1))


def test_the_interval_narrows_with_more_patients():
    generator = np.random.default_rng(0)

    def width(patients):
        target = np.repeat(generator.integers(0, 2, patients), 2)
        score = target + generator.normal(0, 1, 2 * patients)
        drawn = resample(
            lambda weights: auroc(target[:, None], score[:, None], weights),
            np.repeat(np.arange(patients), 2),
            200,
            0,
        )
        low, high = interval(drawn)
        assert low < unweighted(auroc, target[:, None], score[:, None]) < high
        return high - low

    few, many = width(20), width(400)
    assert many < few / 2


def test_the_interval_of_single_images_is_that_of_scipy():
    sample = np.random.default_rng(3).gamma(2, size=80)
    values = resample(lambda weights: weights @ sample / weights.sum(axis=1), np.arange(80), 4000, 0)
    expected = stats.bootstrap(
        (sample,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(4)
    )
    error = sample.std() / np.sqrt(80)
    # A percentile of 4000 normal draws at 2.5 % is known to 0.04 standard deviations, two of them to 0.06.
    assert interval(values) == pytest.approx(tuple(expected.confidence_interval), abs=0.2 * error)


def test_draws_that_are_not_defined_are_left_out_of_the_interval():
    values = np.arange(101.0)
    assert interval(values) == pytest.approx((2.5, 97.5))
    assert interval(np.concatenate([[np.nan] * 7, values])) == pytest.approx((2.5, 97.5))
    assert np.isnan(interval(np.full(4, np.nan))).all()


def test_fewer_than_five_groups_give_no_draws():
    def score(weights):
        return weights @ np.ones((8, 2))

    assert np.isnan(resample(score, np.arange(8) % 4, 10, 0)).all()
    assert resample(score, np.arange(8) % 5, 10, 0).shape == (10, 2)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1, 2, 3, 4], 2 * 1 / 5),  # none on the other side
        ([-1, 2, 3, 4, 5, 6, 7, 8, 9], 2 * 2 / 10),
        ([0, 0, 0], 1),  # of equals
        ([-1, 1], 1),  # no more than 1
        ([1, np.nan, 2], 2 * 1 / 3),
    ],
)
def test_p_values_by_hand(differences, expected):
    for values in (np.array(differences, float), -np.array(differences, float)):
        assert two_sided_p_value(values) == pytest.approx(expected)


def test_there_is_no_p_value_without_draws():
    assert np.isnan(two_sided_p_value(np.full(3, np.nan)))


@settings(max_examples=30)
@given(st.floats(-4, 4), st.integers(0, 1000))
def test_p_value_and_interval_agree(shift, seed):
    values = np.random.default_rng(seed).normal(shift, 1, 999)
    low, high = interval(values)
    p_value = two_sided_p_value(values)
    assert 0 < p_value <= 1
    if low > 0 or high < 0:
        assert p_value < 0.05 + 4 / 1000
    else:
        assert p_value > 0.05 - 4 / 1000


def test_equals_are_found_different_about_as_often_as_the_level_says():
    generator = np.random.default_rng(0)
    found = 0
    for seed in range(300):
        sample = generator.normal(size=50)
        found += (
            two_sided_p_value(
                resample(lambda weights, sample=sample: weights @ sample, np.arange(50), 200, seed)
            )
            < 0.05
        )
    # 15 of 300 are due; the bootstrap of 50 finds a few more. Binomial: 5 to 30 holds at 99.8 %.
    assert 5 <= found <= 30
