"""metrics.json: what is written is read again, older files too, and damage is an error."""

import json
import math

import pytest
from pydantic import ValidationError

from mermed_core.errors import ModelError
from mermed_core.models.model_metrics import (
    Estimate,
    FindingMetrics,
    KindMetrics,
    ModelMetrics,
    SourceMetrics,
    TaskMetrics,
    UnseenSourceMetrics,
    WholeModelMetrics,
)

LUNG = TaskMetrics(modality="ct", n_test=40, n_groups=30, auroc=0.1 + 0.2, auroc_low=0.2, auroc_high=0.4)
METRICS = ModelMetrics(
    tasks={"lung": LUNG},
    model=WholeModelMetrics(modality_accuracy=0.98),
    unknown_input={"noise": 1.0},
    pointing={"HiResCAM": 0.8, "Grad-CAM": 0.5},
)
UNSEEN = UnseenSourceMetrics(
    modality_right=Estimate(value=0.97, low=0.95, high=0.99),
    unknown_turned_away=Estimate(value=0.96, low=math.nan, high=math.nan),
    sources={"abroad": SourceMetrics(modality="ct", images=40, passed=Estimate(value=0.9))},
    kinds={"brain_mr": KindMetrics(value=0.9, images=80)},
    findings={"chest": {"pneumonia": FindingMetrics(auroc=Estimate(value=0.8), sources=("one", "two"))}},
)


def test_what_is_written_is_read_again(tmp_path):
    METRICS.save(tmp_path / "metrics.json")
    again = ModelMetrics.load(tmp_path / "metrics.json")
    assert again == METRICS
    assert list(again.pointing) == ["HiResCAM", "Grad-CAM"]
    assert again.tasks["lung"].auroc == 0.1 + 0.2  # to the last digit
    assert ModelMetrics.load(tmp_path / "none.json") == ModelMetrics()


def test_what_was_measured_on_unseen_sources_is_kept_and_files_without_it_are_read(tmp_path):
    path = tmp_path / "metrics.json"
    METRICS.model_copy(update={"unseen_source": UNSEEN}).save(path)
    assert ModelMetrics.load(path).unseen_source == UNSEEN
    content = json.loads(path.read_text())
    kind = {"value": 0.9, "low": None, "high": None, "images": 80}
    assert content["unseen_source"]["kinds"] == {"brain_mr": kind}
    assert content["unseen_source"]["unknown_turned_away"] == {"value": 0.96, "low": None, "high": None}
    del content["unseen_source"]
    path.write_text(json.dumps(content))
    assert ModelMetrics.load(path).unseen_source is None


def test_what_a_report_says_of_unseen_sources_stands_in_a_file_of_its_own(tmp_path):
    UNSEEN.save(tmp_path / "unseen_source.json")
    assert UnseenSourceMetrics.load(tmp_path / "unseen_source.json") == UNSEEN
    for damage in ("3", '{"kinds": {"brain_mr": {"value": 1.0}}}'):
        (tmp_path / "unseen_source.json").write_text(damage)
        with pytest.raises(ModelError, match=r"unseen_source\.json' is damaged"):
            UnseenSourceMetrics.load(tmp_path / "unseen_source.json")


def test_what_is_not_defined_is_null_in_the_file(tmp_path):
    undefined = LUNG.model_copy(update={"ece": None})
    assert TaskMetrics.model_validate(undefined.model_dump() | {"auroc_low": math.nan}).auroc_low is None
    ModelMetrics(tasks={"lung": undefined}).save(tmp_path / "metrics.json")
    assert json.loads((tmp_path / "metrics.json").read_text())["tasks"]["lung"]["ece"] is None


def test_the_flat_file_of_older_models_is_still_read(tmp_path):
    flat = {
        "lung": {"modality": "ct", "n_test": 4, "n_groups": 3, "auroc": 0.9, "crossed_auroc": 0.8}
        | {"crossed_low": 0.7, "crossed_high": 0.85, "title": "Lung"},
        "modality_accuracy": 0.98,
        "rejected_solid colours": 0.5,
        "pointing_Grad-CAM++": 0.1,
    }
    (tmp_path / "metrics.json").write_text(json.dumps(flat))
    metrics = ModelMetrics.load(tmp_path / "metrics.json")
    assert metrics.tasks["lung"].cross_validated_auroc == 0.8
    assert metrics.tasks["lung"].cross_validated_high == 0.85
    assert metrics.model == WholeModelMetrics(modality_accuracy=0.98)
    assert (metrics.unknown_input, metrics.pointing) == ({"solid colours": 0.5}, {"Grad-CAM++": 0.1})


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "3",
        "null",
        '["a"]',
        '{"tasks": {"lung": {"auroc": 0.9}}}',
        '{"tasks": {}, "more": 1}',
        '{"new": 1}',
    ],
)
def test_damage_is_an_error_that_names_the_file(tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(ModelError, match=r"metrics\.json' is damaged"):
        ModelMetrics.load(tmp_path / "metrics.json")


def test_newer_metrics_replace_what_they_measured_and_leave_the_rest():
    newer = ModelMetrics(
        tasks={"skin": LUNG}, model=WholeModelMetrics(mean_auroc=0.9), unknown_input={"text": 0.7}
    )
    both = METRICS.updated(newer)
    assert set(both.tasks) == {"lung", "skin"}
    assert both.model == WholeModelMetrics(modality_accuracy=0.98, mean_auroc=0.9)
    assert both.unknown_input == {"text": 0.7}
    assert both.pointing == METRICS.pointing
    old = METRICS.model_copy(update={"unseen_source": UNSEEN})
    assert old.updated(newer).unseen_source == UNSEEN
    again = UnseenSourceMetrics(passed=Estimate(value=0.5))
    assert old.updated(ModelMetrics(unseen_source=again)).unseen_source == again


def test_metrics_are_values():
    with pytest.raises(ValidationError):
        LUNG.auroc = 1.0
