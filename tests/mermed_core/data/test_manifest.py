import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mermed_core.data.manifest import COLUMNS, LabelSet, Manifest, concatenate, count_reasons, log_reading
from mermed_core.errors import FrameError, ManifestError
from mermed_core.records import Case


def table(count: int = 3, **columns) -> pd.DataFrame:
    """A valid table without labels; keyword arguments replace or add columns."""
    frame = pd.DataFrame({"path": [f"/images/{row}.png" for row in range(count)], "modality": "ct"})
    frame["source"] = "hospital"
    for name, values in columns.items():
        frame[name] = pd.Series(values, dtype=object)
    return frame


def refused(frame: pd.DataFrame) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        Manifest.from_frame(frame)
    return caught.value


def test_what_is_left_out_is_filled_in():
    frame = Manifest.from_frame(table(2, group=["patient 7", None])).frame
    assert list(frame.columns) == list(COLUMNS)
    assert frame["case_id"].tolist() == ["hospital/000000", "hospital/000001"]
    assert frame["group"].tolist() == ["patient 7", "hospital/000001"]
    assert frame["task"].tolist() == ["hospital", "hospital"]
    assert frame["task_kind"].tolist() == ["multiclass", "multiclass"]
    assert frame["split"].tolist() == ["", ""]
    assert frame["labels"].tolist() == [None, None]
    assert frame["image"].tolist() == [None, None]


def test_a_source_of_several_modalities_has_a_task_for_each():
    rows = table(3, modality=["CT", "CFP", "ct"], source=["mixed", "mixed", "mixed"])
    assert Manifest.from_frame(rows).frame["task"].tolist() == ["mixed-ct", "mixed-fundus", "mixed-ct"]


def test_aliases_of_modalities_and_splits_are_read():
    rows = table(3, modality=["CFP", " Skin ", "OCT"], split=["Validation", "TRAIN", None])
    frame = Manifest.from_frame(rows).frame
    assert frame["modality"].tolist() == ["fundus", "dermatology", "oct"]
    assert frame["split"].tolist() == ["val", "train", ""]


def test_the_given_table_is_not_changed_and_its_index_is_dropped():
    given_table = table(2, modality=["CT", "CT"])
    given_table.index = pd.Index([5, 5])
    before = given_table.copy(deep=True)
    assert Manifest.from_frame(given_table).frame.index.tolist() == [0, 1]
    pd.testing.assert_frame_equal(given_table, before)


@pytest.mark.parametrize(
    ("column", "values", "row", "part"),
    [
        ("modality", ["ct", "mri", "ct"], 1, "'mri' is not a modality"),
        ("modality", ["ct", None, "ct"], 1, "not a modality"),
        ("modality", ["ct", ["ct"], "ct"], 1, "not a modality"),
        ("source", ["a", "b", None], 2, "missing"),
        ("source", ["a", "", "b"], 1, "missing"),
        ("path", ["a", None, "c"], 1, "exactly one"),
        ("path", ["a", "b", ""], 2, "not empty"),
        ("path", ["a", 7, "c"], 1, "text"),
        ("path", ["a", "b\0c", "d"], 1, "null character"),
        ("case_id", ["x", "y", "x"], 2, "'x' is in an earlier row"),
        ("case_id", ["x", None, "y"], 1, "missing"),
        ("group", ["p", "", "p"], 1, "missing"),
        ("split", ["train", "holdout", ""], 1, "'holdout' is not one of"),
        ("task", ["a", None, "a"], 1, "missing"),
        ("task_kind", ["multiclass", "binary", "multiclass"], 1, "'binary' is not one of"),
        ("task_kind", ["multiclass", "multiclass", "ordinal"], 2, "another kind"),
        ("labels", [["a"], "b", None], 1, "list of class names"),
        ("labels", [["a"], ["b"], [""]], 2, "not empty"),
        ("labels", [["a"], [3], ["c"]], 1, "not empty"),
        ("labels", [None, [], None], 1, "one label a row"),
        ("labels", [None, None, ["a", "b"]], 2, "one label a row"),
        ("frame", [0, -1, 2], 1, "'-1' is not the number of a frame"),
        ("frame", [0, 1, 0.5], 2, "'0.5' is not the number of a frame"),
        ("frame", [0, "one", 2], 1, "'one' is not the number of a frame"),
    ],
)
def test_an_error_names_its_row_and_column(column, values, row, part):
    error = refused(table(**{column: values}))
    assert (error.row, error.column) == (row, column)
    assert part in str(error)
    assert str(error).startswith(f"row {row}, column '{column}': ")


def test_the_first_bad_row_is_named_among_many():
    assert refused(table(5, modality=["ct", "ct", "mri", "pet", "mri"])).row == 2


def test_bytes_and_paths_exclude_each_other():
    assert refused(table(2, image=[None, b"png"])).row == 1
    error = refused(table(2, path=[None, None], image=[b"png", "text"]))
    assert (error.row, error.column) == (1, "image")


