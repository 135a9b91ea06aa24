"""What a model says about itself is what stands in the table of results."""

import math

import pytest

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.model_results import model_metrics
from mermed_core.evaluation.results import Result, to_frame
from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics, WholeModelMetrics

PROBE = Result("ours", "ct", "lung", "linear_probe", "auroc", 0.9, 0.85, 0.95, images=40, groups=30)


def rows(*changes):
    blank = PROBE.__dict__
    return to_frame([Result(**{**blank, **change}) for change in changes])


LUNG = (
    {},
    {"metric": "ece", "value": 0.02},
    {"label": "nodule", "value": 0.1},
    {"subgroup_column": "sex", "subgroup": "F", "value": 0.2},
    {"task": "", "value": 0.3},  # the mean over a modality is no task
)
START = ({"encoder": "start", "value": 0.8}, {"encoder": "start", "metric": "ece", "value": 0.3})
SKIN = (
    {"task": "skin", "modality": "dermatology", "value": 0.7, "low": math.nan, "high": math.nan},
    {"task": "skin", "modality": "dermatology", "metric": "ece", "value": 0.5},
)


def test_metrics_hold_the_results_over_all_images_and_classes():
    metrics = model_metrics(rows(*LUNG, *START), "ours", start="start", averaged=("lung",))
    lung = TaskMetrics(
        modality="ct",
        n_test=40,
        n_groups=30,
        auroc=0.9,
        auroc_low=0.85,
        auroc_high=0.95,
        ece=0.02,
        start_auroc=0.8,
    )
    model = WholeModelMetrics(mean_auroc=0.9, start_mean_auroc=0.8)
    assert metrics == ModelMetrics(tasks={"lung": lung}, model=model)


def test_a_mean_needs_every_task_and_undefined_intervals_are_none():
    table = rows(*LUNG, *SKIN, {"protocol": "cross_validation", "value": 0.6, "low": 0.5, "high": 0.7})
    metrics = model_metrics(table, "ours", averaged=("lung", "skin"))
    assert metrics.model.mean_auroc == pytest.approx(0.8)
    lung, skin = metrics.tasks["lung"], metrics.tasks["skin"]
    assert (skin.auroc_low, skin.auroc_high) == (None, None)
    assert (lung.cross_validated_auroc, lung.cross_validated_low, lung.cross_validated_high) == (
        0.6,
        0.5,
        0.7,
    )
    assert skin.cross_validated_auroc is None
    assert lung.start_auroc is metrics.model.start_mean_auroc is None
    assert model_metrics(table, "ours", averaged=("lung", "heart")).model.mean_auroc is None


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (rows(*START), {}, "no linear probe of 'ours'"),
        (rows(*LUNG), {"start": "start"}, "no linear probe of 'start'"),
        (rows(*LUNG, {}), {}, "2 results of auroc on 'lung'"),
    ],
)
def test_what_is_missing_or_double_is_an_error(table, options, message):
    with pytest.raises(EvaluationError, match=message):
        model_metrics(table, "ours", **options)
