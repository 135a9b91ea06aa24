"""The command writes the whole report, and the same command again writes the same."""

from collections.abc import Callable

import pandas as pd
import pytest
from PIL import Image

from mermed_core.cli import evaluate, main
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.protocols.fine_tuning import FineTuning
from mermed_core.evaluation.runner import PROTOCOLS, RETRIEVAL_SPACE_PROTOCOL, UNSEEN_SOURCE_PROTOCOL, Plan
from mermed_core.models.model_metrics import UnseenSourceMetrics

FILES = ["comparisons.parquet", "predictions.parquet", "report.html", "report.md", "results.parquet"]


def test_the_report_is_written_and_the_same_again(encoder_folder, scans, tmp_path, monkeypatch):
    monkeypatch.setattr("mermed_core.pretraining.run_folder.code_revision", lambda: "a commit")
    out = tmp_path / "report"
    command = [
        "evaluate",
        "--encoder",
        f"ours={encoder_folder}",
        "--encoder",
        "pixels@8",
        "--data",
        str(scans),
    ]
    command += [
        "--out",
        str(out),
        "--resamples",
        "20",
        "--protocol",
        "linear_probe",
        "--protocol",
        "retrieval",
    ]
    assert main(command) == 0
    assert sorted(path.name for path in out.iterdir()) == FILES
    results = pd.read_parquet(out / "results.parquet")
    assert set(results["encoder"]) == {"ours", "pixels@8"}
    assert set(results["protocol"]) == {"linear_probe", "retrieval"}
    for name in ("report.md", "report.html"):
        assert "Research use only" in (out / name).read_text(encoding="utf-8")
    before = {name: (out / name).read_bytes() for name in FILES}
    assert main(command) == 0
    assert {name: (out / name).read_bytes() for name in FILES} == before


def test_unseen_sources_are_measured_for_the_first_encoder(encoder_folder, tmp_path, make_strange):
    for kind, images in make_strange(3, 2).items():
        folder = tmp_path / "unknown" / kind.replace(" ", "_")
        folder.mkdir(parents=True)
        for number, pixels in enumerate(images):
            Image.fromarray(pixels).save(folder / f"{number}.png")
    command = ["evaluate", "--encoder", str(encoder_folder), "--encoder", "pixels@8", "--data", "phantoms:12"]
    command += ["--protocol", "unseen_source", "--unknown", str(tmp_path / "unknown")]
    assert main([*command, "--out", str(tmp_path / "report")]) == 0
    unseen = UnseenSourceMetrics.load(tmp_path / "report" / "unseen_source.json")
    assert {"squares_of_1", "squares of 1"} < set(unseen.kinds)
    assert unseen.kinds["squares_of_4"].images == 2
    assert len(unseen.sources) == 7  # drawings cannot be left out: held-out ones are asked about
    assert unseen.passed.value is not None
    assert "unseen" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8").lower()


def test_a_folder_with_something_else_is_kept(tmp_path, error_of):
    (tmp_path / "thesis.txt").write_text("all of it")
    code, sentence = error_of("evaluate", "--encoder", "pixels", "--data", "phantoms:10", "--out", tmp_path)
    assert (code, "another place" in sentence) == (1, True)


def test_every_protocol_can_be_asked_for():
    assert (*PROTOCOLS, UNSEEN_SOURCE_PROTOCOL, RETRIEVAL_SPACE_PROTOCOL) == evaluate.PROTOCOLS


def test_the_defaults_in_the_help_are_those_of_the_protocols():
    settings = FineTuning()
    assert {name: getattr(settings, name) for name in evaluate.FINE_TUNING} == {
        name: default for name, (default, _) in evaluate.FINE_TUNING.items()
    }
    assert Plan(()).severities == evaluate.DEFAULT_SEVERITIES


