"""Names and numbers as people read them."""

import math

from mermed_core.reports import text as words


def test_numbers_have_three_digits_and_a_dash_where_they_are_not_defined():
    assert words.number(0.91049, 0.8541, 0.9561) == "0.910 (0.854–0.956)"
    assert words.number(0.5) == "0.500"
    assert words.number(math.nan, 0.1, 0.2) == "–"
    assert words.difference(-0.0312, -0.06, 0.001) == "−0.031 (−0.060 to +0.001)"
    assert words.difference(0.02, math.nan, math.nan) == "+0.020"
    assert words.difference(math.nan, 0.0, 0.0) == "–"


def test_p_values_are_never_0_and_stars_count_their_limits():
    assert [words.p_value(p) for p in (0.0001, 0.001, 0.0496, math.nan)] == ["<0.001", "0.001", "0.050", "–"]
    assert [words.stars(p) for p in (0.0009, 0.001, 0.009, 0.01, 0.049, 0.05, math.nan)] == [
        "***",
        "**",
        "**",
        "*",
        "*",
        "",
        "",
    ]


def test_settings_have_a_name_and_a_number():
    assert words.setting_name("shots=4") == "4-shot"
    assert words.setting_name("share=0.005") == "0.5 %"
    assert words.setting_name("share=1") == "100 %"
    assert words.setting_name("no{ise}=3") == "no{ise}=3"
    assert words.setting_number("noise=3") == 3
    assert math.isnan(words.setting_number("clean"))


def test_unknown_names_stay_as_they_are():
    assert words.modality_name("cxr") == "Chest X-ray"
    assert words.modality_name("mr") == "mr"
    assert words.metric_name("quadratic_kappa") == "Quadratic kappa"
    assert words.protocol_name("linear_probe") == "Linear probe"
