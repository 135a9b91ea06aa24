"""An evaluation as a whole: every protocol, parts that are kept, comparisons with the first encoder."""

import logging
from dataclasses import replace

import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.errors import EvaluationError
from mermed_core.evaluation import evaluation
from mermed_core.evaluation.encoders import open_encoder
from mermed_core.evaluation.evaluation import PROTOCOLS, Plan, evaluate
from mermed_core.evaluation.figures import COLUMNS
from mermed_core.evaluation.fine_tuning import FineTuning

PLAN = Plan(tuple(PROTOCOLS), resamples=20, severities=(3,), fine_tuning=FineTuning(epochs=1))


@pytest.fixture(scope="module")
def few(phantoms):
    """Phantoms of one modality, by sex, half of them to learn from."""
    frame = phantoms.frame[phantoms.frame["modality"] == "cxr"]
    of_each_class = frame.groupby(frame["labels"].map(tuple)).cumcount()
    splits = [("train", "train", "val", "test")[position % 4] for position in of_each_class]
    sexes = ["FM"[position // 4 % 2] for position in of_each_class]
    return Manifest.from_frame(frame.assign(split=splits, sex=sexes))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def found(embedder, few, cache):
    return evaluate([embedder, open_encoder("pixels@8")], few, replace(PLAN, subgroups=("sex",)), cache)


@pytest.mark.slow
def test_every_protocol_has_figures_of_every_encoder_that_it_can_be_applied_to(found):
    assert tuple(found.figures) == COLUMNS
    measured = set(zip(found.figures["encoder"], found.figures["protocol"], strict=True))
    assert measured == {(name, protocol) for name in ("tiny", "pixels@8") for protocol in PROTOCOLS} - {
        ("pixels@8", "fine_tuning")
    }
    assert {"sex=F", "sex=M", "sex"} < set(found.figures["subgroup"])
    assert set(found.predictions["protocol"]) == {"linear_probe", "knn", "cross_validation", "fine_tuning"}


@pytest.mark.slow
def test_the_first_encoder_is_compared_with_the_other(found):
    assert set(found.comparisons["first"]) == {"tiny"}
    assert set(found.comparisons["second"]) == {"pixels@8"}
    assert found.comparisons["p_corrected"].notna().any()


@pytest.mark.slow
def test_what_was_done_is_not_done_again_and_the_same(found, embedder, few, cache, monkeypatch):
    monkeypatch.setattr(evaluation, "PROTOCOLS", {})
    plan = replace(PLAN, subgroups=("sex",))
    again = evaluate([embedder, open_encoder("pixels@8")], few, replace(plan, protocols=("few_shot",)), cache)
    expected = found.figures[found.figures["protocol"] == "few_shot"].reset_index(drop=True)
    assert again.figures.equals(expected)


def test_a_task_without_test_images_is_named_and_left_out(embedder, few, tmp_path, caplog):
    frame = few.frame.assign(split=few.frame["split"].replace("test", "val"))
    plan = Plan(("linear_probe", "cross_validation"), resamples=20)
    with caplog.at_level(logging.WARNING):
        found = evaluate([embedder], Manifest.from_frame(frame), plan, tmp_path)
    assert set(found.figures["protocol"]) == {"cross_validation"}
    assert "tiny, phantom_cxr, linear_probe is left out: task 'phantom_cxr' has no image" in caplog.text


def test_two_encoders_of_one_name_and_a_column_that_is_not_there_are_refused(embedder, few, tmp_path):
    with pytest.raises(EvaluationError, match="same name"):
        evaluate([embedder, embedder], few, PLAN, tmp_path)
    with pytest.raises(EvaluationError, match="no column 'age' for subgroups; there are: sex"):
        evaluate([embedder], few, replace(PLAN, subgroups=("age",)), tmp_path)