@pytest.fixture
def planned(monkeypatch, tmp_path) -> Callable[..., Plan]:
    """Returns the plan that a command makes, and stops there."""
    plans = []

    def take(encoders, manifest, plan, cache, **_):
        plans.append(plan)
        raise EvaluationError("enough")

    monkeypatch.setattr("mermed_core.evaluation.runner.evaluate", take)

    def run(*options: str) -> Plan:
        out = ["--out", str(tmp_path / "report")]
        assert main(["evaluate", "--encoder", "pixels", "--data", "phantoms:2", *out, *options]) == 1
        return plans[-1]

    return run


def test_settings_of_fine_tuning_and_severities_reach_the_plan(planned):
    assert planned() == Plan(evaluate.DEFAULT_PROTOCOLS)
    options = ["--mixup", "0.2", "--epochs", "3", "--layer-decay", "1", "--patience", "2", "--batch", "8"]
    options += ["--learning-rate", "1e-3", "--weight-decay", "0", "--seed", "7"]
    options += ["--severity", "5", "--severity", "2", "--severity", "5"]
    plan = planned(*options)
    assert plan.fine_tuning == FineTuning(
        epochs=3, batch=8, learning_rate=1e-3, layer_decay=1, weight_decay=0, mixup=0.2, patience=2, seed=7
    )
    assert (plan.severities, plan.seed) == ((2, 5), 7)


def test_the_report_states_the_settings_of_the_protocols_asked_for():
    plan = Plan(("fine_tuning", "robustness"), fine_tuning=FineTuning(mixup=0.2), severities=(2, 5))
    settings = evaluate._settings(plan)
    assert settings["Severities of corruptions"] == "2, 5"
    assert "epochs 30" in settings["Fine-tuning"]
    assert "mixup 0.2" in settings["Fine-tuning"]
    assert evaluate._settings(Plan(evaluate.DEFAULT_PROTOCOLS)) == {}


@pytest.mark.parametrize(
    "options", [["--resamples", "0"], ["--severity", "6"], ["--epochs", "many"], ["--protocol", "magic"]]
)
def test_values_out_of_range_end_before_anything_is_read(options, error_of):
    code, sentence = error_of("evaluate", "--encoder", "none", "--data", "none", "--out", "report", *options)
    assert code == 2
    assert sentence.startswith(f"{options[0]}: ")


def test_a_setting_that_cannot_be_used_is_refused_before_an_encoder_is_opened(tmp_path, error_of):
    options = ["--encoder", "none", "--data", "none", "--out", tmp_path / "mine", "--layer-decay", "0"]
    code, sentence = error_of("evaluate", *options)
    assert code == 1
    assert "layer_decay of fine-tuning must be above 0 and at most 1" in sentence


@pytest.fixture
def command(scans) -> list[str]:
    return ["evaluate", "--encoder", "pixels@8", "--data", str(scans), "--resamples", "5"]


def test_the_current_folder_can_be_the_report(command, tmp_path, monkeypatch):
    (tmp_path / "report").mkdir()
    monkeypatch.chdir(tmp_path / "report")
    assert main([*command, "--protocol", "linear_probe", "--out", "."]) == 0
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == FILES
    assert (tmp_path / "report.cache").is_dir()


def test_ages_of_a_csv_are_measured_in_bands_and_written_with_the_groups(command, tmp_path):
    out = tmp_path / "report"
    assert main([*command, "--protocol", "linear_probe", "--subgroup", "age", "--out", str(out)]) == 0
    predictions = pd.read_parquet(out / "predictions.parquet")
    assert predictions["group"].tolist() == [str(row) for row in range(20, 40) for _ in range(2)]
    assert predictions["age"].tolist() == [str(20 + row) for row in range(20, 40) for _ in range(2)]
    text = (out / "report.md").read_text(encoding="utf-8")
    assert all(band in text for band in ("40–44", "45–49", "50–54", "55–59"))


def test_the_report_says_what_could_not_be_measured_and_why(command, tmp_path):
    out = tmp_path / "report"
    assert main([*command, "--protocol", "linear_probe", "--protocol", "fine_tuning", "--out", str(out)]) == 0
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "pixels@8, scans, fine_tuning: left out: 'pixels@8' has no weights" in text
