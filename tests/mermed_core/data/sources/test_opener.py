import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

from mermed_core.data.sources.opener import open_manifest, open_manifests
from mermed_core.errors import ManifestError

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of images by modality and class, and a CSV that lists them, in a folder with a space."""
    folder = tmp_path / "my images"
    for name in ("ct/normal/a.png", "ct/tumour/b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "list.csv").write_text("image_path,modality,label\nct/normal/a.png,CT,normal\n")
    return folder


def test_a_folder_of_images_and_a_csv_are_recognised(images: Path):
    assert open_manifest(str(images)).frame["labels"].tolist() == [["normal"], ["tumour"]]
    from_csv = open_manifest(images / "list.csv")
    assert from_csv.image_source(0) == images / "ct/normal/a.png"
    assert from_csv == open_manifest(f"csv:{images / 'list.csv'}")


def test_the_kind_in_front_settles_it(images: Path):
    frame = open_manifest(f"folder:{images / 'ct'}?modality=Ultrasound").frame
    assert set(frame["modality"]) == {"ultrasound"}
    assert frame["labels"].tolist() == [["normal"], ["tumour"]]
    assert open_manifest(images / "ct", modality="us").frame.equals(frame)


def test_parquet_files_and_saved_manifests_are_recognised(tmp_path: Path):
    frame = pd.DataFrame({"image": [{"bytes": b"x", "path": None}], "modality": "oct", "source": "set"})
    frame.to_parquet(tmp_path / "set.parquet")
    from_folder = open_manifest(tmp_path)
    assert from_folder == open_manifest(tmp_path / "set.parquet") == open_manifest(f"parquet:{tmp_path}")
    from_folder.save(tmp_path / "saved" / "manifest.parquet")
    assert open_manifest(tmp_path / "saved") == from_folder


def write_csv(file: Path, rows: str) -> str:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"image_path,modality,label\n{rows}")
    return str(file)


def test_tables_alike_in_name_are_sets_of_their_own(tmp_path: Path):
    specs = [write_csv(tmp_path / folder / "labels.csv", "x.png,ct,n\n") for folder in "ab"]
    frame = open_manifests([specs[0], f"csv:{specs[1]}?modality=ct"]).frame
    assert frame["case_id"].tolist() == ["a/labels/000000", "b/labels/000000"]
    assert frame["task"].tolist() == ["a/labels", "b/labels"]
    with pytest.raises(ManifestError, match="is in an earlier row too"):
        open_manifests([specs[0], specs[0]])


def test_tables_of_splits_are_one_set_with_a_task_for_each_modality(tmp_path: Path):
    train = write_csv(tmp_path / "eyes" / "train.csv", "a.png,oct,n\nb.png,fundus,n\n")
    test = write_csv(tmp_path / "eyes" / "test.csv", "c.png,oct,n\n")
    frame = open_manifests([train, test]).frame
    assert frame["source"].tolist() == ["eyes"] * 3
    assert frame["task"].tolist() == ["eyes-oct", "eyes-fundus", "eyes-oct"]
    assert frame["split"].tolist() == ["train", "train", "test"]
    assert open_manifest(test).frame["task"].tolist() == ["eyes"]


def test_nothing_to_open_is_an_error():
    with pytest.raises(ManifestError, match="no images were given"):
        open_manifests([])


def test_a_tree_of_dicom_files_is_recognised():
    folder = TEST_FILES / "dicomdirtests" / "77654033"
    manifest = open_manifest(folder)
    assert set(manifest.frame["modality"]) == {"ct"}
    assert manifest == open_manifest(f"dicom:{folder}")


def test_medmnist_with_size_and_folder(tmp_path: Path):
    arrays = {f"{split}_images": np.zeros((1, 64, 64), np.uint8) for split in ("train", "val", "test")}
    arrays |= {f"{split}_labels": np.zeros((1, 1), np.uint8) for split in ("train", "val", "test")}
    np.savez(tmp_path / "tissuemnist_64.npz", **arrays)  # type: ignore[arg-type]
    spec = f"medmnist:TissueMNIST@64?root={tmp_path}"
    assert len(open_manifest(f"{spec}&modality=pathology")) == 3
    assert open_manifest(spec, modality="path") == open_manifest(f"{spec}&modality=path")
    with pytest.raises(ManifestError, match="none of the seven"):
        open_manifest(spec)


@pytest.mark.skipif(
    importlib.util.find_spec("mermed_core.data.phantoms") is None, reason="phantoms are not there yet"
)
def test_phantoms_by_count_and_seed():
    manifest = open_manifest("phantoms:2@5")
    assert manifest.frame["modality"].value_counts().eq(2).all()
    assert manifest.frame["modality"].nunique() == 7
    assert manifest == open_manifest("phantoms:2@5")
    assert manifest != open_manifest("phantoms:2")


def test_variables_and_the_home_folder_are_resolved(images: Path, monkeypatch):
    monkeypatch.setenv("IMAGES_HERE", str(images))
    monkeypatch.setenv("HOME", str(images))
    expected = open_manifest(images)
    assert open_manifest("$IMAGES_HERE") == expected
    assert open_manifest("folder:${IMAGES_HERE}") == expected
    assert len(open_manifest("~/list.csv")) == 1
    assert len(open_manifest("csv:~/list.csv")) == 1


def test_an_unset_variable_is_named(monkeypatch):
    monkeypatch.delenv("IMAGES_HERE", raising=False)
    for spec in ("$IMAGES_HERE", "folder:$IMAGES_HERE/ct"):
        with pytest.raises(ManifestError, match="the environment variable IMAGES_HERE"):
            open_manifest(spec)


def test_a_path_is_absolute_wherever_the_source_was_opened(images: Path, monkeypatch):
    monkeypatch.chdir(images)
    for spec in (".", "list.csv"):
        assert open_manifest(spec).image_source(0) == images / "ct/normal/a.png"
    assert open_manifest(".").frame["source"].iloc[0] == "my images"
    monkeypatch.chdir(TEST_FILES)
    assert open_manifest("dicom:dicomdirtests").image_source(0).is_absolute()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("/no/such/folder", "no file or folder /no/such/folder"),
        ("csv:/no/such.csv", "no file or folder /no/such.csv"),
        ("dicom:/no/such", "no file or folder /no/such"),
        ("nifti:scans", "no file or folder nifti:scans"),
        ("", "names nothing"),
        ("csv:", "names nothing"),
        ("medmnist:?root=/tmp", "names nothing"),
        (f"folder:{__file__}", "cannot be listed"),
        (f"dicom:{__file__}", "cannot be listed"),
        ("csv:/", "cannot be read as a table"),
        ("medmnist:mnist", "'mnist' is not a two-dimensional MedMNIST set"),
        ("medmnist:pathmnist@big", "'big' after @ is not a whole number"),
        ("medmnist:pathmnist?colour=1", "'colour=' is not an option"),
        ("medmnist:pathmnist?root=", "'root=' is not an option"),
        ("medmnist:pathmnist?modality=mri", "'mri' is not a modality"),
    ],
)
def test_an_error_says_what_a_source_is(spec, part):
    with pytest.raises(ManifestError) as caught:
        open_manifest(spec)
    assert part in str(caught.value)


def test_a_file_or_folder_of_another_kind_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ManifestError, match="not a table of images"):
        open_manifest(tmp_path / "notes.txt")
    with pytest.raises(ManifestError, match="holds no image"):
        open_manifest(tmp_path)
