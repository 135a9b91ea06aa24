import io
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mermed_core.data.manifest import Manifest
from mermed_core.data.pseudonyms import pseudonym
from mermed_core.data.sources.parquet_files import original_name, read_parquet
from mermed_core.errors import ManifestError


def write(file: Path, names: list[str] | None = None, label_feature=None, **columns) -> Path:
    """A file in the image-column convention; keyword arguments are its columns, None leaves one out."""
    count = next((len(values) for values in columns.values() if values is not None), 2)
    plain = {
        "image": [{"bytes": f"image {row}".encode(), "path": f"{row}.png"} for row in range(count)],
        "modality": ["ct"] * count,
        "source": ["set"] * count,
    }
    table = pa.table({name: values for name, values in (plain | columns).items() if values is not None})
    feature = label_feature or ({"names": names, "_type": "ClassLabel"} if names else None)
    if feature:
        features = json.dumps({"info": {"features": {"label": feature}}})
        table = table.replace_schema_metadata({"huggingface": features})
    pq.write_table(table, file)
    return file


def labels(file: Path) -> list:
    return read_parquet(file).frame["labels"].tolist()


def test_columns_of_the_convention(tmp_path: Path):
    file = write(
        tmp_path / "busi.parquet",
        label=["benign", None],
        group=["p1", None],
        split=["train", "validation"],
        width=[160, 120],
    )
    frame = read_parquet(file).frame
    assert frame["case_id"].tolist() == ["busi/000000", "busi/000001"]
    assert frame["image"].tolist() == [b"image 0", b"image 1"]
    assert frame["path"].tolist() == [None, None]
    assert frame["labels"].tolist() == [["benign"], None]
    assert frame["task"].tolist() == ["set", "set"]
    assert frame["group"].tolist() == ["p1", "busi/000001"]
    assert frame["split"].tolist() == ["train", "val"]
    assert frame["width"].tolist() == [160, 120]
    assert "label" not in frame


def test_all_files_of_a_folder_are_joined_in_order(tmp_path: Path):
    write(tmp_path / "b.parquet", source=["second"])
    write(tmp_path / "a.parquet", source=["first", "first"])
    write(tmp_path / ".hidden.parquet")
    assert read_parquet(tmp_path).frame["case_id"].tolist() == ["a/000000", "a/000001", "b/000000"]


def test_what_the_images_own_files_were_called_is_kept(tmp_path: Path):
    images = [{"bytes": b"1", "path": path} for path in ("case (1).png", "/home/me/2.png", None)]
    write(tmp_path / "a.parquet", image=images)
    write(tmp_path / "b.parquet", image=[b"4"])
    assert read_parquet(tmp_path).frame["file"].tolist() == ["case (1).png", "2.png", "", ""]


def test_a_table_that_names_the_files_itself_is_believed(tmp_path: Path):
    table = pq.read_table(write(tmp_path / "a.parquet"))
    pq.write_table(table.append_column("file", pa.array(["x", None])), tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet").frame["file"].tolist() == ["x", ""]


def test_class_numbers_get_their_names_and_minus_one_is_unlabelled(tmp_path: Path):
    assert labels(write(tmp_path / "a.parquet", ["normal", "amd"], label=[1, 0, -1, None])) == [
        ["amd"],
        ["normal"],
        None,
        None,
    ]


def test_a_class_number_without_a_name_is_refused(tmp_path: Path):
    file = write(tmp_path / "a.parquet", ["normal", "amd"], label=[0, 2])
    with pytest.raises(
        ManifestError, match=r"row 1, column 'label': 2 is not one of the 2 classes.*a\.parquet"
    ):
        read_parquet(file)


def test_numbers_without_names_are_classes_of_their_own(tmp_path: Path):
    assert labels(write(tmp_path / "a.parquet", label=[3, 0])) == [["3"], ["0"]]
    # What pandas makes of whole numbers where one is missing.
    assert labels(write(tmp_path / "b.parquet", label=[3.0, float("nan")])) == [["3"], None]


def test_a_fraction_is_no_class(tmp_path: Path):
    with pytest.raises(ManifestError, match=r"row 1, column 'label': 0\.5 is no class"):
        read_parquet(write(tmp_path / "a.parquet", label=[1.0, 0.5]))


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": {"names": ["mass", "edema"], "_type": "ClassLabel"}, "_type": "Sequence"},
        [{"names": ["mass", "edema"], "_type": "ClassLabel"}],
    ],
)
def test_lists_of_class_numbers_make_a_multilabel_task(tmp_path: Path, feature):
    file = write(tmp_path / "a.parquet", label_feature=feature, label=[[1, 0], [], None])
    frame = read_parquet(file).frame
    assert frame["labels"].tolist() == [["edema", "mass"], [], None]
    assert set(frame["task_kind"]) == {"multilabel"}


