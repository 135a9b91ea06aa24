import hashlib
import io
import logging
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from medmnist import INFO
from PIL import Image

from mermed_core.data.sources.medmnist_files import MODALITY_OF_SET, fetch_sets
from mermed_core.data.sources.medmnist_sets import iterate_rows, read_medmnist
from mermed_core.errors import ManifestError

ROOT = Path(__file__).parents[4]
COUNTS = {"train": 3, "val": 2, "test": 1}


def write(folder: Path, name: str, size: int = 28, file_size: int | None = None, **changed) -> dict:
    """A tiny file in the layout of MedMNIST; keyword arguments replace arrays."""
    random = np.random.default_rng(0)
    colour = (3,) if INFO[name]["n_channels"] == 3 else ()
    classes = len(INFO[name]["label"])
    arrays = {}
    for split, count in COUNTS.items():
        arrays[f"{split}_images"] = random.integers(0, 256, (count, size, size, *colour), np.uint8)
        multilabel = INFO[name]["task"] == "multi-label, binary-class"
        arrays[f"{split}_labels"] = (
            random.integers(0, 2, (count, classes), np.uint8)
            if multilabel
            else random.integers(0, classes, (count, 1), np.uint8)
        )
    arrays |= changed
    suffix = "" if (file_size or size) == 28 else f"_{file_size or size}"
    np.savez_compressed(folder / f"{name}{suffix}.npz", **arrays)
    return arrays


def pixels(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded)))


def test_the_table_names_exactly_the_two_dimensional_sets():
    assert set(MODALITY_OF_SET) == {name for name in INFO if not name.endswith("3d")}
    assert len(MODALITY_OF_SET) == 12


@pytest.mark.parametrize("name", [name for name, modality in MODALITY_OF_SET.items() if modality])
def test_every_set_keeps_its_pixels_labels_and_splits(tmp_path: Path, name):
    arrays = write(tmp_path, name)
    manifest = read_medmnist(name, root=tmp_path)
    frame = manifest.frame
    assert frame["split"].tolist() == ["train"] * 3 + ["val"] * 2 + ["test"]
    assert frame["case_id"].tolist()[3] == f"{name}/val/000000"
    assert set(frame["modality"]) == {MODALITY_OF_SET[name]}
    assert set(frame["task"]) == {name}
    stored = np.concatenate([arrays[f"{split}_images"] for split in COUNTS])
    np.testing.assert_array_equal(np.stack([pixels(image) for image in frame["image"]]), stored)
    numbers = np.concatenate([arrays[f"{split}_labels"] for split in COUNTS])
    for labels, row in zip(frame["labels"], numbers, strict=True):
        chosen = np.flatnonzero(row) if len(row) > 1 else row
        assert labels == [INFO[name]["label"][str(number)] for number in chosen]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pneumoniamnist", "multiclass"),
        ("pathmnist", "multiclass"),
        ("chestmnist", "multilabel"),
        ("retinamnist", "ordinal"),
    ],
)
def test_kinds_of_tasks(tmp_path: Path, name, kind):
    write(tmp_path, name)
    assert set(read_medmnist(name, root=tmp_path).frame["task_kind"]) == {kind}


def test_no_disease_at_all_is_a_known_label(tmp_path: Path):
    write(tmp_path, "chestmnist", val_labels=np.zeros((2, 14), np.uint8))
    assert read_medmnist("ChestMNIST", root=tmp_path).split("val").frame["labels"].tolist() == [[], []]


def test_larger_images_have_a_file_of_their_own(tmp_path: Path):
    write(tmp_path, "breastmnist", 64)
    frame = read_medmnist("breastmnist", size=64, root=tmp_path).frame
    assert frame["case_id"].iloc[0] == "breastmnist_64/train/000000"
    assert pixels(frame["image"].iloc[0]).shape == (64, 64)


@pytest.mark.parametrize("name", ["bloodmnist", "tissuemnist"])
def test_cells_are_pathology_only_on_request(tmp_path: Path, name):
    write(tmp_path, name)
    with pytest.raises(ManifestError, match="none of the seven modalities"):
        read_medmnist(name, root=tmp_path)
    assert set(read_medmnist(name, root=tmp_path, modality="pathology").frame["modality"]) == {"pathology"}


def test_other_names_and_sizes_are_refused(tmp_path: Path):
    with pytest.raises(ManifestError, match="'organmnist3d' is not a two-dimensional"):
        read_medmnist("organmnist3d", root=tmp_path)
    with pytest.raises(ManifestError, match="28, 64, 128, 224 pixels, not 32"):
        read_medmnist("pathmnist", size=32, root=tmp_path)


def test_without_file_and_network_the_error_says_what_to_put_where(tmp_path: Path, file_server, monkeypatch):
    file_server.shutdown()
    file_server.server_close()
    url = f"{file_server.url}/octmnist_224.npz?download=1"
    monkeypatch.setitem(INFO["octmnist"], "url_224", url)
    with pytest.raises(ManifestError) as caught:
        read_medmnist("octmnist", size=224, root=tmp_path)
    for part in (str(tmp_path), url.partition("?")[0]):
        assert part in str(caught.value)
    assert list(tmp_path.glob("*")) == []


def test_a_missing_file_is_fetched_once_from_where_the_package_says(tmp_path: Path, file_server, monkeypatch):
    write(tmp_path, "octmnist")
    published = (tmp_path / "octmnist.npz").read_bytes()
    file_server.files["octmnist.npz"] = published
    monkeypatch.setitem(INFO["octmnist"], "url", f"{file_server.url}/octmnist.npz?download=1")
    with pytest.raises(ManifestError, match="is not the published file"):
        read_medmnist("octmnist", root=tmp_path / "new")
    assert not (tmp_path / "new" / "octmnist.npz").exists()
    monkeypatch.setitem(INFO["octmnist"], "MD5", hashlib.md5(published).hexdigest())
    assert len(read_medmnist("octmnist", root=tmp_path / "new")) == 6
    assert (tmp_path / "new" / "octmnist.npz").read_bytes() == published
    before = len(file_server.requests)
    assert len(read_medmnist("octmnist", root=tmp_path / "new")) == 6
    assert len(file_server.requests) == before