@pytest.mark.parametrize("column", ["modality", "source"])
def test_a_missing_column_is_named(column):
    assert refused(table().drop(columns=column)).column == column


def test_an_empty_table_is_refused():
    assert "no images" in str(refused(table(0)))


def test_a_class_named_twice_is_refused():
    error = refused(table(2, labels=[["a"], ["a", "a"]], task_kind=["multilabel"] * 2))
    assert (error.row, error.column) == (1, "labels")


def test_label_sets_order_numbers_by_value_and_words_by_letter():
    rows = table(6, labels=[["10"], ["9"], ["-1"], ["2"], ["b"], ["a"]])
    assert Manifest.from_frame(rows).label_sets() == (
        LabelSet("hospital", "multiclass", ("-1", "2", "9", "10", "a", "b")),
    )


def test_label_sets_tell_tasks_apart_and_leave_out_the_unlabelled():
    rows = table(
        5,
        task=["b", "b", "a", "a", "c"],
        task_kind=["multilabel", "multilabel", "ordinal", "ordinal", "multiclass"],
        labels=[["x", "y"], [], ["0"], None, None],
    )
    assert Manifest.from_frame(rows).label_sets() == (
        LabelSet("a", "ordinal", ("0",)),
        LabelSet("b", "multilabel", ("x", "y")),
    )


def test_select_and_split_keep_order_and_count_anew():
    manifest = Manifest.from_frame(table(4, split=["train", "test", "train", ""]))
    assert manifest.split("train").frame["path"].tolist() == ["/images/0.png", "/images/2.png"]
    assert manifest.select([3, 0]).frame["path"].tolist() == ["/images/3.png", "/images/0.png"]
    assert manifest.select(np.array([False, True, False, False])).frame.index.tolist() == [0]
    assert len(manifest.split("val")) == 0


def test_image_source_is_a_path_or_the_bytes():
    manifest = Manifest.from_frame(table(2, path=["/a.png", None], image=[None, b"png"]))
    assert manifest.image_source(0) == Path("/a.png")
    assert manifest.image_source(1) == b"png"


