"""A whole evaluation: every protocol, what is cached, means, comparisons, what is left out."""

import logging
from dataclasses import replace

import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.errors import EvaluationError, ImageError
from mermed_core.evaluation import runner
from mermed_core.evaluation.encoders import open_encoder
from mermed_core.evaluation.protocols.fine_tuning import FineTuning
from mermed_core.evaluation.results import COLUMNS, of_tasks
from mermed_core.evaluation.runner import PROTOCOLS, Plan, evaluate

pytestmark = pytest.mark.usefixtures("few_penalties")

ENCODERS = ("tiny", "pixels@8", "pixels@4")
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
    encoders = [embedder, *map(open_encoder, ENCODERS[1:])]
    return evaluate(encoders, few, replace(PLAN, subgroups=("sex",)), cache)


@pytest.mark.slow
def test_every_protocol_has_results_of_every_encoder_that_it_can_be_applied_to(found):
    assert tuple(found.results) == COLUMNS
    measured = set(zip(found.results["encoder"], found.results["protocol"], strict=True))
    without = {("pixels@8", "fine_tuning"), ("pixels@4", "fine_tuning")}
    assert measured == {(name, protocol) for name in ENCODERS for protocol in PROTOCOLS} - without
    assert set(found.left_out) == {f"{name}, phantom_cxr, {what}" for name, what in without}
    divided = found.results[found.results["subgroup_column"] == "sex"]
    assert set(divided["subgroup"]) == {"F", "M", ""}
    assert set(found.predictions["protocol"]) == {"linear_probe", "knn", "cross_validation", "fine_tuning"}
    assert set(found.predictions["sex"]) == {"F", "M"}


@pytest.mark.slow
def test_a_modality_of_one_task_has_results_too(found):
    whole = found.results[found.results["task"].eq("") & found.results["label"].eq("")]
    assert set(whole["modality"]) == {"cxr"}
    means = whole[whole["protocol"] != "retrieval"]
    assert set(means["metric"]) == {"auroc"}
    assert means.groupby("protocol")["encoder"].agg(list).to_dict() == {
        "linear_probe": list(ENCODERS),
        "knn": list(ENCODERS),
        "cross_validation": list(ENCODERS),
        "fine_tuning": ["tiny"],
    }
    alone = of_tasks(found.results, "linear_probe", "auroc")
    assert means[means["protocol"] == "linear_probe"]["value"].tolist() == alone["value"].tolist()
    retrieved = whole[whole["protocol"] == "retrieval"]
    assert set(retrieved["encoder"]) == set(ENCODERS)
    assert retrieved["value"].tolist() == of_tasks(found.results, "retrieval")["value"].tolist()


@pytest.mark.slow
def test_every_two_encoders_are_compared(found):
    pairs = set(zip(found.comparisons["first"], found.comparisons["second"], strict=True))
    assert pairs == {("tiny", "pixels@8"), ("tiny", "pixels@4"), ("pixels@8", "pixels@4")}
    assert set(found.comparisons["protocol"]) == {"linear_probe", "knn", "cross_validation"}
    assert found.comparisons["p_corrected"].notna().any()
    # nine bootstraps a metric are 1,800 draws, whatever the plan says
    assert found.comparisons["p_value"].min() < 2 / 21


@pytest.mark.slow
def test_what_was_done_is_not_done_again_and_the_same(found, embedder, few, cache, monkeypatch):
    monkeypatch.setattr(runner, "PROTOCOLS", {})
    plan = replace(PLAN, subgroups=("sex",))
    encoders = [embedder, *map(open_encoder, ENCODERS[1:])]
    again = evaluate(encoders, few, replace(plan, protocols=("few_shot",)), cache)
    expected = found.results[found.results["protocol"] == "few_shot"].reset_index(drop=True)
    assert again.results.equals(expected)


def test_a_task_without_test_images_is_named_and_left_out(embedder, few, tmp_path, caplog):
    frame = few.frame.assign(split=few.frame["split"].replace("test", "val"))
    plan = Plan(("linear_probe", "cross_validation"), resamples=20)
    with caplog.at_level(logging.WARNING):
        found = evaluate([embedder], Manifest.from_frame(frame), plan, tmp_path)
    assert set(found.results["protocol"]) == {"cross_validation"}
    assert "tiny, phantom_cxr, linear_probe is left out: task 'phantom_cxr' has no image" in caplog.text
    assert found.left_out.keys() == {"tiny, phantom_cxr, linear_probe"}


def test_where_retrieval_finds_nothing_all_else_is_measured(few, tmp_path):
    alone = Manifest.from_frame(few.frame.assign(group="one patient"))
    plan = Plan(("retrieval", "linear_probe"), resamples=20)
    found = evaluate([open_encoder("pixels@8")], alone, plan, tmp_path)
    assert set(found.results["protocol"]) == {"linear_probe"}
    assert list(found.left_out) == ["pixels@8, phantom_cxr, retrieval", "pixels@8, all of cxr, retrieval"]
    assert "no test image for which" in found.left_out["pixels@8, all of cxr, retrieval"]


def test_an_image_that_is_gone_ends_its_job_alone(few, tmp_path, monkeypatch):
    def gone(job):
        raise ImageError("the file is gone.")

    monkeypatch.setitem(runner.PROTOCOLS, "robustness", gone)
    found = evaluate([open_encoder("pixels@8")], few, Plan(("robustness", "knn"), resamples=20), tmp_path)
    assert set(found.results["protocol"]) == {"knn"}
    assert found.left_out == {"pixels@8, phantom_cxr, robustness": "the file is gone."}


def test_subgroups_can_be_the_sources(few, tmp_path):
    sources = ["near", "far"] * (len(few.frame) // 2)
    both = Manifest.from_frame(few.frame.assign(task="lung", source=sources))
    plan = Plan(("linear_probe",), subgroups=("source",), resamples=20)
    found = evaluate([open_encoder("pixels@8")], both, plan, tmp_path)
    assert set(found.results.loc[found.results["subgroup_column"] == "source", "subgroup"]) == {
        "near",
        "far",
        "",
    }
    assert not found.left_out


def test_two_encoders_of_one_name_and_a_column_that_is_not_there_are_refused(embedder, few, tmp_path):
    with pytest.raises(EvaluationError, match="same name"):
        evaluate([embedder, embedder], few, PLAN, tmp_path)
    with pytest.raises(EvaluationError, match="no column 'age' for subgroups; there are: sex, source"):
        evaluate([embedder], few, replace(PLAN, subgroups=("age",)), tmp_path)
