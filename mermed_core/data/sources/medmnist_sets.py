"""The twelve two-dimensional sets of MedMNIST v2 (Yang et al., Scientific Data 10:41, 2023)."""

import io
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
from numpy.lib import format as npy
from PIL import Image
from tqdm import tqdm

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError
from mermed_core.files import write_file

_LOG = logging.getLogger(__name__)

# Blood smears and kidney cortex under the fluorescence microscope are not the stained tissue patches that
# "pathology" stands for here; who wants them as such says so.
MODALITY_OF_SET: dict[str, str | None] = {
    "pathmnist": "pathology",
    "chestmnist": "cxr",
    "dermamnist": "dermatology",
    "octmnist": "oct",
    "pneumoniamnist": "cxr",
    "retinamnist": "fundus",
    "breastmnist": "ultrasound",
    "bloodmnist": None,
    "tissuemnist": None,
    "organamnist": "ct",
    "organcmnist": "ct",
    "organsmnist": "ct",
}
_KIND_OF_TASK = {
    "binary-class": "multiclass",
    "multi-class": "multiclass",
    "multi-label, binary-class": "multilabel",
    "ordinal-regression": "ordinal",
}
_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
SIZES = (28, 64, 128, 224)
_SPLITS = ("train", "val", "test")


def read_medmnist(
    name: str, *, size: int = 28, root: Path | None = None, modality: str | None = None
) -> Manifest:
    """Reads all splits of one set from its npz file, downloading the file where it is missing.

    A file that is there is taken as it is; a download is checked against the package's MD5. Images become PNG
    bytes in memory. No patients are known: every image is a group of its own.

    Args:
        name: such as "pathmnist", in any case.
        size: side of the images in pixels: 28, 64, 128 or 224.
        root: the folder of the npz files; the package's own (~/.medmnist) if None.
        modality: overrides the set's modality; needed for bloodmnist and tissuemnist.

    Raises:
        ManifestError: not one of the sets, no file and no network, or a damaged file.
    """
    name = name.lower()
    if name not in MODALITY_OF_SET:
        raise ManifestError(
            f"'{name}' is not a two-dimensional MedMNIST set; these are {', '.join(MODALITY_OF_SET)}."
        )
    if size not in SIZES:
        raise ManifestError(f"MedMNIST has images of {', '.join(map(str, SIZES))} pixels, not {size}.")
    modality = modality or MODALITY_OF_SET[name]
    if modality is None:
        raise ManifestError(
            f"{name} shows none of the seven modalities but single cells under a microscope; "
            "ask for it with modality=pathology if you want it as such.",
            column="modality",
        )
    return _manifest(_npz_file(name, size, root), name, size, modality)


def _manifest(file: Path, name: str, size: int, modality: str) -> Manifest:
    information = _information(name)
    parts = [_split_frame(file, split, size, information) for split in _SPLITS]
    frame = pd.concat(parts, ignore_index=True)
    frame["modality"], frame["source"], frame["task"] = modality, name, name
    frame["task_kind"] = _KIND_OF_TASK[information["task"]]
    _LOG.info("%s: %d images, licence %s", file.name, len(frame), information["license"])
    return Manifest.from_frame(frame)


def _split_frame(file: Path, split: str, size: int, information: dict[str, Any]) -> pd.DataFrame:
    multilabel = _KIND_OF_TASK[information["task"]] == "multilabel"
    classes = [information["label"][str(position)] for position in range(len(information["label"]))]
    try:
        images = [_png(pixels, size) for pixels in _with_progress(file, split)]
        rows = list(iterate_rows(file, f"{split}_labels"))
        labels = [_labels(row, classes, multilabel) for row in rows]
    except ValueError as error:
        raise ManifestError(f"{file} cannot be used: {error}. Remove it and fetch it again.") from error
    if len(images) != len(labels):
        raise ManifestError(f"{file}: {split} has {len(images)} images but {len(labels)} rows of labels.")
    frame = pd.DataFrame({"case_id": [f"{file.stem}/{split}/{row:06d}" for row in range(len(images))]})
    frame["image"], frame["labels"] = pd.Series(images, dtype=object), pd.Series(labels, dtype=object)
    return frame.assign(split=split)


