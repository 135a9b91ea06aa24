"""The step writes the whole report, and the same command again gives the same."""

from dataclasses import asdict

import pandas as pd
import pytest
from PIL import Image

from mermed_core.data.phantoms import FINDINGS, NORMAL, draw_phantom
from mermed_core.errors import EvaluationError, OccupiedError
from mermed_core.evaluation.protocols.fine_tuning import FineTuning
from mermed_core.evaluation.runner import PROTOCOLS, Plan
from train import evaluate
from train.evaluate import main

PARTS = ["comparisons.parquet", "figures.parquet", "predictions.parquet", "report.html", "report.md"]


def test_the_report_is_written_and_the_same_again(encoder, tmp_path):
    out = tmp_path / "report"
    command = ["--encoder", f"ours={encoder}", "--encoder", "pixels@8", "--data", "phantoms:20"]
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
    main(command)
    assert sorted(path.name for path in out.iterdir()) == PARTS
    figures = pd.read_parquet(out / "figures.parquet")
    assert set(figures["encoder"]) == {"ours", "pixels@8"}
    assert set(figures["protocol"]) == {"linear_probe", "retrieval"}
    for name in ("report.md", "report.html"):
        assert "Research use only" in (out / name).read_text(encoding="utf-8")
    before = {name: (out / name).read_bytes() for name in PARTS}
    main(command)
    assert {name: (out / name).read_bytes() for name in PARTS} == before


def test_a_folder_with_something_else_is_kept(encoder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(OccupiedError, match="another place"):
        main(["--encoder", str(encoder), "--data", "phantoms:10", "--out", str(tmp_path / "mine")])


def test_every_protocol_can_be_asked_for():
    assert tuple(PROTOCOLS) == evaluate._PROTOCOLS


def test_what_fine_tuning_and_robustness_have_by_default_is_what_the_help_says():
    defaults = {name: default for name, (default, _) in evaluate._FINE_TUNING.items()}
    assert defaults | {"seed": 0} == asdict(FineTuning())
    assert Plan(()).severities == evaluate._SEVERITIES


def planned(monkeypatch, encoder, tmp_path, *options) -> Plan:
    """Returns the plan that a command makes, and stops there."""
    plans = []

    def take(encoders, manifest, plan, cache, *, workers):
        plans.append(plan)
        raise EvaluationError("enough")

    monkeypatch.setattr("mermed_core.evaluation.runner.evaluate", take)
    out = ["--out", str(tmp_path / "report")]
    with pytest.raises(EvaluationError, match="enough"):
        main(["--encoder", str(encoder), "--data", "phantoms:4", *out, *options])
    return plans[0]


def test_settings_of_fine_tuning_and_severities_reach_the_plan(monkeypatch, encoder, tmp_path):
    assert planned(monkeypatch, encoder, tmp_path) == Plan(evaluate._USUAL)
    options = ["--mixup", "0.2", "--epochs", "3", "--layer-decay", "1", "--patience", "2", "--batch", "8"]
    options += ["--learning-rate", "1e-3", "--weight-decay", "0", "--seed", "7"]
    options += ["--severity", "5", "--severity", "2", "--severity", "5"]
    plan = planned(monkeypatch, encoder, tmp_path, *options)
    assert plan.fine_tuning == FineTuning(
        epochs=3, batch=8, learning_rate=1e-3, layer_decay=1, weight_decay=0, mixup=0.2, patience=2, seed=7
    )
    assert (plan.severities, plan.seed) == ((2, 5), 7)


def test_facts_say_what_the_protocols_asked_for_were_set_to():
    plan = Plan(("fine_tuning", "robustness"), fine_tuning=FineTuning(mixup=0.2), severities=(2, 5))
    told = evaluate._settings(plan)
    assert told["Severities of corruptions"] == "2, 5"
    assert "epochs 30" in told["Fine-tuning"]
    assert "mixup 0.2" in told["Fine-tuning"]
    assert evaluate._settings(Plan(evaluate._USUAL)) == {}


@pytest.mark.parametrize(
    "options", [["--resamples", "0"], ["--severity", "6"], ["--epochs", "many"], ["--severity", "0"]]
)
def test_numbers_out_of_range_end_before_anything_is_read(options, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--encoder", "none", "--data", "none", "--out", str(tmp_path / "report"), *options])
    assert options[0] in capsys.readouterr().err


def test_a_setting_that_nothing_can_be_tuned_with_is_told_before_an_encoder_is_opened(tmp_path):
    with pytest.raises(EvaluationError, match="layer_decay of fine-tuning must be above 0 and at most 1"):
        main(["--encoder", "none", "--data", "none", "--out", str(tmp_path / "mine"), "--layer-decay", "0"])


@pytest.fixture
def scans(tmp_path) -> list[str]:
    """Returns the start of a command on forty drawn scans that a CSV lists."""
    lines = ["image_path,modality,label,split,group,age"]
    for row in range(40):
        finding = NORMAL if row % 2 else FINDINGS["ct"][0]
        Image.fromarray(draw_phantom("ct", finding, seed=row, size=48).pixels).save(tmp_path / f"{row}.png")
        lines.append(f"{row}.png,ct,{finding},{'train' if row < 20 else 'test'},{row},{20 + row}")
    (tmp_path / "scans.csv").write_text("\n".join(lines))
    return ["--encoder", "pixels@8", "--data", str(tmp_path / "scans.csv"), "--resamples", "5"]


def test_the_folder_one_stands_in_can_be_the_report(scans, tmp_path, monkeypatch):
    (tmp_path / "report").mkdir()
    monkeypatch.chdir(tmp_path / "report")
    main([*scans, "--protocol", "linear_probe", "--out", "."])
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == PARTS
    assert (tmp_path / "report.cache" / "parts").is_dir()


def test_ages_of_a_csv_are_measured_in_bands_and_written_with_the_groups(scans, tmp_path):
    main([*scans, "--protocol", "linear_probe", "--subgroup", "age", "--out", str(tmp_path / "report")])
    figures = pd.read_parquet(tmp_path / "report" / "figures.parquet")
    parts = set(figures.loc[figures["subgroup"].str.startswith("age="), "subgroup"])
    assert parts == {"age=40–44", "age=45–49", "age=50–54", "age=55–59"}
    predictions = pd.read_parquet(tmp_path / "report" / "predictions.parquet")
    assert predictions["group"].tolist() == [str(row) for row in range(20, 40) for _ in range(2)]
    assert predictions["age"].tolist() == [str(20 + row) for row in range(20, 40) for _ in range(2)]


def test_what_could_not_be_measured_stands_in_the_report_with_its_reason(scans, tmp_path):
    out = ["--out", str(tmp_path / "report")]
    main([*scans, "--protocol", "linear_probe", "--protocol", "fine_tuning", *out])
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "pixels@8, scans, fine_tuning: left out: 'pixels@8' has no weights" in text
