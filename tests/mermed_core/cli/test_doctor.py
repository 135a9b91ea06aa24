"""The doctor says what is there, what is missing and how to get it."""

import re
import shutil

import pytest

from mermed_core.cli import doctor
from mermed_core.cli.doctor import examine


def lines(report: str, mark: str) -> list[str]:
    return [line for line in report.splitlines() if line.startswith(mark)]


def test_with_model_and_collection_all_is_well(model_folder, collection_folder, monkeypatch):
    monkeypatch.delenv("MERMED_DATA", raising=False)
    report, healthy = examine(model_folder, collection_folder)
    assert healthy
    assert lines(report, "MISSING") == []
    assert re.search(r"ok +torch \d+\.\d+", report)
    assert re.search(r"ok +torch on (cpu|cuda)", report)
    assert re.search(r"ok +faiss-(cpu|gpu) \d", report)
    assert f"{model_folder}: tiny" in report
    assert "7 label sets" in report
    assert "'Tiny', 42 synthetic cases" in report
    assert lines(report, "note") == [
        "note     MERMED_DATA is not set: training and the tests on real images are off"
    ]


def test_no_model_is_named_with_its_place(tmp_path, collection_folder):
    report, healthy = examine(tmp_path / "nowhere", collection_folder)
    assert not healthy
    (missing,) = lines(report, "MISSING")
    assert str(tmp_path / "nowhere") in missing


def test_no_collection_is_named_with_the_way_to_get_one(tmp_path, model_folder):
    report, healthy = examine(model_folder, tmp_path / "nowhere")
    assert not healthy
    (missing,) = lines(report, "MISSING")
    assert "python -m train.build_collection" in missing


def test_heads_that_are_missing_are_named_with_the_way_to_fit_them(
    tmp_path, encoder_folder, collection_folder
):
    report, healthy = examine(encoder_folder, collection_folder)
    assert not healthy
    assert "python -m train.fit_heads" in lines(report, "MISSING")[0]


def test_a_collection_of_another_model_is_told(tmp_path, model_folder, collection_folder, make_model):
    other = tmp_path / "other"
    make_model(other, seed=1)
    shutil.copytree(model_folder / "heads", other / "heads")
    report, healthy = examine(other, collection_folder)
    assert not healthy
    assert "another model" in lines(report, "MISSING")[0]


def test_a_package_that_is_missing_is_told_with_the_command(monkeypatch, model_folder, collection_folder):
    monkeypatch.setattr(doctor, "_PACKAGES", ("torch", "surely-not-installed"))
    report, healthy = examine(model_folder, collection_folder)
    assert not healthy
    assert lines(report, "MISSING") == [
        "MISSING  surely-not-installed: python -m pip install -r requirements.txt"
    ]


@pytest.mark.parametrize("names", [[], ["a.parquet", "b.parquet", "notes.txt"]])
def test_real_data_are_counted(tmp_path, monkeypatch, model_folder, collection_folder, names):
    for name in names:
        (tmp_path / name).touch()
    monkeypatch.setenv("MERMED_DATA", str(tmp_path))
    found = sum(name.endswith(".parquet") for name in names)
    assert f"MERMED_DATA: {found} parquet files" in examine(model_folder, collection_folder)[0]
