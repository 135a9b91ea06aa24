import hashlib
import io
import logging
import os
import struct
import subprocess
import sys
import urllib.error
import zipfile
from pathlib import Path

import numpy as np
import pytest
from medmnist import INFO
from PIL import Image

from mermed_core.data.sources.medmnist_sets import MODALITY_OF_SET, iterate_rows, read_medmnist
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


@pytest.fixture
def no_network(monkeypatch):
    def refuse(url, root, filename, md5):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", refuse)


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


@pytest.mark.usefixtures("no_network")
def test_without_file_and_network_the_error_says_what_to_put_where(tmp_path: Path):
    with pytest.raises(ManifestError) as caught:
        read_medmnist("octmnist", size=224, root=tmp_path)
    for part in ("octmnist_224.npz", str(tmp_path), INFO["octmnist"]["url_224"]):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_download_is_checked_and_appears_whole(tmp_path: Path, monkeypatch):
    write(tmp_path, "octmnist")
    published = (tmp_path / "octmnist.npz").read_bytes()
    (tmp_path / "octmnist.npz").unlink()
    monkeypatch.setitem(INFO["octmnist"], "MD5", hashlib.md5(published).hexdigest())
    sent = [published[:-1], published]

    def send(url, place):
        assert url == INFO["octmnist"]["url"]
        assert Path(place).name != "octmnist.npz"
        Path(place).write_bytes(sent.pop(0))

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", send)
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, max_hops: url)
    with pytest.raises(ManifestError, match="cannot be downloaded"):
        read_medmnist("octmnist", root=tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    assert len(read_medmnist("octmnist", root=tmp_path / "new")) == 6
    assert len(read_medmnist("octmnist", root=tmp_path / "new")) == 6  # no third download is there to be sent


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
