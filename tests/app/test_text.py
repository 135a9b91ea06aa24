import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.text import class_name, percent, spoken, text, verdict


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, ">99 %"), (0.995, ">99 %"), (0.99, "99 %"), (0.5, "50 %"), (0.009, "<1 %"), (0.0, "<1 %")],
)
def test_percentages_never_claim_certainty(share, words):
    assert percent(share) == words


@given(st.text())
def test_text_holds_nothing_that_html_could_run(value):
    safe = text(value)
    assert not set(safe) & set("<>\"'")


def test_names_for_people():
    assert spoken("diabetic_retinopathy") == "Diabetic retinopathy"
    assert spoken("COVID-19") == "COVID-19"
    assert spoken("") == ""
    metrics = {"ham10000": {"names": {"nv": "melanocytic naevus"}}}
    assert class_name(metrics, "ham10000", "nv") == "Melanocytic naevus"
    assert class_name(metrics, "ham10000", "mel") == "Mel"
    assert class_name({}, "other", "some_label") == "Some label"


def test_the_verdict_says_how_sure_it_is():
    assert verdict(["Benign", "Normal"], [0.95, 0.05]) == "Likely: Benign"
    assert verdict(["Benign", "Normal"], [0.7, 0.3]) == "Leans to: Benign"
    assert verdict(["Benign", "Normal"], [0.5, 0.4]) == "Not sure: Benign or Normal"
