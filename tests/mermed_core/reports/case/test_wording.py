import pytest

from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics
from mermed_core.records import Likelihood
from mermed_core.reports.case.wording import (
    auroc,
    class_name,
    header_modality,
    map_check,
    percent,
    region,
    second_look,
    share_of,
    verdict,
)
from mermed_core.reports.text import humanise


@pytest.mark.parametrize(
    ("share", "written"),
    [(1.0, ">99%"), (0.995, ">99%"), (0.99, "99%"), (0.5, "50%"), (0.009, "<1%"), (0.0, "<1%")],
)
def test_percentages_never_claim_certainty(share, written):
    assert percent(share) == written


def test_names_for_people():
    assert humanise("diabetic_retinopathy") == "Diabetic retinopathy"
    assert humanise("COVID-19") == "COVID-19"
    assert humanise("") == ""
    measured = TaskMetrics(modality="dermatology", n_test=1, n_groups=1, names={"nv": "melanocytic naevus"})
    metrics = ModelMetrics(tasks={"ham10000": measured})
    assert class_name(metrics, "ham10000", "nv") == "Melanocytic naevus"
    assert class_name(metrics, "ham10000", "mel") == "Mel"
    assert class_name(ModelMetrics(), "other", "some_label") == "Some label"


def test_the_verdict_says_how_sure_it_is():
    yes, maybe, no = Likelihood
    for likelihoods, words in (
        ([yes, no, no], "Likely: A"),
        ([maybe, no, no], "Possible: A"),
        ([maybe, maybe, no], "Possible: A or B"),
        ([maybe, no, maybe], "Possible: A or C"),
        ([maybe, maybe, maybe], "Possible: A, B or C"),
    ):
        assert verdict(["A", "B", "C"], likelihoods) == words
    assert verdict("ABCDEF", [maybe] * 5 + [no]) == "Possible: 5 of 6, first A"


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.9, 0.8, 0.95, "AUROC 0.90 (95% CI 0.80 to 0.95)"),
        (0.9993, 0.9979, 1.0, "AUROC 0.999 (95% CI 0.998 to 1.000)"),
        (1.0, 1.0, 1.0, "AUROC 1.00 (no confidence interval: not one mistake among so few images)"),
        (0.9, None, None, "AUROC 0.90 (no confidence interval: too few patients)"),
    ],
)
def test_a_figure_never_looks_surer_than_its_images(value, low, high, said):
    measured = TaskMetrics(
        modality="fundus", n_test=37, n_groups=37, auroc=value, auroc_low=low, auroc_high=high
    )
    assert auroc(measured) == said


def test_a_probability_that_stays_is_said_once():
    assert "stays at >99% under 8" in second_look("Drusen", 0.995, 0.999, 8, ())
    assert "gets 97% to >99% under 8" in second_look("Drusen", 0.97, 0.999, 8, ())
    assert "the probability stays at >99%:" in map_check(0.4, 0.999, 0.989, like_shuffled=False)
    assert "the probability goes from 93% to 4%." in map_check(0.4, 0.93, 0.04, like_shuffled=False)


def test_a_correlation_that_rounds_to_nothing_has_no_sign():
    assert "(rank correlation 0.00;" in map_check(-0.004, 0.9, 0.2, like_shuffled=False)
    assert "(rank correlation -0.01;" in map_check(-0.006, 0.9, 0.2, like_shuffled=False)


def test_a_class_that_several_changes_put_first_is_named_once_with_them():
    turned = (("brighter", "Normal"), ("darker", "Drusen"), *((f"change {i}", "Normal") for i in range(3)))
    assert second_look("Oedema", 0.1, 0.6, 8, turned).endswith(
        " Normal comes first under 4 of them (brighter, change 0, change 1, …); "
        "Drusen comes first under 1 of them (darker)."
    )


def test_what_is_left_over_is_no_region_of_the_body():
    assert region("other tissue", "pathology") == ""
    assert region("chest", "cxr") == ""
    assert region("nerves_of_the_neck", "ultrasound") == "nerves of the neck"


def test_shares_of_test_images_have_their_interval_and_count():
    assert share_of(61, 66) == "92% (83 to 97), 61 of 66"
    assert share_of(0, 0) == "no test image"


@pytest.mark.parametrize(
    ("found", "share"), [(1548, "100%"), (1547, "99%"), (1541, "99%"), (1, "1%"), (0, "0%")]
)
def test_only_all_test_images_are_all_of_them(found, share):
    assert share_of(found, 1548).startswith(f"{share} (")


@pytest.mark.parametrize(
    ("stated", "seen", "sentence"),
    [
        ("ct", "ultrasound", "The file's header says CT; the pixels look like ultrasound."),
        ("cxr", "oct", "The file's header says chest X-ray; the pixels look like OCT."),
        ("ct", "ct", "The file's header also says CT."),
        ("fundus", None, "The file's header says colour fundus."),
        ("MR", None, "The file's header says MR, which is none of the seven kinds."),
        (
            "MG",
            "cxr",
            "The file's header says mammography, which is none of the seven kinds. Do not rely on what is "
            "said here.",
        ),
    ],
)
def test_the_header_is_compared_with_what_the_model_sees(stated, seen, sentence):
    assert header_modality(stated, seen) == sentence
