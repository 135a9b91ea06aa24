"""Tags and notes on the command line."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from mermed_core.cli import main
from mermed_core.collections.annotations import ANNOTATIONS, read_annotations
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_COLLECTION


@pytest.fixture
def folder(tmp_path) -> Path:
    return shutil.copytree(BUNDLED_COLLECTION, tmp_path / "mine")


@pytest.fixture(scope="module")
def records() -> pd.DataFrame:
    return load_collection(BUNDLED_COLLECTION).records


def run(*arguments: object) -> int:
    return main(["collect", *map(str, arguments)])


def test_cases_and_patients_are_tagged_listed_and_tagged_again_from_the_list(
    folder, records, tmp_path, capsys
):
    case, group = records["case_id"].iat[0], records["group"].iat[9]
    own = list(records["case_id"][records["group"] == group])
    assert run("tag", folder, "odd", "--case", case, "--group", group) == 0
    assert read_annotations(folder).tags == {"odd": frozenset([case, *own])}
    assert run("note", folder, "--case", case, "Why?") == 0
    assert run("tags", folder) == 0
    printed = capsys.readouterr().out
    assert f"{1 + len(own)}  odd" in printed
    assert "1  cases with a note" in printed
    table = tmp_path / "tags.csv"
    assert run("tags", folder, "--out", table) == 0
    assert pd.read_csv(table).fillna("")["note"].tolist().count("Why?") == 1
    assert run("tag", folder, "again", "--table", table) == 0
    assert read_annotations(folder).tags["again"] == read_annotations(folder).tags["odd"]
    assert run("tag", folder, "odd", "--case", case, "--remove") == 0
    assert read_annotations(folder).tags["odd"] == frozenset(own)
    assert run("tags", folder, "--out", "-") == 0
    assert "again|odd" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("tag", "odd", "--case", "nobody"),
        ("note", "text", "--case", "nobody"),
        ("tag", "odd", "--table", "/nothing"),
    ],
)
def test_what_is_not_there_is_a_sentence(folder, capsys, arguments):
    action, *rest = arguments
    assert run(action, folder, *rest) != 0
    assert "error" in capsys.readouterr().err
    assert not (folder / ANNOTATIONS).exists()


def test_a_tag_needs_cases(folder, capsys):
    assert run("tag", folder, "odd") != 0
    assert "--case, --group and --table" in capsys.readouterr().err


def test_verify_reads_them_too(folder, records, capsys):
    assert run("tag", folder, "odd", "--case", records["case_id"].iat[0]) == 0
    assert run("verify", folder) == 0
    written = (folder / ANNOTATIONS).read_text()
    (folder / ANNOTATIONS).write_text(written.replace("odd", "bad"))
    assert run("verify", folder) != 0
    assert "annotations.json" in capsys.readouterr().err
