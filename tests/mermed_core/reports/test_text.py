"""Names and numbers as people read them."""

import math

from mermed_core.reports import text


def test_numbers_have_three_digits_and_a_dash_where_they_are_not_defined():
    assert text.number(0.91049, 0.8541, 0.9561) == "0.910 (0.854–0.956)"
    assert text.number(0.5) == "0.500"
    assert text.number(math.nan, 0.1, 0.2) == "–"
    assert text.difference(-0.0312, -0.06, 0.001) == "−0.031 (−0.060 to +0.001)"
    assert text.difference(0.02, math.nan, math.nan) == "+0.020"
    assert text.difference(math.nan, 0.0, 0.0) == "–"


def test_p_values_are_never_0_and_stars_count_their_limits():
    assert [text.p_value(p) for p in (0.0001, 0.001, 0.0496, math.nan)] == ["<0.001", "0.001", "0.050", "–"]
    assert [text.stars(p) for p in (0.0009, 0.001, 0.009, 0.01, 0.049, 0.05, math.nan)] == [
        "***",
        "**",
        "**",
        "*",
        "*",
        "",
        "",
    ]


def test_names_become_words():
    assert text.humanise("linear_probe") == "Linear probe"
    assert text.humanise("") == ""
