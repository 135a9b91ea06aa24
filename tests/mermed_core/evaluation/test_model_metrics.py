"""What a model says of itself is what stands in the table of figures."""

import math

import pytest

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.model_metrics import model_figures
from mermed_core.evaluation.results import Figure, to_frame

PROBE = Figure("ours", "ct", "lung", "linear_probe", "auroc", 0.9, 0.85, 0.95, images=40, groups=30)


def rows(*changes):
    blank = PROBE.__dict__
    return to_frame([Figure(**{**blank, **change}) for change in changes])


LUNG = (
    {},
    {"metric": "ece", "value": 0.02},
    {"label": "nodule", "value": 0.1},
    {"subgroup": "sex=F", "value": 0.2},
    {"task": "", "value": 0.3},  # the mean over a modality is no task
)
START = ({"encoder": "start", "value": 0.8}, {"encoder": "start", "metric": "ece", "value": 0.3})
SKIN = (
    {"task": "skin", "modality": "dermatology", "value": 0.7, "low": math.nan, "high": math.nan},
    {"task": "skin", "modality": "dermatology", "metric": "ece", "value": 0.5},
)


def test_entries_hold_the_figures_over_all_images_and_classes():
    figures = model_figures(rows(*LUNG, *START), "ours", start="start", averaged=("lung",))
    assert figures == {
        "lung": {
            "modality": "ct",
            "n_test": 40,
            "n_groups": 30,
            "auroc": 0.9,
            "auroc_low": 0.85,
            "auroc_high": 0.95,
            "ece": 0.02,
            "start_auroc": 0.8,
        },
        "mean_auroc": 0.9,
        "start_mean_auroc": 0.8,
    }


def test_a_mean_needs_every_task_and_undefined_intervals_are_none():
    table = rows(*LUNG, *SKIN, {"protocol": "cross_validation", "value": 0.6, "low": 0.5, "high": 0.7})
    figures = model_figures(table, "ours", averaged=("lung", "skin"))
    assert figures["mean_auroc"] == pytest.approx(0.8)
    assert (figures["skin"]["auroc_low"], figures["skin"]["auroc_high"]) == (None, None)
    assert [figures["lung"][name] for name in ("crossed_auroc", "crossed_low", "crossed_high")] == [
        0.6,
        0.5,
        0.7,
    ]
    assert "start_auroc" not in figures["lung"]
    assert "mean_auroc" not in model_figures(table, "ours", averaged=("lung", "heart"))


@pytest.mark.parametrize(
    ("table", "options", "told"),
    [
        (rows(*START), {}, "no linear probe of 'ours'"),
        (rows(*LUNG), {"start": "start"}, "no linear probe of 'start'"),
        (rows(*LUNG, {}), {}, "2 figures of auroc on 'lung'"),
    ],
)
def test_what_is_missing_or_double_is_told(table, options, told):
    with pytest.raises(EvaluationError, match=told):
        model_figures(table, "ours", **options)
