"""Arrays out of an npz file one row at a time, so that a set larger than the memory can be read."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy

_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def iterate_rows(file: Path, name: str) -> Iterator[np.ndarray]:
    """Yields the rows of one array of an npz file; no pickled object is ever loaded.

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