def test_a_column_labels_and_a_stated_kind_are_read(tmp_path: Path):
    file = write(tmp_path / "a.parquet", labels=[["x", "y"], []])
    assert read_parquet(file).label_sets()[0].classes == ("x", "y")
    file = write(tmp_path / "b.parquet", label=["0", "1"], task_kind=["ordinal", "ordinal"])
    assert read_parquet(file).label_sets()[0].kind == "ordinal"


def test_dictionary_columns_and_plain_bytes_are_read(tmp_path: Path):
    file = write(
        tmp_path / "a.parquet",
        image=[b"one", b"two"],
        label=pa.array(["x", "y"]).dictionary_encode(),
    )
    manifest = read_parquet(file)
    assert manifest.image_source(1) == b"two"
    assert manifest.frame["labels"].tolist() == [["x"], ["y"]]


def test_a_row_without_bytes_names_a_file_beside_the_table(tmp_path: Path):
    rows = [{"bytes": b"one", "path": "ignored.png"}, {"bytes": None, "path": "scans/b.png"}]
    manifest = read_parquet(write(tmp_path / "a.parquet", image=rows))
    assert manifest.image_source(0) == b"one"
    assert manifest.image_source(1) == tmp_path / "scans" / "b.png"


def test_an_image_of_neither_is_refused(tmp_path: Path):
    with pytest.raises(ManifestError, match="row 1, column 'path'"):
        read_parquet(write(tmp_path / "a.parquet", image=[{"bytes": b"one", "path": None}, None]))
    with pytest.raises(ManifestError, match="column 'image': images are bytes"):
        read_parquet(write(tmp_path / "b.parquet", image=["text"]))


def test_a_file_with_nothing_but_images_takes_its_name_and_the_given_modality(tmp_path: Path):
    file = write(tmp_path / "scans.parquet", modality=None, source=None, image=[b"a", b"b"])
    frame = read_parquet(file, "oct").frame
    assert set(frame["modality"]) == {"oct"}
    assert set(frame["source"]) == {"scans"}
    assert set(frame["split"]) == {""}
    with pytest.raises(ManifestError, match="column 'modality': this column is missing"):
        read_parquet(file)


def test_files_of_splits_are_one_set_named_after_their_folder(tmp_path: Path):
    folder = tmp_path / "lung"
    folder.mkdir()
    for split in ("train", "test"):
        write(folder / f"{split}-00000-of-00001.parquet", source=None, label=["a", "b"])
    frame = read_parquet(folder).frame
    assert frame["source"].tolist() == frame["task"].tolist() == ["lung"] * 4
    assert frame["split"].tolist() == ["test", "test", "train", "train"]
    assert frame["case_id"].iloc[2] == "lung/train-00000-of-00001/000000"


def test_patients_mean_the_same_as_in_a_csv(tmp_path: Path):
    file = write(tmp_path / "a.parquet", patient_id=[123.0, None, 7.0], label=["1.0", " x ", "nan"])
    manifest = read_parquet(file)
    assert manifest.frame["group"].tolist() == [pseudonym("123"), "a/000001", pseudonym("7")]
    assert manifest.frame["labels"].tolist() == [["1"], ["x"], None]
    assert "'nan' (1)" in manifest.notes[0]
    assert "patient_id" not in manifest.frame
    text = write(tmp_path / "b.parquet", Subject=["123", "P1 ", "None"])
    assert read_parquet(text).frame["group"].tolist() == [pseudonym("123"), pseudonym("P1"), "b/000002"]


