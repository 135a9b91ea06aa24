from pathlib import Path

import pytest

from mermed_core.data.pseudonyms import pseudonym
from mermed_core.data.sources.csv_table import read_csv
from mermed_core.data.sources.opener import open_manifests
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


def test_words_that_mean_a_missing_value_leave_an_image_unlabelled_and_are_noted(tmp_path: Path):
    words = ["nan", "NaN", "None", "null", "N/A", "NA", " nan "]
    rows = "".join(f"{row}.png,ct,{word},{word}\n" for row, word in enumerate(words))
    file = write(tmp_path, f"image_path,modality,label,patient_id\n{rows}x.png,ct,007,007\ny.png,ct,7,7\n")
    manifest = read_csv(file)
    assert manifest.frame["labels"].tolist() == [*[None] * len(words), ["007"], ["7"]]
    assert manifest.frame["group"].nunique() == len(words) + 2  # each a patient of its own
    assert [note.split(":")[0] for note in manifest.notes] == ["Column 'patient_id'", "Column 'label'"]
    assert "'nan' (2)" in manifest.notes[1]


def test_one_patient_written_in_two_ways_is_one(tmp_path: Path):
    header = "image_path,modality,label,patient_id\n"
    write(tmp_path, header + "a.png,ct,1.0,123.0\nb.png,ct,0.0,124.\nc.png,ct,,\n", "train.csv")
    write(tmp_path, header + "d.png,ct, 1 , 123 \ne.png,ct,0,125\n", "test.csv")
    manifest = open_manifests([tmp_path / "train.csv", tmp_path / "test.csv"])
    assert manifest.frame["labels"].tolist() == [["1"], ["0"], None, ["1"], ["0"]]
    groups = manifest.frame["group"].tolist()
    assert groups[0] == groups[3] == pseudonym("123")
    assert len(set(groups)) == 4
    assert any("1 groups have images in several splits" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("columns", "groups"),
    [
        ("PatientID,study_id\nP1,S1\n,S1\n,S2\n", ["P1", "study S1", "study S2"]),
        ("Subject,lesion_id\n12,L1\nunknown,L1\n,L1\n", ["12", "lesion L1", "lesion L1"]),
        ("Patient ID,patient_name\n,Roe\n4,Roe\n4,\n", ["Roe", "4", "4"]),
    ],
)
def test_synonyms_of_a_patient_are_read_from_the_widest_to_the_narrowest(tmp_path: Path, columns, groups):
    header, *rows = columns.splitlines()
    lines = [f"image_path,modality,{header}", *(f"{row}.png,ct,{cells}" for row, cells in enumerate(rows))]
    frame = read_csv(write(tmp_path, "\n".join(lines))).frame
    assert frame["group"].tolist() == [pseudonym(name) for name in groups]
    assert not set(header.split(",")) & set(frame)


def test_a_stated_group_is_kept_and_the_patient_is_dropped(tmp_path: Path):
    text = "image_path,modality,group,patient_id\na.png,ct, eye 1 ,Jane Roe\nb.png,ct,,Jane Roe\n"
    frame = read_csv(write(tmp_path, text)).frame
    assert frame["group"].tolist() == ["eye 1", pseudonym("Jane Roe")]
    assert "Jane" not in frame.drop(columns="image").to_csv()


@pytest.mark.parametrize(
    ("header", "rows", "labels", "kind"),
    [
        ("nevus,melanoma", ["1.0,0.0", "0,1"], [["nevus"], ["melanoma"]], "multiclass"),
        ("label_a,label_b,sex", ["1,0,1", "0,1,1"], [["a"], ["b"]], "multiclass"),
        ("edema,mass,sex", ["1,1,1", "0,0,0"], [["edema", "mass"], []], "multilabel"),
        ("edema,mass", ["1,", "-1,0", ",", "True,False"], [["edema"], None, None, ["edema"]], "multiclass"),
    ],
)
def test_columns_of_zeros_and_ones_are_classes(tmp_path: Path, header, rows, labels, kind):
    lines = [f"image_path,modality,{header}", *(f"{row}.png,cxr,{cells}" for row, cells in enumerate(rows))]
    manifest = read_csv(write(tmp_path, "\n".join(lines)))
    assert manifest.frame["labels"].tolist() == labels
    assert set(manifest.frame["task_kind"]) == {kind}
    assert len(manifest.notes) == 1
    assert "are read as classes" in manifest.notes[0]