def test_a_mirror_has_the_same_files_under_the_same_names(tmp_path: Path, file_server, monkeypatch):
    for name in ("octmnist", "breastmnist"):
        write(tmp_path, name, 64)
        file = f"{name}_64.npz"
        file_server.files[file] = (tmp_path / file).read_bytes()
        monkeypatch.setitem(INFO[name], "MD5_64", hashlib.md5(file_server.files[file]).hexdigest())
    root = tmp_path / "new"
    fetched = fetch_sets(
        ["octmnist", "breastmnist", "octmnist"], size=64, root=root, url=f"{file_server.url}/"
    )
    assert fetched == {name: root / f"{name}_64.npz" for name in ("octmnist", "breastmnist")}
    assert all(file.is_file() for file in fetched.values())
    assert len(file_server.requests) == 4


def test_so_many_images_of_all_splits_and_classes_stand_for_a_set(tmp_path: Path):
    labels = np.array([[0], [0], [0], [0], [1]] * 40, np.uint8)
    images = np.random.default_rng(0).integers(0, 256, (200, 28, 28), np.uint8)
    write(tmp_path, "octmnist", train_labels=labels, train_images=images)
    whole = read_medmnist("octmnist", root=tmp_path).frame.set_index("case_id")
    frame = read_medmnist("octmnist", root=tmp_path, most=60).frame.set_index("case_id")
    assert len(frame) == 60
    assert set(frame["split"]) >= {"train", "val"}
    few, many = (INFO["octmnist"]["label"][number] for number in "10")
    counts = frame["labels"].explode().value_counts()
    assert abs(counts[few] - counts[many]) <= 1
    for column in ("image", "labels", "split", "modality"):  # nothing is taken for another
        assert frame[column].tolist() == whole.loc[frame.index, column].tolist()


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"val_labels": np.array([[0], [9]], np.uint8)}, "number of one of 4 classes"),
        ({"val_labels": np.array([[0]], np.uint8)}, "2 images but 1 rows"),
        ({"val_labels": np.array([[0], [None]], object)}, "plain numbers"),
        ({"val_images": np.zeros((2, 28, 28), np.float32)}, "8 bits were expected"),
        ({"val_images": np.zeros((2, 64, 64), np.uint8)}, "28 pixel images"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path: Path, changed, part):
    write(tmp_path, "octmnist", **changed)
    with pytest.raises(ManifestError, match=part):
        read_medmnist("octmnist", root=tmp_path)


def test_labels_of_a_multilabel_set_are_zeros_and_ones(tmp_path: Path):
    write(tmp_path, "chestmnist", val_labels=np.full((2, 14), 2, np.uint8))
    with pytest.raises(ManifestError, match="not a 0 or 1"):
        read_medmnist("chestmnist", root=tmp_path)


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_file_that_ends_too_early_is_refused(tmp_path: Path, keep):
    file = tmp_path / "octmnist.npz"
    write(tmp_path, "octmnist")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ManifestError, match=r"octmnist\.npz cannot be used"):
        read_medmnist("octmnist", root=tmp_path)


@pytest.mark.parametrize("offset", [0, 1500])  # the first block's type, and pixels
def test_a_file_with_wrong_bytes_is_refused(tmp_path: Path, offset):
    file = tmp_path / "octmnist.npz"
    write(tmp_path, "octmnist")
    data = bytearray(file.read_bytes())
    name_length, extra_length = struct.unpack_from("<HH", data, 26)  # of the first member's local header
    start = 30 + name_length + extra_length + offset
    data[start : start + 8] = b"\xff" * 8
    file.write_bytes(data)
    with pytest.raises(ManifestError, match=r"octmnist\.npz cannot be used: it is damaged"):
        read_medmnist("octmnist", root=tmp_path)


def test_a_missing_array_and_a_short_one_are_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", whole=np.arange(4.0))
    with pytest.raises(ValueError, match="no array 'absent'"):
        list(iterate_rows(tmp_path / "a.npz", "absent"))
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        stored = archive.read("whole.npy")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("whole.npy", stored[:-8])
    with pytest.raises(ValueError, match="ends too early"):
        list(iterate_rows(tmp_path / "b.npz", "whole"))


def test_rows_are_those_of_numpy_in_both_orders(tmp_path: Path):
    array = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    np.savez(tmp_path / "a.npz", c=array, f=np.asfortranarray(array), empty=array[:0])
    for name in ("c", "f"):
        np.testing.assert_array_equal(np.stack(list(iterate_rows(tmp_path / "a.npz", name))), array)
    assert list(iterate_rows(tmp_path / "a.npz", "empty")) == []


def test_the_licence_is_logged(tmp_path: Path, caplog):
    write(tmp_path, "dermamnist")
    with caplog.at_level(logging.INFO):
        read_medmnist("dermamnist", root=tmp_path)
    assert "CC BY-NC 4.0" in caplog.text


def test_the_package_is_imported_only_when_one_of_its_sets_is_opened(tmp_path: Path):
    """Importing it makes a folder in the home directory."""
    program = (
        "import sys\n"
        "from mermed_core.data.sources.opener import open_manifest\n"
        "open_manifest('phantoms:1')\n"
        "assert 'medmnist' not in sys.modules\n"
    )
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / ".medmnist").exists()
