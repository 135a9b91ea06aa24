"""Tables are named after their files: parts of one set together, sets alike in name apart."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mermed_core.data.manifest import Manifest
from mermed_core.data.sources.table_names import TableName, fill_names, table_names, with_default_tasks


def name_of(file: str) -> TableName:
    return table_names([Path(file)])[Path(file)]


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("train", "train"),
        ("Validation", "val"),
        ("val_2", "val"),
        ("test1", "test"),
        ("train-00000-of-00003", "train"),
        ("testing-00002-of-00003-a09b74b3ef9c3b56", "test"),
    ],
)
def test_a_file_named_after_a_split_is_a_part_of_its_folders_set(stem, split):
    assert name_of(f"/cohorts/lung/{stem}.csv") == TableName("lung", f"lung/{stem}", split)


@pytest.mark.parametrize("stem", ["busi", "training_set", "testicles", "of-00003", "my-train", "2024"])
def test_any_other_file_is_a_set_of_its_own(stem):
    assert name_of(f"/cohorts/{stem}.parquet") == TableName(stem, stem, "")


def test_a_relative_file_takes_the_name_of_the_folder_that_it_lies_in(tmp_path, monkeypatch):
    (tmp_path / "lung").mkdir()
    monkeypatch.chdir(tmp_path / "lung")
    assert name_of("train.csv").source == "lung"
    assert name_of("/train.csv") == TableName("train", "train/train", "train")  # that folder has no name


def test_sets_alike_in_name_are_told_apart_by_the_folders_above():
    files = [
        "/a/labels.csv",
        "/b/labels.csv",
        "/x/b/labels.csv",
        "/other.csv",
        "/m/s/val.csv",
        "/n/s/val.csv",
    ]
    names = table_names(map(Path, files))
    assert [name.source for name in names.values()] == [
        "a/labels",
        "b/labels",
        "x/b/labels",
        "other",
        "m/s",
        "n/s",
    ]
    assert names[Path("/m/s/val.csv")].table == "m/s/val"


folders = st.lists(st.sampled_from("ab"), max_size=3).map("/".join)


@settings(max_examples=30, deadline=None)
@given(st.sets(st.tuples(folders, st.sampled_from(["labels", "train", "test"])), min_size=1, max_size=12))
def test_no_two_tables_share_a_name_and_parts_of_one_folder_share_their_source(places):
    files = [Path("/root", folder, f"{stem}.csv") for folder, stem in places]
    names = table_names(files)
    assert len({name.table for name in names.values()}) == len(files)
    for file, name in names.items():
        for other, another in names.items():
            together = file == other or (file.parent == other.parent and name.split and another.split)
            assert (name.source == another.source) == bool(together)


def test_what_a_table_states_is_kept():
    name = TableName("lung", "lung/train", "train")
    frame = pd.DataFrame({"source": ["own", None], "split": ["test", "val"]})
    filled = fill_names(frame, name)
    assert filled["source"].tolist() == ["own", "lung"]
    assert filled["split"].tolist() == ["test", "val"]
    assert filled["case_id"].tolist() == ["lung/train/000000", "lung/train/000001"]
    assert set(fill_names(pd.DataFrame({"case_id": ["x"]}), name)["split"]) == {"train"}
    assert list(frame) == ["source", "split"]


def test_parts_of_one_modality_each_get_the_tasks_of_their_whole_set():
    frame = pd.DataFrame({"path": list("wxyz"), "modality": ["ct", "ct", "oct", "oct"]})
    frame["source"] = ["set", "set", "set", "single"]
    frame["task"] = ["set", "own", "set", "single"]
    manifest = Manifest.from_frame(frame)
    parts = [TableName("set", "set/train", "train"), TableName("single", "single", "")]
    assert with_default_tasks(manifest, parts).frame["task"].tolist() == [
        "set-ct",
        "own",
        "set-oct",
        "single",
    ]
    assert with_default_tasks(manifest, parts[1:]) == manifest
