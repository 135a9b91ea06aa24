from pathlib import Path

import pytest

from mermed_core.data.pseudonyms import pseudonym
from mermed_core.data.sources.csv_table import read_csv
from mermed_core.errors import ManifestError


def write(folder: Path, text: str, name: str = "images.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


def refused(file: Path) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        read_csv(file)
    return caught.value


def test_the_columns_of_the_official_code_are_enough(tmp_path: Path):
    file = write(tmp_path, "image_path,modality\nscans/a.png,CT\n/data/b.png,cfp\n")
    frame = read_csv(file).frame
    assert frame["path"].tolist() == [str(tmp_path / "scans/a.png"), "/data/b.png"]
    assert frame["modality"].tolist() == ["ct", "fundus"]
    assert frame["source"].tolist() == ["images", "images"]
    assert frame["case_id"].tolist() == ["images/000000", "images/000001"]
    assert frame["labels"].tolist() == [None, None]


def test_every_optional_column(tmp_path: Path):
    file = write(
        tmp_path,
        "Image_Path, modality,image_id,label,group,split,source,sex\n"
        "a.png,US,one,benign,p1,train,busi,f\n"
        "b.png,US,two,,,Validation,,\n",
    )
    frame = read_csv(file).frame
    assert frame["case_id"].tolist() == ["one", "two"]
    assert frame["labels"].tolist() == [["benign"], None]
    assert frame["group"].tolist() == ["p1", "two"]
    assert frame["split"].tolist() == ["train", "val"]
    assert frame["source"].tolist() == ["busi", "images"]
    assert frame["sex"].iloc[0] == "f"
    assert "label" not in frame


def test_a_file_named_after_a_split_is_of_it_and_of_its_folders_set(tmp_path: Path):
    (tmp_path / "lung").mkdir()
    frame = read_csv(write(tmp_path / "lung", "image_path,modality\na.png,ct\n", "val.csv")).frame
    row = frame[["source", "task", "split", "case_id"]].iloc[0]
    assert row.tolist() == ["lung", "lung", "val", "lung/val/000000"]


def test_ids_are_of_the_file_where_the_source_is_stated(tmp_path: Path):
    file = write(tmp_path, "image_path,modality,source\na.png,ct,lung\n")
    assert read_csv(file).frame[["source", "case_id"]].iloc[0].tolist() == ["lung", "images/000000"]


def test_patient_ids_leave_only_a_pseudonym(tmp_path: Path):
    file = write(
        tmp_path, "image_path,modality,patient_id\na.png,ct,Jane Roe\nb.png,ct,\nc.png,ct,Jane Roe\n"
    )
    frame = read_csv(file).frame
    assert frame["group"].tolist() == [pseudonym("Jane Roe"), "images/000001", pseudonym("Jane Roe")]
    assert "Jane" not in frame.drop(columns="image").to_csv()


def test_labels_of_several_classes(tmp_path: Path):
    file = write(tmp_path, "image_path,modality,labels\na.png,cxr,mass | edema\nb.png,cxr,|\nc.png,cxr,\n")
    manifest = read_csv(file)
    assert manifest.frame["labels"].tolist() == [["mass", "edema"], [], None]
    assert manifest.label_sets()[0].kind == "multilabel"


@pytest.mark.parametrize(("separator", "name"), [(";", "a.csv"), ("\t", "a.tsv"), (",", "a.csv")])
def test_separators_and_the_mark_that_spreadsheets_write(tmp_path: Path, separator, name):
    text = separator.join(["image_path", "modality", "label"]) + "\n" + separator.join(["a.png", "ct", "x"])
    manifest = read_csv(write(tmp_path, text, name, encoding="utf-8-sig"))
    assert manifest.frame["labels"].tolist() == [["x"]]


def test_words_that_mean_missing_elsewhere_are_classes_here(tmp_path: Path):
    file = write(tmp_path, "image_path,modality,label\na.png,ct,None\nb.png,ct,NA\nc.png,ct,007\n")
    assert read_csv(file).frame["labels"].tolist() == [["None"], ["NA"], ["007"]]


def test_a_formula_stays_text_and_a_missing_file_is_not_looked_up(tmp_path: Path):
    file = write(tmp_path, "image_path,modality,label\n../../nowhere.png,ct,\"=cmd|' /C calc'!A0\"\n")
    manifest = read_csv(file)
    assert manifest.frame["labels"].tolist() == [["=cmd|' /C calc'!A0"]]
    manifest.save(tmp_path / "manifest.parquet")
    assert not list(tmp_path.glob("**/nowhere.png"))


@pytest.mark.parametrize(
    ("text", "row", "column"),
    [
        ("image_path,modality\na.png,ct\nb.png,mri\n", 1, "modality"),
        ("image_path,Modality\na.png,ct\nb.png,\n", 1, "Modality"),
        ("image_path,modality\na.png,ct\n,ct\n", 1, "image_path"),
        ("image_path,modality,image_id\na.png,ct,x\nb.png,ct,x\n", 1, "image_id"),
        ("image_path,modality,image_id\na.png,ct,x\nb.png,ct,\n", 1, "image_id"),
        ("image_path,modality,split\na.png,ct,train\nb.png,ct,fold1\n", 1, "split"),
        ("image_path,modality,labels\na.png,ct,x\nb.png,ct,x|x\n", 1, "labels"),
    ],
)
def test_an_error_names_line_row_and_the_column_as_written(tmp_path: Path, text, row, column):
    error = refused(write(tmp_path, text))
    assert (error.row, error.column) == (row, column)
    assert f"row {row}, column '{column}'" in str(error)
    assert f"(images.csv, line {row + 2})" in str(error)


def test_missing_and_doubled_columns_are_named(tmp_path: Path):
    assert refused(write(tmp_path, "file,modality\na.png,ct\n")).column == "image_path"
    assert refused(write(tmp_path, "image_path\na.png\n")).column == "modality"
    doubled = refused(write(tmp_path, "image_path,image,modality\na.png,a.png,ct\n"))
    assert doubled.column == "image"
    assert "the same as 'image_path'" in str(doubled)


def test_the_given_modality_stands_in_for_the_column(tmp_path: Path):
    assert set(read_csv(write(tmp_path, "image_path\na.png\nb.png\n"), "oct").frame["modality"]) == {"oct"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "image_path,modality\na.png,ct,too,many\n",
        "image_path,modality\na.png,ct\nb.png,ct,more\n",
        'image_path,modality\n"a.png,ct\n',
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, text):
    assert "cannot be read as a table" in str(refused(write(tmp_path, text)))


def test_a_header_alone_holds_no_images(tmp_path: Path):
    assert "no images" in str(refused(write(tmp_path, "image_path,modality\n")))


def test_another_encoding_is_named(tmp_path: Path):
    file = write(tmp_path, "image_path,modality,label\nä.png,ct,ö\n", encoding="latin-1")
    assert "not UTF-8" in str(refused(file))
