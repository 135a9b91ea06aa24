"""DeLong's test against all pairs and against the numbers that pROC publishes for its example."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from mermed_core.metrics.bootstrap import resampled_counts
from mermed_core.metrics.delong import auroc_variance, delong
from mermed_core.metrics.scores import auroc

# Robin et al. 2011 (pROC, BMC Bioinformatics 12:77) test their package on 113 patients of Turck et al. 2010
# (Intensive Care Medicine 36:107) with subarachnoid haemorrhage: the first 41 had a poor outcome. Two markers
# in the blood and a clinical grade; the results below are those that pROC's own tests expect.


def numbers(text):
    return np.array(text.split(), float)


POOR = np.arange(113) < 41
WFNS = numbers(
    """
    1 1 2 2 2 2 2 2 2 2 2 2 2 2 3 4 4 4 4 4 4 4 4 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 1 1 1 1 1 1 1 1 1
    1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 3 3
    3 4 4 4 4 4 4 4 4 5 5 5 5
    """
)
S100B = numbers(
    """
    0.07 0.08 0.1 0.07 0.09 0.41 0.25 0.07 0.3 0.09 0.1 0.11 0.14 0.58 0.13 0.16 0.48 0.96 0.23 0.27
    0.71 0.26 0.13 0.12 0.44 0.71 0.49 0.33 0.35 0.86 0.52 2.07 0.77 0.03 0.7 0.22 0.56 0.32 0.82 0.74
    0.44 0.13 0.14 0.1 0.04 0.18 0.04 0.09 0.11 0.07 0.07 0.13 0.19 0.14 0.09 0.16 0.07 0.11 0.08 0.06
    0.1 0.06 0.05 0.09 0.04 0.08 0.09 0.08 0.1 0.07 0.05 0.08 0.14 0.1 0.04 0.15 0.5 0.48 0.1 0.1 0.08
    0.04 0.17 0.11 0.43 0.09 0.08 0.13 0.14 0.15 0.09 0.16 0.11 0.07 0.1 0.15 0.19 0.15 0.05 0.33 0.07
    0.16 0.34 0.45 0.28 0.32 0.38 0.47 0.17 0.47 0.5 0.46 0.24
    """
)
NDKA = numbers(
    """
    40.34 72.57 12.75 32.37 32.41 9.85 8.38 21.22 11.09 13.67 9.63 21.48 34.06 11.72 17.4 13.2 21.93
    7.42 22.63 21.57 8.23 15.54 5.19 15.96 5.18 8.9 11.6 54.82 14.04 13.56 3.87 419.19 10.4 12.22 12.9
    5.37 9.57 14.26 47.61 11.67 15.89 3.01 8.54 8.09 10.42 15.54 13.41 49.94 9.47 6.29 6.54 80.3 12.8
    18.21 8.02 13.12 7.96 7.63 7.06 7.66 27.19 11.73 58.83 6.39 17.21 10.51 14.57 4.61 19.46 11.97 7.75
    12.57 12.9 46.83 12.67 22.43 6.79 13.45 6.01 17.86 20.75 16.11 12.53 6.3 14.34 12.59 9.44 12.98
    22.27 9.95 9.7 10.6 12.71 11.07 28.49 8.53 9.01 24.58 9.8 17.3 11.68 9.81 5.03 41.43 9.44 10.83
    10.55 10.33 13.87 6 6.59 9.63 9.83
    """
)


@pytest.mark.parametrize(
    ("first", "second", "z", "p_value"),
    [
        (WFNS, S100B, 2.20898359144091, 0.0271757822291882),
        (WFNS, NDKA, 2.79777591868904, 0.00514557970691098),
        (NDKA, S100B, -1.39077002573558, 0.164295175223054),
    ],
)
def test_z_and_p_value_are_the_published_ones(first, second, z, p_value):
    test = delong(POOR, first, second)
    assert test.z == pytest.approx(z, rel=1e-10)
    assert test.p_value == pytest.approx(p_value, rel=1e-10)


def test_the_interval_is_the_published_one():
    test = delong(POOR, WFNS, S100B)
    half = stats.norm.ppf(0.975) * test.standard_error
    assert test.difference - half == pytest.approx(0.0104061769564846, rel=1e-10)
    assert test.difference + half == pytest.approx(0.174214419249478, rel=1e-10)


@pytest.mark.parametrize(
    ("marker", "variance"),
    [(WFNS, 0.00146991470882363), (NDKA, 0.0031908105493913), (S100B, 0.00266868245717244)],
)
def test_the_variance_of_one_auroc_is_the_published_one(marker, variance):
    assert auroc_variance(POOR, marker) == pytest.approx(variance, rel=1e-10)


def test_the_areas_are_the_published_ones():
    test = delong(POOR, WFNS, NDKA)
    assert test.auroc_first == pytest.approx(0.823678861788618, rel=1e-12)
    assert test.auroc_second == pytest.approx(0.611957994579946, rel=1e-12)


def pairs(target, score):
    """Returns for every positive image its chance to beat a negative one, and for every negative to lose."""
    won = [[(p > n) + 0.5 * (p == n) for n in score[target == 0]] for p in score[target == 1]]
    return np.mean(won, axis=1), np.mean(won, axis=0)


@settings(max_examples=30)
@given(positives=st.integers(2, 12), negatives=st.integers(2, 12), seed=st.integers(0, 1000))
def test_equals_the_covariance_over_all_pairs(positives, negatives, seed):
    generator = np.random.default_rng(seed)
    target = generator.permutation(np.repeat([1, 0], [positives, negatives]))
    first, second = generator.integers(0, 6, (2, len(target))) / 5
    ours, theirs = pairs(target, first), pairs(target, second)
    covariance = np.cov([ours[0], theirs[0]]) / positives + np.cov([ours[1], theirs[1]]) / negatives
    test = delong(target, first, second)
    assert test.auroc_first == pytest.approx(roc_auc_score(target, first))
    assert test.auroc_second == pytest.approx(roc_auc_score(target, second))
    assert test.difference == pytest.approx(test.auroc_first - test.auroc_second)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert test.standard_error**2 == pytest.approx(variance, abs=1e-12)
    assert auroc_variance(target, first) == pytest.approx(covariance[0, 0], abs=1e-12)
    if variance > 1e-9:
        z = test.difference / np.sqrt(variance)
        assert test.z == pytest.approx(z)
        assert test.p_value == pytest.approx(2 * stats.norm.cdf(-abs(z)))


def test_the_standard_error_is_about_that_of_the_bootstrap():
    generator = np.random.default_rng(0)
    target = np.repeat([0, 1], 60)
    first, second = target + generator.normal(size=(2, 120))
    drawn = np.concatenate(list(resampled_counts(np.arange(120), 400, 0)))
    areas = [auroc(target[:, None], score[:, None], drawn) for score in (first, second)]
    # 400 draws know a standard deviation to 3.5 %.
    assert delong(target, first, second).standard_error == pytest.approx(
        np.std(areas[0] - areas[1]), rel=0.12
    )


def test_the_same_order_of_the_images_is_no_difference():
    target, score = np.array([0, 1, 1, 0, 1]), np.array([0.1, 0.4, 0.2, 0.3, 0.5])
    test = delong(target, score, score**2)
    assert (test.difference, test.standard_error, test.z, test.p_value) == (0, 0, 0, 1)


def test_a_difference_without_spread_has_no_p_value():
    target = np.array([0, 0, 1, 1])
    test = delong(target, target, -target)
    assert (test.difference, test.standard_error) == (1, 0)
    assert np.isnan([test.z, test.p_value]).all()


@pytest.mark.parametrize("target", [[1, 1, 1], [0, 0, 0], [0, 0, 1], [1]])
@pytest.mark.filterwarnings("error")
def test_too_few_of_one_outcome_give_no_test(target):
    target = np.array(target)
    test = delong(target, np.arange(len(target)), -np.arange(len(target)))
    assert np.isnan([test.standard_error, test.z, test.p_value]).all()
    assert np.isnan(auroc_variance(target, target))
    assert np.isnan(test.auroc_first) == (len(set(target)) == 1)
