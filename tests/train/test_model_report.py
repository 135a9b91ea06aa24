"""Figures of a report go into the model folder, and nothing else of it changes."""

import json

import pandas as pd
import pytest

from mermed_core.errors import EvaluationError
from mermed_core.inference.predictor import Predictor
from train import evaluate, fit_heads
from train.model_report import main


@pytest.fixture
def model(encoder, tmp_path):
    fit_heads.main(["--model", str(encoder), "--data", "phantoms:20"])
    command = ["--encoder", f"tiny={encoder}", "--encoder", "start=pixels@8", "--data", "phantoms:20"]
    command += ["--out", str(tmp_path / "report"), "--protocol", "linear_probe", "--resamples", "20"]
    evaluate.main(command)
    return encoder


def test_metrics_and_card_are_those_of_the_report(model, tmp_path):
    before = {path: path.read_bytes() for path in model.rglob("*.safetensors")}
    fitted = json.loads((model / "metrics.json").read_text())
    main(
        [
            "--model",
            str(model),
            "--report",
            str(tmp_path / "report"),
            "--start",
            "start",
            "--data",
            "phantoms:20",
            "--pointing",
            "1",
        ]
    )
    metrics = json.loads((model / "metrics.json").read_text())
    task = next(
        name for name in metrics if name.startswith("phantom_") and metrics[name]["auroc"] is not None
    )
    assert metrics[task]["auroc"] == pytest.approx(fitted[task]["auroc"])
    assert 0 <= metrics[task]["start_auroc"] <= 1
    assert 0 <= metrics["rejected_photographs"] <= 1
    pointed = pd.read_csv(tmp_path / "report" / "pointing.csv")
    served = pointed[pointed["method"] == "HiResCAM"]
    assert metrics["pointing_HiResCAM"] == pytest.approx(served["in_finding"].mean())
    assert served["images"].sum() == 8
    assert "Of unknown input the gate turns away: photographs" in (model / "README.md").read_text()
    assert {path: path.read_bytes() for path in model.rglob("*.safetensors")} == before
    assert Predictor.load(model).metrics[task]["title"].startswith("Synthetic")


def test_cross_validation_may_come_from_a_second_report(model, tmp_path):
    second = ["--encoder", f"tiny={model}", "--data", "phantoms:20", "--out", str(tmp_path / "second")]
    evaluate.main([*second, "--protocol", "cross_validation", "--resamples", "20"])
    reports = ["--report", str(tmp_path / "report"), "--report", str(tmp_path / "second")]
    main(["--model", str(model), *reports, "--data", "phantoms:20", "--pointing", "0"])
    metrics = json.loads((model / "metrics.json").read_text())
    assert 0 <= metrics["phantom_ct"]["crossed_auroc"] <= 1
    assert not any(name.startswith("pointing_") for name in metrics)


def test_a_report_of_another_model_is_told_and_nothing_changes(model, tmp_path):
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    with pytest.raises(EvaluationError, match="no linear probe of 'other'"):
        main(
            [
                "--model",
                str(model),
                "--report",
                str(tmp_path / "report"),
                "--start",
                "other",
                "--data",
                "phantoms:20",
            ]
        )
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before
