"""A segment of a collection: some cases in a folder that never changes once it has its name.

records.parquet (a row a case, read by column), vectors.npy (eight bits a number, mapped into memory),
scale.npz (what the eight bits stand for), and thumbnails.arrow (a picture a case, read one by one), which
only segments of collections with pictures have.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.collections.collection import Thumbnails
from mermed_core.collections.stated import StatedFile, StatedSegment, unfit
from mermed_core.errors import CollectionError
from mermed_core.search.quantised import Part, QuantisedVectors

RECORDS = "records.parquet"
VECTORS = "vectors.npy"
SCALE = "scale.npz"
THUMBNAILS = "thumbnails.arrow"
SEGMENT_ROWS = 131_072  # cases of a segment at most: what is rewritten when one of them is taken out
_BATCH = 256  # thumbnails that are written together; one is read alone all the same
_THUMBNAIL = pa.schema([("thumbnail", pa.binary())])
_SCALE_PARTS = ("lowest", "step", "norms")


@dataclass(frozen=True, eq=False)
class Segment:
    """An open segment; what is open stays readable when the folder is replaced.

    Attributes:
        records: a row a case, also of those that do not count.
        part: the vectors, and which rows count.
        thumbnails: of all rows; None where there are none.
    """

    records: pq.ParquetFile
    part: Part
    thumbnails: Thumbnails | None

    def __len__(self) -> int:
        """Returns how many cases count."""
        return len(self.part)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Returns some columns, or all, of the cases that count."""
        table = self.records.read(columns=None if columns is None else list(columns))
        return table if self.part.rows is None else table.take(pa.array(self.part.rows))

    def vectors(self) -> QuantisedVectors:
        """Returns the vectors of the cases that count, with the codes that they have."""
        return self.part.vectors if self.part.rows is None else self.part.vectors.take(self.part.rows)

    def pictures(self) -> Iterator[bytes]:
        """Yields the thumbnails of the cases that count; nothing where there are none."""
        if self.thumbnails is not None:
            rows = range(len(self.part.vectors)) if self.part.rows is None else self.part.rows.tolist()
            yield from (self.thumbnails[row] for row in rows)


def write_segment(
    folder: Path, records: pa.Table, vectors: QuantisedVectors, thumbnails: Iterable[bytes] | None
) -> StatedSegment:
    """Writes the files of a segment into an empty folder; returns what they are, and the name to give it.

    Args:
        folder: which nobody reads yet.
        records: a row a case.
        vectors: likewise.
        thumbnails: likewise, or None where no pictures are kept.
    """
    pq.write_table(records, folder / RECORDS, compression="zstd")
    np.save(folder / VECTORS, np.ascontiguousarray(vectors.codes))
    np.savez(folder / SCALE, **{name: getattr(vectors, name) for name in _SCALE_PARTS})
    names = [RECORDS, VECTORS, SCALE]
    if thumbnails is not None:
        with pa.OSFile(str(folder / THUMBNAILS), "wb") as file, pa.ipc.new_file(file, _THUMBNAIL) as writer:
            pictures = iter(thumbnails)
            while some := list(islice(pictures, _BATCH)):
                writer.write_batch(pa.record_batch([pa.array(some, pa.binary())], schema=_THUMBNAIL))
        names.append(THUMBNAILS)
    return StatedSegment.of(len(records), (StatedFile.of(folder / name) for name in names))


def open_segment(folder: Path, stated: StatedSegment, gone: np.ndarray | None) -> Segment:
    """Opens a segment after its files were checked by size and sample.

    Args:
        folder: of the segment.
        stated: what the manifest states about it.
        gone: (some,) rows that do not count; None for none.

    Raises:
        CollectionError: a file is missing, damaged or does not fit the others.
    """
    for file in stated.files:
        if not file.sums.fits(folder / file.name):
            raise unfit(folder / file.name)
    try:
        records = pq.ParquetFile(pa.memory_map(str(folder / RECORDS)))
        vectors = _open_vectors(folder)
        thumbnails = _StoredThumbnails(folder / THUMBNAILS) if stated.file(THUMBNAILS) else None
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise CollectionError(f"'{folder}' cannot be read ({error})") from error
    counts = {records.metadata.num_rows, len(vectors), stated.rows}
    if len(counts | (set() if thumbnails is None else {len(thumbnails)})) != 1:
        raise CollectionError(f"the files in '{folder}' differ in length")
    rows = None if gone is None or not len(gone) else np.setdiff1d(np.arange(stated.rows), gone)
    return Segment(records, Part(vectors, rows), thumbnails)


def _open_vectors(folder: Path) -> QuantisedVectors:
    codes = np.asarray(np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False))
    with np.load(folder / SCALE, allow_pickle=False) as stored:
        lowest, step, norms = (stored[name] for name in _SCALE_PARTS)
    if codes.ndim != 2 or codes.dtype != np.uint8 or norms.shape != codes.shape[:1]:
        raise ValueError("its vectors are not of eight bits")
    if not lowest.shape == step.shape == codes.shape[1:]:
        raise ValueError("the scale is of other vectors")
    return QuantisedVectors(codes, lowest, step, norms)


class _StoredThumbnails:
    """Pictures in a file that is mapped into memory: only what is asked for is read. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._file = pa.ipc.open_file(pa.memory_map(str(path)))
        self._lock = threading.Lock()
        batches = self._file.num_record_batches
        last = self._file.get_batch(batches - 1).num_rows if batches else 0
        self._count = max(0, batches - 1) * _BATCH + last

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> bytes:
        with self._lock:
            batch = self._file.get_batch(position // _BATCH)
        return batch.column(0)[position % _BATCH].as_py()


class JoinedThumbnails:
    """The thumbnails of several segments, one behind the other, without the cases that do not count."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._ends = np.cumsum([len(segment) for segment in segments])

    def __len__(self) -> int:
        """Returns the number of cases."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, position: int) -> bytes:
        """Returns a case's picture; empty where its segment has none."""
        number = int(np.searchsorted(self._ends, position, side="right"))
        segment = self._segments[number]
        if segment.thumbnails is None:
            return b""
        place = position - (int(self._ends[number - 1]) if number else 0)
        return segment.thumbnails[place if segment.part.rows is None else int(segment.part.rows[place])]
