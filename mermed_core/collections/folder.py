"""A collection's folder: read as one consistent state, changed by one writer at a time, whole or not at all.

The manifest is the only file that is ever replaced. All others are written under new names before the
manifest that names them, and removed after the one that no longer does; so a writer that is killed at any
moment leaves the state before or the state after, and a reader that has opened a state keeps it.
"""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from mermed_core.collections.map_file import MapData, read_map, write_map
from mermed_core.collections.segment import Segment, open_segment, write_segment
from mermed_core.collections.stated import (
    MANIFEST,
    ForbiddenError,
    Stated,
    StatedFile,
    StatedSegment,
    building,
    damaged,
    read_stated,
    unfit,
)
from mermed_core.errors import CollectionError
from mermed_core.files import flush_tree, one_at_a_time, remove_leftovers, unless_written, write_json
from mermed_core.search.quantised import QuantisedVectors, StoredVectors
from mermed_core.search.stored import LOCK, index_files

logger = logging.getLogger(__name__)

_ATTEMPTS = 5
_DIGITS = 12
# What a folder holds besides the manifest; nothing else in it is ever removed.
_OURS = ("segment-*", "map-*.parquet", "gone-*.npz", "index-*.faiss", "index-*.json", ".*.partial")


@dataclass(frozen=True, eq=False)
class OpenFolder:
    """One state of a collection, open; it stays readable whatever becomes of the folder.

    Attributes:
        stated: the manifest.
        segments: in order.
        gone: rows of segments that do not count, by the segment's name.
        map: the map.
    """

    stated: Stated
    segments: tuple[Segment, ...]
    gone: Mapping[str, np.ndarray]
    map: MapData

    @property
    def vectors(self) -> StoredVectors:
        """The vectors of all cases."""
        return StoredVectors([segment.part for segment in self.segments], self.stated.dim)


def open_folder(folder: Path) -> OpenFolder:
    """Opens a collection after its files were checked by size and sample.

    A writer may replace files meanwhile; then the new state is opened.

    Raises:
        CollectionError: the folder is missing, incomplete, damaged or of another format.
    """
    for _ in range(_ATTEMPTS):
        stated = read_stated(folder)
        try:
            return _opened(folder, stated)
        except ForbiddenError:
            raise
        except CollectionError as error:
            if read_stated(folder) == stated:
                raise CollectionError(damaged(folder, str(error))) from error
    raise CollectionError(f"The collection in '{folder}' changes all the time; try again.")


class Watched:
    """The state of a collection's folder when it was opened; a page that serves it shows that one.

    Args:
        folder: the collection.
        state: what is shown.
    """

    def __init__(self, folder: Path, state: str) -> None:
        self._folder, self._state = folder, state

    @property
    def changed(self) -> bool:
        """Whether cases were added or removed since, or the collection is not there any more."""
        try:
            return read_stated(self._folder).state != self._state
        except CollectionError:
            return True


def check_made_by(folder: Path, stated: Stated, fingerprint: str) -> None:
    """Makes sure that a model may add its vectors to a collection.

    Args:
        folder: the collection.
        stated: its manifest.
        fingerprint: of the model and its retrieval space.

    Raises:
        CollectionError: another model made the collection.
    """
    if stated.encoder:
        raise CollectionError(
            f"The vectors of the collection in '{folder}' were made elsewhere ({stated.encoder}): "
            "build it again from all images, with their vectors as --vectors."
        )
    if fingerprint != stated.fingerprint:
        raise CollectionError(
            f"The collection in '{folder}' was made by another model: name the one that made it with "
            f"--model, or build it again: {building(folder)}"
        )


def verify_folder(folder: Path) -> tuple[int, list[Path]]:
    """Reads every file of a collection whole; returns how many bytes they have, and those that are not right.

    Raises:
        CollectionError: there is no manifest that can be read, or a file may not be read.
    """
    stated = read_stated(folder)
    files = [(folder / segment.name, file) for segment in stated.segments for file in segment.files]
    files += [(folder, file) for file in (stated.map, stated.taken_out) if file is not None]
    wrong = [place / file.name for place, file in files if not file.sums.fits(place / file.name, whole=True)]
    if forbidden := [error for path in wrong if isinstance(error := unfit(path), ForbiddenError)]:
        raise forbidden[0]
    return sum(file.size for _, file in files), wrong


