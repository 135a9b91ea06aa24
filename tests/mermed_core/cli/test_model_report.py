"""Results of a report go into the model folder, and nothing else of it changes."""

import shutil
from functools import partial

import pandas as pd
import pytest

from mermed_core.cli import main
from mermed_core.evaluation.protocols import pointing
from mermed_core.inference.predictor import Predictor
from mermed_core.models.model_metrics import (
    Estimate,
    ModelMetrics,
    SourceMetrics,
    TaskMetrics,
    UnseenSourceMetrics,
)


@pytest.fixture(scope="module")
def reports(model_folder, scans, tmp_path_factory):
    """Two reports of the tiny model: beside a start, and cross-validated."""
    folder = tmp_path_factory.mktemp("reports")
    encoder = ["--encoder", f"tiny={model_folder}"]
    common = ["--data", str(scans), "--resamples", "20", "--cache", str(folder / "cache")]
    beside = ["--encoder", "start=pixels@8", "--protocol", "linear_probe", "--out", str(folder / "beside")]
    assert main(["evaluate", *encoder, *common, *beside]) == 0
    crossed = ["--protocol", "cross_validation", "--out", str(folder / "crossed")]
    assert main(["evaluate", *encoder, *common, *crossed]) == 0
    return folder


@pytest.fixture(autouse=True)
def quick_pointing(monkeypatch):
    """Fits the heads of the pointing game on few phantoms."""
    few = partial(pointing.pointing_game, fitted_on=6)
    monkeypatch.setattr(pointing, "pointing_game", few)


@pytest.fixture
def model(model_folder, tmp_path):
    """The tiny model as `mermed fit` leaves one whose heads are of the phantoms and of the scans."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    metrics = ModelMetrics.load(folder / "metrics.json")
    fitted = TaskMetrics(modality="ct", n_test=4, n_groups=4, auroc=0.5)
    metrics.model_copy(update={"tasks": {**metrics.tasks, "scans": fitted}}).save(folder / "metrics.json")
    return folder


def test_metrics_and_card_are_those_of_the_reports(model, reports, scans):
    before = {path: path.read_bytes() for path in model.rglob("*.safetensors")}
    options = ["--report", str(reports / "beside"), "--report", str(reports / "crossed"), "--start", "start"]
    data = ["--data", str(scans), "--pointing", "1"]
    assert main(["model-report", "--model", str(model), *options, *data]) == 0
    metrics = ModelMetrics.load(model / "metrics.json")
    results = pd.read_parquet(reports / "beside" / "results.parquet")
    task = metrics.tasks["scans"]
    assert (task.auroc, task.n_test) == (0.5, 4)  # of the model's own head
    assert task.start_auroc in set(results.loc[results["encoder"] == "start", "value"])
    assert task.cross_validated_auroc is not None
    assert 0 <= metrics.unknown_input["photographs"] <= 1
    pointed = pd.read_csv(reports / "beside" / "pointing.csv")
    served = pointed[pointed["method"] == "HiResCAM"]
    assert metrics.pointing["HiResCAM"] == pytest.approx(served["in_finding"].mean())
    assert served["images"].sum() == 8
    assert "photographs" in (model / "README.md").read_text(encoding="utf-8")
    assert {path: path.read_bytes() for path in model.rglob("*.safetensors")} == before
    assert Predictor.load(model).metrics == metrics


def test_what_a_report_says_of_unseen_sources_goes_into_metrics_and_card(model, reports, scans, tmp_path):
    (report := tmp_path / "report").mkdir()
    of_source = SourceMetrics(modality="ct", images=9, passed=Estimate(value=0.875))
    UnseenSourceMetrics(passed=Estimate(value=0.5), sources={"abroad": of_source}).save(
        report / "unseen_source.json"
    )
    options = ["--data", str(scans), "--pointing", "0", "--model", str(model)]
    assert main(["model-report", "--report", str(report), *options]) == 0
    for again in (False, True):  # a later report without it takes nothing away
        if again:
            assert main(["model-report", "--report", str(reports / "beside"), *options]) == 0
        unseen = ModelMetrics.load(model / "metrics.json").unseen_source
        assert unseen is not None
        assert unseen.sources["abroad"].passed.value == 0.875
        assert "| abroad | ct | 9 | not defined | 87.5% |" in (model / "README.md").read_text("utf-8")


def test_joined_label_sets_keep_their_names_and_caveats(model, reports, scans, tmp_path):
    joined = tmp_path / "joined.toml"
    joined.write_text(
        '[sets.scans]\nmodality = "ct"\nregion = "chest"\ntitle = "Scans of two hospitals"\n'
        'caveat = "One of them has healthy people only."\n[sets.scans.classes]\nleft = ["scans:left"]\n'
    )
    options = ["--data", str(scans), "--pointing", "0", "--label-sets", str(joined)]
    assert main(["model-report", "--model", str(model), "--report", str(reports / "beside"), *options]) == 0
    assert ModelMetrics.load(model / "metrics.json").tasks["scans"].title == "Scans of two hospitals"
    assert "One of them has healthy people only." in (model / "README.md").read_text(encoding="utf-8")


def test_label_sets_that_the_model_cannot_answer_are_not_listed(model_folder, reports, scans, tmp_path):
    model = shutil.copytree(model_folder, tmp_path / "without")
    before = set(ModelMetrics.load(model / "metrics.json").tasks)
    assert "scans" not in before
    options = ["--data", str(scans), "--pointing", "0", "--report", str(reports / "beside")]
    assert main(["model-report", "--model", str(model), *options]) == 0
    assert set(ModelMetrics.load(model / "metrics.json").tasks) == before


def test_a_report_of_another_model_is_refused_and_nothing_changes(model, reports, scans, error_of):
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    options = ["--report", reports / "beside", "--start", "other", "--data", scans]
    code, sentence = error_of("model-report", "--model", model, *options)
    assert (code, "no linear probe of 'other'" in sentence) == (1, True)
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before