def test_class_columns_are_read(tmp_path: Path):
    manifest = read_parquet(write(tmp_path / "a.parquet", mass=[True, False], edema=[1.0, 0.0]))
    assert manifest.frame["labels"].tolist() == [["mass", "edema"], []]
    assert set(manifest.frame["task_kind"]) == {"multilabel"}


def test_a_class_that_the_file_names_none_is_a_class(tmp_path: Path):
    assert labels(write(tmp_path / "a.parquet", ["none", "mild"], label=[0, 1])) == [["none"], ["mild"]]


def test_encoded_images_of_several_pages_are_listed_page_by_page(tmp_path: Path):
    buffer = io.BytesIO()
    pages = [Image.new("L", (4, 4), value) for value in (0, 200)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    manifest = read_parquet(write(tmp_path / "a.parquet", image=[buffer.getvalue(), b"\xff\xd8\xff"]))
    assert manifest.frame["case_id"].tolist() == ["a/000000/0000", "a/000000/0001", "a/000001"]
    assert manifest.frame["group"].tolist() == ["a/000000", "a/000000", "a/000001"]
    assert manifest.read_image(1).frame == 1


def test_files_beside_the_tables_are_counted(tmp_path: Path):
    write(tmp_path / "a.parquet")
    (tmp_path / "more").mkdir()
    write(tmp_path / "more" / "b.parquet")
    (tmp_path / "README.md").touch()
    (tmp_path / ".gitattributes").touch()
    left_out = {"files beside the parquet files": 2, "hidden files and folders": 1}
    assert read_parquet(tmp_path).left_out == left_out
    assert read_parquet(tmp_path / "a.parquet").left_out == {}


def test_the_given_modality_fills_only_gaps(tmp_path: Path):
    file = write(tmp_path / "a.parquet", modality=["CXR", None])
    assert read_parquet(file, "ct").frame["modality"].tolist() == ["cxr", "ct"]


def test_an_index_that_pandas_stored_is_no_obstacle(tmp_path: Path):
    frame = pd.DataFrame({"image": [b"a", b"b"], "modality": "ct"}, index=pd.Index([7, 9], name="number"))
    frame.to_parquet(tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet").frame["number"].tolist() == [7, 9]


def test_errors_name_the_file(tmp_path: Path):
    write(tmp_path / "a.parquet")
    write(tmp_path / "b.parquet", modality=["ct", "mri"])
    with pytest.raises(ManifestError, match=r"row 1, column 'modality': 'mri'.*b\.parquet") as caught:
        read_parquet(tmp_path)
    assert (caught.value.row, caught.value.column) == (1, "modality")


def test_what_is_no_table_of_images_is_refused(tmp_path: Path):
    with pytest.raises(ManifestError, match="holds no parquet file"):
        read_parquet(tmp_path)
    with pytest.raises(ManifestError, match="column 'image': this column of encoded images is missing"):
        read_parquet(write(tmp_path / "a.parquet", image=None))
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(ManifestError, match=r"b\.parquet cannot be read"):
        read_parquet(tmp_path / "b.parquet")


def test_a_saved_manifest_is_read_back_and_joined(tmp_path: Path):
    frame = pd.DataFrame({"path": [str(tmp_path / "x.png")], "modality": ["ct"], "source": ["own"]})
    manifest = Manifest.from_frame(frame)
    manifest.save(tmp_path / "own.parquet")
    assert read_parquet(tmp_path / "own.parquet") == manifest
    write(tmp_path / "set.parquet")
    assert read_parquet(tmp_path).frame["case_id"].tolist() == ["own/000000", "set/000000", "set/000001"]


def test_the_name_of_a_file_holds_no_signature_of_a_url():
    assert original_name("https://u:pw@host/dir/a.png?sig=secret") == "a.png"
    assert original_name("/data/b.png") == "b.png"
    assert original_name("dir/c.png") == "dir/c.png"
    assert original_name(None) == ""