def test_the_image_of_a_row_is_the_frame_that_it_states():
    buffer = io.BytesIO()
    pages = [Image.new("L", (2, 2), value) for value in (0, 200)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    rows = table(3, path=[None] * 3, image=[buffer.getvalue()] * 3, frame=["1", None, 2])
    manifest = Manifest.from_frame(rows)
    assert manifest.frame["frame"].tolist() == [1, 0, 2]
    assert [manifest.read_image(row).pixels[0, 0, 0] for row in (0, 1)] == [200, 0]
    with pytest.raises(FrameError):
        manifest.read_image(2)
    assert Manifest.from_frame(rows.drop(columns="frame")).read_image(0).pixels.max() == 0


def test_a_patient_is_of_one_source():
    rows = table(5, group=["12", "12", "12", "7", "7"], source=["a", "a", "b", "a", "a"])
    patients = Manifest.from_frame(rows).patients().tolist()
    assert patients[0] == patients[1] != patients[2]
    assert patients[3:] == ["7", "7"]


def test_what_was_left_out_is_kept_joined_saved_and_said(tmp_path: Path, caplog):
    first = Manifest.from_frame(table(2), left_out={"damaged": 2}, notes=["A note."])
    second = Manifest.from_frame(
        table(1, source=["other"]), left_out={"damaged": 1, "hidden": 5000}, notes=["A note.", "Another."]
    )
    joined = concatenate([first, second.select([0])])
    assert joined.left_out == {"damaged": 3, "hidden": 5000}
    assert joined.notes == ("A note.", "Another.")
    joined.save(tmp_path / "m.parquet")
    loaded = Manifest.load(tmp_path / "m.parquet").with_frame(joined.frame)
    assert (loaded.left_out, loaded.notes) == (joined.left_out, joined.notes)
    assert count_reasons(loaded.left_out) == "5,000 hidden, 3 damaged"
    assert count_reasons({}) == "none"
    with caplog.at_level("INFO"):
        log_reading("set", first)
    assert caplog.messages == ["set: 2 images; left out: 2 damaged", "set: A note."]


def test_cases_hold_every_column_but_the_image():
    rows = table(2, labels=[["a"], None], group=["p", "q"], split=["val", ""])
    assert list(Manifest.from_frame(rows).cases()) == [
        Case("hospital/000000", "ct", ("a",), "hospital", "p", "val"),
        Case("hospital/000001", "ct", (), "hospital", "q", ""),
    ]


def test_concatenate_joins_and_refuses_repeated_ids():
    first, second = Manifest.from_frame(table(2)), Manifest.from_frame(table(1, source=["other"]))
    joined = concatenate([first, second])
    assert joined.frame["case_id"].tolist() == ["hospital/000000", "hospital/000001", "other/000000"]
    with pytest.raises(ManifestError, match="row 2, column 'case_id'"):
        concatenate([first, first])
    with pytest.raises(ManifestError, match="nothing to join"):
        concatenate([])


def test_manifests_are_compared_by_content():
    manifest = Manifest.from_frame(table(2, labels=[["a"], None]))
    assert manifest == Manifest.from_frame(table(2, labels=[("a",), np.nan]))
    assert manifest != Manifest.from_frame(table(2, labels=[["b"], None]))
    assert manifest != "a manifest"


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
labels = st.none() | st.lists(names, max_size=3, unique=True)
images = st.tuples(names.map("/".__add__), st.none()) | st.tuples(st.none(), st.binary(max_size=9))
rows = st.fixed_dictionaries(
    {"image": images, "labels": labels, "group": names, "further": st.integers(0, 9)}
)


@settings(max_examples=25, deadline=None)
@given(st.lists(rows, min_size=1, max_size=6))
def test_a_saved_manifest_is_read_back_as_it_was(tmp_path_factory, drawn):
    frame = table(
        len(drawn),
        path=[row["image"][0] for row in drawn],
        image=[row["image"][1] for row in drawn],
        labels=[row["labels"] for row in drawn],
        group=[row["group"] for row in drawn],
        task_kind=["multilabel"] * len(drawn),
    ).assign(further=[row["further"] for row in drawn])
    manifest = Manifest.from_frame(frame)
    file = tmp_path_factory.mktemp("saved") / "manifest.parquet"
    manifest.save(file)
    assert Manifest.load(file) == manifest


def test_paths_below_the_file_move_with_it(tmp_path: Path):
    inside, outside = str(tmp_path / "set" / "scans" / "a.png"), "/elsewhere/b.png"
    Manifest.from_frame(table(2, path=[inside, outside])).save(tmp_path / "set" / "manifest.parquet")
    (tmp_path / "set").rename(tmp_path / "moved")
    moved = Manifest.load(tmp_path / "moved" / "manifest.parquet")
    assert moved.frame["path"].tolist() == [str(tmp_path / "moved" / "scans" / "a.png"), outside]


def test_a_path_relative_to_the_working_folder_stays_the_same_file(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Manifest.from_frame(table(1, path=["scans/a.png"])).save(Path("runs/manifest.parquet"))
    loaded = Manifest.load(Path("runs/manifest.parquet"))
    monkeypatch.chdir("/")
    assert loaded.image_source(0) == tmp_path / "scans" / "a.png"


def test_what_is_no_parquet_file_is_refused(tmp_path: Path):
    (tmp_path / "text.parquet").write_text("image_path,modality")
    for name in ("text.parquet", "absent.parquet"):
        with pytest.raises(ManifestError, match=f"{name} cannot be read as a parquet table"):
            Manifest.load(tmp_path / name)


def test_a_stored_table_is_checked_when_loaded(tmp_path: Path):
    table(2, modality=["ct", "mri"]).to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(ManifestError, match="row 1, column 'modality'"):
        Manifest.load(tmp_path / "bad.parquet")


def test_a_further_column_of_mixed_values_is_named_and_loses_nothing(tmp_path: Path):
    file = tmp_path / "manifest.parquet"
    kept = Manifest.from_frame(table(2))
    kept.save(file)
    with pytest.raises(ManifestError, match="column 'age'"):
        Manifest.from_frame(table(2, age=["old", 3])).save(file)
    assert Manifest.load(file) == kept


def test_a_process_killed_while_saving_leaves_the_old_file(tmp_path: Path):
    file = tmp_path / "manifest.parquet"
    kept = Manifest.from_frame(table(3))
    kept.save(file)
    killed_half_way = f"""
import os, signal
from pathlib import Path
import pandas as pd
import pyarrow.parquet as pq
from mermed_core.data.manifest import Manifest

def half(table, place, **options):
    Path(place).write_bytes(b"PAR1 and half of the")
    os.kill(os.getpid(), signal.SIGKILL)

pq.write_table = half
frame = pd.DataFrame({{"path": ["/new.png"], "modality": ["ct"], "source": ["new"]}})
Manifest.from_frame(frame).save(Path({str(file)!r}))
"""
    ended = subprocess.run([sys.executable, "-c", killed_half_way], cwd=os.getcwd(), check=False)
    assert ended.returncode == -signal.SIGKILL
    assert Manifest.load(file) == kept
    kept.select([0]).save(file)
    assert len(Manifest.load(file)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.parquet"]


def test_images_are_stored_in_blocks_with_stated_types(tmp_path: Path):
    file = tmp_path / "manifest.parquet"
    Manifest.from_frame(table(10_001)).save(file)
    stored = pq.ParquetFile(file)
    assert stored.metadata.num_row_groups == 2
    assert str(stored.schema_arrow.field("labels").type).startswith("list<")
    assert str(stored.schema_arrow.field("image").type) == "large_binary"
