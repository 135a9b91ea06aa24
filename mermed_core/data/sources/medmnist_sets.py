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
from mermed_core.data.sampling import spread_over_classes
from mermed_core.data.sources.medmnist_files import fetch_sets, set_information, set_modality, set_name
from mermed_core.errors import DownloadError, ManifestError

_LOG = logging.getLogger(__name__)

_KIND_OF_TASK = {
    "binary-class": "multiclass",
    "multi-class": "multiclass",
    "multi-label, binary-class": "multilabel",
    "ordinal-regression": "ordinal",
}
_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_SPLITS = ("train", "val", "test")


def read_medmnist(
    name: str,
    *,
    size: int = 28,
    root: Path | None = None,
    modality: str | None = None,
    most: int | None = None,
) -> Manifest:
    """Reads one set from its npz file, fetching the file where it is missing.

    A file that is there is taken as it is; a download is checked against the package's MD5. Images become PNG
    bytes in memory. No patients are known: every image is a group of its own.

    Args:
        name: such as "pathmnist", in any case.
        size: side of the images in pixels: 28, 64, 128 or 224.
        root: the folder of the npz files; the package's own (~/.medmnist) if None.
        modality: overrides the set's modality; needed for bloodmnist and tissuemnist.
        most: how many images at most, spread over the classes and chosen among all splits; all if None.

    Raises:
        ManifestError: not one of the sets, no file and no network, or a damaged file.
    """
    name = set_name(name)
    modality = set_modality(name, modality)
    try:
        file = fetch_sets([name], size=size, root=root)[name]
    except DownloadError as error:
        raise ManifestError(str(error)) from error
    return _manifest(file, name, size, modality, most)


def _manifest(file: Path, name: str, size: int, modality: str, most: int | None) -> Manifest:
    information = set_information(name)
    try:
        frame = pd.concat([_label_frame(file, split, information) for split in _SPLITS], ignore_index=True)
        chosen = None if most is None else spread_over_classes(frame["labels"].tolist(), most)
        kept = frame if chosen is None else frame.iloc[chosen]
        images = [image for split in _SPLITS for image in _images(file, split, size, frame, kept)]
    except ValueError as error:
        raise ManifestError(f"{file} cannot be used: {error}. Remove it and fetch it again.") from error
    frame = kept.assign(image=pd.Series(images, kept.index, dtype=object)).drop(columns="row")
    frame["modality"], frame["source"], frame["task"] = modality, name, name
    frame["task_kind"] = _KIND_OF_TASK[information["task"]]
    _LOG.info("%s: %d images, licence %s", file.name, len(frame), information["license"])
    return Manifest.from_frame(frame.reset_index(drop=True))


def _label_frame(file: Path, split: str, information: dict[str, Any]) -> pd.DataFrame:
    multilabel = _KIND_OF_TASK[information["task"]] == "multilabel"
    classes = [information["label"][str(position)] for position in range(len(information["label"]))]
    labels = [_labels(row, classes, multilabel) for row in iterate_rows(file, f"{split}_labels")]
    frame = pd.DataFrame({"row": range(len(labels)), "split": split})
    frame["case_id"] = [f"{file.stem}/{split}/{row:06d}" for row in frame["row"]]
    frame["labels"] = pd.Series(labels, dtype=object)
    return frame


def _images(file: Path, split: str, size: int, frame: pd.DataFrame, kept: pd.DataFrame) -> Iterator[bytes]:
    """Yields the images of a split that are kept, in their order."""
    rows = set(kept.loc[kept["split"] == split, "row"])
    labelled = int((frame["split"] == split).sum())
    count = 0
    stored = iterate_rows(file, f"{split}_images")
    for pixels in tqdm(stored, desc=f"{file.stem} {split}", total=labelled, unit="image", disable=None):
        if count in rows:
            yield _png(pixels, size)
        count += 1
    if count != labelled:
        raise ValueError(f"{split} has {count} images but {labelled} rows of labels")


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