def _with_progress(file: Path, split: str) -> Iterator[np.ndarray]:
    rows = iterate_rows(file, f"{split}_images")
    return iter(tqdm(rows, desc=f"{file.stem} {split}", unit="image", disable=None))


def _png(pixels: np.ndarray, size: int) -> bytes:
    if pixels.dtype != np.uint8 or pixels.shape not in ((size, size), (size, size, 3)):
        raise ValueError(f"{size} pixel images of 8 bits were expected, not {pixels.dtype} {pixels.shape}")
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", compress_level=1)  # twice as fast, a tenth larger
    return encoded.getvalue()


def _labels(row: np.ndarray, classes: list[str], multilabel: bool) -> list[str]:
    """Returns the class names of one row: a 0 or 1 for each class, or the number of the one class."""
    values = [int(value) for value in np.atleast_1d(row)]
    if multilabel:
        if len(values) != len(classes) or not set(values) <= {0, 1}:
            raise ValueError(f"{values} is not a 0 or 1 for each of {len(classes)} classes")
        return [name for name, present in zip(classes, values, strict=True) if present]
    if len(values) != 1 or not 0 <= values[0] < len(classes):
        raise ValueError(f"{values} is not the number of one of {len(classes)} classes")
    return [classes[values[0]]]


def _information(name: str) -> dict[str, Any]:
    # The package imports torch and makes a folder in the home directory, so not before it is needed.
    from medmnist import INFO

    return INFO[name]


def _npz_file(name: str, size: int, root: Path | None) -> Path:
    suffix = "" if size == 28 else f"_{size}"
    if root is None:
        from medmnist.info import DEFAULT_ROOT

        root = Path(DEFAULT_ROOT or ".")
    file = root / f"{name}{suffix}.npz"
    if not file.exists():
        information = _information(name)
        _download(information[f"url{suffix}"], information[f"MD5{suffix}"], file)
    return file


def _download(url: str, md5: str, file: Path) -> None:
    from torchvision.datasets.utils import download_url

    try:
        with write_file(file) as staging:
            staging.unlink(missing_ok=True)
            download_url(url, str(staging.parent), staging.name, md5)
    except (OSError, RuntimeError) as error:
        raise ManifestError(
            f"{file.name} is not in {file.parent} and cannot be downloaded ({error}). "
            f"Fetch it from {url} on a machine with a network and put it into {file.parent}."
        ) from error


def iterate_rows(file: Path, name: str) -> Iterator[np.ndarray]:
    """Yields the rows of one array of an npz file, one at a time; no pickled object is ever loaded.

    Raises:
        ValueError: no such array, an array of objects, or a file that is damaged; the message says which.
    """
    try:
        with ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
            yield from _rows(stream)
    except KeyError as error:
        raise ValueError(f"it holds no array '{name}'") from error
    except (BadZipFile, EOFError, NotImplementedError, OSError, zlib.error) as error:
        raise ValueError(f"it is damaged ({error})") from error


def _rows(stream: IO[bytes]) -> Iterator[np.ndarray]:
    version = npy.read_magic(stream)
    if version not in _HEADER_READERS:
        raise ValueError(f"its array format {version} is not known")
    shape, fortran_order, dtype = _HEADER_READERS[version](stream)
    if dtype.hasobject or not shape:
        raise ValueError("an array of plain numbers was expected")
    if fortran_order:  # rows are scattered over the file
        yield from np.frombuffer(stream.read(), dtype).reshape(shape, order="F")
        return
    size = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    for _ in range(shape[0]):
        data = stream.read(size)
        if len(data) != size:
            raise ValueError("it is damaged (an array ends too early)")
        yield np.frombuffer(data, dtype).reshape(shape[1:])
