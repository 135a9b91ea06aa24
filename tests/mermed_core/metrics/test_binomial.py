import pytest
from scipy.stats import binomtest

from mermed_core.metrics.binomial import wilson_interval


@pytest.mark.parametrize(("right", "count"), [(0, 3), (3, 3), (7, 10), (240, 240), (1, 240)])
def test_it_is_scipys_interval(right, count):
    expected = binomtest(right, count).proportion_ci(method="wilson")
    assert wilson_interval(right / count, count) == pytest.approx((expected.low, expected.high))


def test_nothing_says_nothing():
    assert wilson_interval(0.0, 0) == (0.0, 1.0)