@pytest.mark.parametrize("header", ["sex,smoker", "mass,age", "Unnamed: 0,mass", "edema,label"])
def test_other_columns_of_zeros_and_ones_are_no_classes(tmp_path: Path, header):
    frame = read_csv(write(tmp_path, f"image_path,modality,{header}\na.png,cxr,0,1\nb.png,cxr,1,0\n")).frame
    assert frame["labels"].tolist() == ([["1"], ["0"]] if "label" in header else [None, None])
    assert header.split(",")[0] in frame


def test_parts_of_a_set_of_class_columns_are_of_one_kind(tmp_path: Path):
    header = "image_path,modality,edema,mass\n"
    write(tmp_path, f"{header}a.png,cxr,1,1\nb.png,cxr,0,0\n", "train.csv")
    write(tmp_path, f"{header}c.png,cxr,1,0\n", "test.csv")
    frame = open_manifests([tmp_path / "train.csv", tmp_path / "test.csv"]).frame
    assert set(frame["task_kind"]) == {"multilabel"}
    assert frame["labels"].tolist() == [["edema", "mass"], [], ["edema"]]


def test_backslashes_separate_folders_unless_a_file_is_so_named(tmp_path: Path):
    text = "image_path,modality\nimg\\one\\a.png,ct\nimg/b.png,ct\n"
    manifest = read_csv(write(tmp_path, text))
    assert manifest.frame["path"].tolist() == [str(tmp_path / "img/one/a.png"), str(tmp_path / "img/b.png")]
    assert "1 paths" in manifest.notes[0]
    (tmp_path / "img\\one\\a.png").touch()
    assert read_csv(write(tmp_path, text)).frame["path"].iloc[0] == str(tmp_path / "img\\one\\a.png")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(("line", "separator"), [("sep=;\r\n", ";"), ("SEP=\t\n", "\t"), ("", ";")])
def test_what_spreadsheets_write_is_read(tmp_path: Path, encoding, line, separator):
    rows = [["image_path", "modality", "label"], ["ä,b.png", "ct", "gutartig"], ["", "", ""]]
    text = line + "\r\n".join(separator.join(row) for row in rows) + "\r\n"
    manifest = read_csv(write(tmp_path, text, encoding=encoding))
    assert manifest.frame["path"].tolist() == [str(tmp_path / "ä,b.png")]
    assert manifest.frame["labels"].tolist() == [["gutartig"]]
    assert manifest.left_out == {"empty rows": 1}
    assert manifest.notes == ()


def test_the_line_of_an_error_counts_the_stated_separator(tmp_path: Path):
    error = refused(write(tmp_path, "sep=;\nimage_path;modality\na.png;mri\n"))
    assert "(images.csv, line 3)" in str(error)


def test_a_column_frame_is_of_files_that_can_hold_several(tmp_path: Path):
    header = "image_path,modality,frame\n"
    frame = read_csv(write(tmp_path, f"{header}a.dcm,ct,0\na.dcm,ct,7\nb.png,ct,3\nc,ct,\n")).frame
    assert frame["frame"].tolist() == [0, 7, 0, 0]
    frame = read_csv(write(tmp_path, f"{header}a.png,ct,12\n")).frame
    assert "frame" not in frame
    assert frame["frame_number"].tolist() == ["12"]
    assert refused(write(tmp_path, f"{header}a.dcm,ct,first\n")).column == "frame"


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


def test_another_encoding_is_noted(tmp_path: Path):
    file = write(tmp_path, "image_path,modality,label\nä.png,ct,ö\n", encoding="latin-1")
    manifest = read_csv(file)
    assert manifest.frame["labels"].tolist() == [["ö"]]
    assert manifest.frame["path"].tolist() == [str(tmp_path / "ä.png")]
    assert "not in UTF-8" in manifest.notes[0]