def _opened(folder: Path, stated: Stated) -> OpenFolder:
    for file in (stated.map, stated.taken_out):
        if file is not None and not file.sums.fits(folder / file.name):
            raise unfit(folder / file.name)
    gone: dict[str, np.ndarray] = {}
    if stated.taken_out is not None:
        with np.load(folder / stated.taken_out.name, allow_pickle=False) as rows:
            gone = {name: rows[name] for name in rows.files}
    segments = tuple(open_segment(folder / each.name, each, gone.get(each.name)) for each in stated.segments)
    opened = OpenFolder(stated, segments, gone, read_map(folder / stated.map.name))
    dims = {segment.part.vectors.codes.shape[1] for segment in segments}
    schemas = [segment.records.schema_arrow for segment in segments]
    if dims != {stated.dim} or any(schema != schemas[0] for schema in schemas):
        raise CollectionError("its segments are of different kinds")
    if {sum(map(len, segments)), len(opened.map)} != {stated.cases}:
        raise CollectionError("its parts differ in length")
    return opened


class FolderWriter:
    """Writes files into a folder under names of their own; none counts before a manifest names it.

    Attributes:
        folder: the collection, or a folder that will take its place.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def segment(
        self, records: pa.Table, vectors: QuantisedVectors, thumbnails: Iterable[bytes] | None
    ) -> StatedSegment:
        """Writes a segment; see `segment.write_segment`."""
        staging = Path(tempfile.mkdtemp(prefix=".segment.", suffix=".partial", dir=self.folder))
        staging.chmod(0o755)
        try:
            stated = write_segment(staging, records, vectors, thumbnails)
            flush_tree(staging)
            if not (self.folder / stated.name).exists():  # the name says what is in it
                staging.rename(self.folder / stated.name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return stated

    def open(self, stated: StatedSegment, gone: np.ndarray | None = None) -> Segment:
        """Opens a segment that was written; see `segment.open_segment`."""
        return open_segment(self.folder / stated.name, stated, gone)

    def map(self, data: MapData) -> StatedFile:
        """Writes a map."""
        return self._named("map-{}.parquet", lambda path: write_map(path, data))

    def gone(self, rows: Mapping[str, np.ndarray]) -> StatedFile | None:
        """Writes which rows of segments do not count; nothing where all do."""
        kept = {name: np.sort(some) for name, some in sorted(rows.items()) if len(some)}

        def write(path: Path) -> None:
            with path.open("wb") as file:  # of a path numpy would change the name
                np.savez(file, **kept)  # pyright: ignore[reportArgumentType]

        return self._named("gone-{}.npz", write) if kept else None

    def commit(self, stated: Stated) -> None:
        """Makes what was written the collection's state."""
        flush_tree(self.folder)
        write_json(self.folder / MANIFEST, stated.to_dict())

    def _named(self, pattern: str, write: Callable[[Path], object]) -> StatedFile:
        """Writes a file and names it after its content."""
        staging = self.folder / f".{pattern.format('new')}.partial"
        try:
            write(staging)
            digest = hashlib.sha256(staging.read_bytes()).hexdigest()
            return StatedFile.of(staging.replace(self.folder / pattern.format(digest[:_DIGITS])))
        finally:
            staging.unlink(missing_ok=True)


class FolderChange(FolderWriter):
    """A change of a collection by its only writer, in one or more steps that each leave a whole collection.

    Attributes:
        opened: the state that is changed.
    """

    def __init__(self, folder: Path, opened: OpenFolder) -> None:
        super().__init__(folder)
        self.opened = opened

    @property
    def stated(self) -> Stated:
        """The manifest that is changed."""
        return self.opened.stated

    def commit(self, stated: Stated) -> None:
        """Makes what was written the collection's state, and removes what no longer belongs to it."""
        super().commit(stated)
        sweep(self.folder, stated)
        self.opened = open_folder(self.folder)


@contextmanager
def changing(folder: Path) -> Iterator[FolderChange]:
    """Opens a collection to change it; another writer waits until the block ends.

    Raises:
        CollectionError: there is no collection that can be used.
    """
    read_stated(folder)  # before a lock is written into what is no collection
    with one_at_a_time(folder / LOCK):
        opened = open_folder(folder)
        sweep(folder, opened.stated)  # what a writer left that was killed
        remove_leftovers(folder)  # and a build or a migration: perhaps all of the collection as it was before
        yield FolderChange(folder, opened)


def sweep(folder: Path, stated: Stated) -> None:
    """Removes files that a manifest does not name, as those of a state before; the caller is the writer.

    What people write beside the collection has writers of its own: what one of them has staged stays.
    """
    kept = {segment.name for segment in stated.segments} | {stated.map.name, *index_files(stated.state)}
    kept |= set() if stated.taken_out is None else {stated.taken_out.name}
    for pattern in _OURS:
        for path in folder.glob(pattern):
            if path.name in kept:
                continue
            with unless_written(path) as left:
                if left:
                    logger.debug("removing '%s'", path)
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
