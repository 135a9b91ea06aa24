"""The step writes the whole report, and the same command again gives the same."""

import pandas as pd
import pytest

from mermed_core.errors import OccupiedError
from mermed_core.evaluation.evaluation import PROTOCOLS
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
