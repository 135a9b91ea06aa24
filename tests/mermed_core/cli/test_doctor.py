"""The doctor says what is there, what is missing and how to get it."""

import re
import shutil

import numpy as np
import pytest

from mermed_core.cli import doctor, main
from mermed_core.cli.doctor import examine
from mermed_core.collections.foreign_vectors import build_from_vectors
from mermed_core.data.vector_file import VectorFile


def lines(report: str, mark: str) -> list[str]:
    return [line for line in report.splitlines() if line.startswith(mark)]


def test_with_model_and_collection_all_is_well(model_folder, collection_folder):
    report, healthy = examine(model_folder, collection_folder, None)
    assert healthy
    assert lines(report, "MISSING") == []
    assert re.search(r"ok +torch \d+\.\d+", report)
    assert re.search(r"ok +torch on (cpu|cuda)", report)
    assert re.search(r"ok +faiss-(cpu|gpu) \d", report)
    assert f"{model_folder}: tiny" in report
    assert "7 label sets" in report
    assert "'Tiny', 42 synthetic cases" in report
    assert lines(report, "note")[-1].startswith("note     MERMED_DATA is not set")


def test_the_command_prints_the_report(model_folder, collection_folder, tmp_path, capsys):
    options = ["--model", str(model_folder), "--collection"]
    assert main(["doctor", *options, str(collection_folder)]) == 0
    assert "'Tiny'" in capsys.readouterr().out
    assert main(["doctor", *options, str(tmp_path / "none")]) == 1
    assert "MISSING  collection" in capsys.readouterr().out


def test_no_model_is_named_with_its_place(tmp_path, collection_folder):
    report, healthy = examine(tmp_path / "nowhere", collection_folder, None)
    assert not healthy
    (missing,) = lines(report, "MISSING")
    assert str(tmp_path / "nowhere") in missing


def test_no_collection_is_named_with_the_command_that_makes_one(tmp_path, model_folder):
    report, healthy = examine(model_folder, tmp_path / "nowhere", None)
    assert not healthy
    (missing,) = lines(report, "MISSING")
    assert "mermed collect" in missing


def test_missing_heads_are_named_with_the_command_that_fits_them(encoder_folder, collection_folder):
    report, healthy = examine(encoder_folder, collection_folder, None)
    assert not healthy
    assert "mermed fit" in lines(report, "MISSING")[0]


def test_a_collection_of_another_model_is_missing(tmp_path, model_folder, collection_folder, make_model):
    other = tmp_path / "other"
    make_model(other, seed=1)
    shutil.copytree(model_folder / "heads", other / "heads")
    report, healthy = examine(other, collection_folder, None)
    assert not healthy
    assert "another model" in lines(report, "MISSING")[0]


def test_a_missing_package_is_named_with_the_command(monkeypatch, model_folder, collection_folder):
    monkeypatch.setattr(doctor, "_NEEDED", ("torch", "surely-not-installed"))
    monkeypatch.setattr(doctor, "_OPTIONAL", {"nor-this": "train"})
    report, healthy = examine(model_folder, collection_folder, None)
    assert not healthy
    assert lines(report, "MISSING") == [
        "MISSING  surely-not-installed: pip install . in the project's folder"
    ]
    assert "note     nor-this is not installed: pip install '.[train]' in the project's folder" in lines(
        report, "note"
    )


@pytest.mark.parametrize("names", [[], ["a.parquet", "b.parquet", "notes.txt"]])
def test_real_image_sets_are_counted(tmp_path, model_folder, collection_folder, names):
    for name in names:
        (tmp_path / name).touch()
    found = sum(name.endswith(".parquet") for name in names)
    assert f"MERMED_DATA: {found} parquet files" in examine(model_folder, collection_folder, tmp_path)[0]


def test_vectors_from_elsewhere_are_noted_and_nothing_is_missing(tmp_path, model_folder, phantoms):
    vectors = VectorFile("theirs.npy", "0" * 64, np.eye(3, 4, dtype=np.float32))
    options = {"name": "Theirs", "text": "", "synthetic": True}
    build_from_vectors(tmp_path / "theirs", phantoms.select(range(3)), vectors, np.arange(3), **options)
    report, healthy = examine(model_folder, tmp_path / "theirs", None)
    assert healthy
    assert "note     The vectors of “Theirs” were made elsewhere (theirs.npy, 4 numbers an image)" in report
