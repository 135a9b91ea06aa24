"""Where the bundled files are, and how files are written: beside their place, flushed, renamed into it."""

import ctypes
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from mermed_core.errors import OccupiedError

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).resolve().parent
# An installed package carries the assets inside it; in a checkout they lie beside it.
ASSETS = _PACKAGE / "assets" if (_PACKAGE / "assets").is_dir() else _PACKAGE.parent / "assets"
BUNDLED_MODEL = ASSETS / "model"
BUNDLED_COLLECTION = ASSETS / "collection"  # drawn phantoms, with pictures
BUNDLED_ATLAS = ASSETS / "atlas"  # real cases of public data sets, without pictures
DEFAULT_COLLECTION = BUNDLED_ATLAS  # what a fresh installation serves and analyses with

# What of a large file is read at every start: 4 MiB in 16 blocks.
_SAMPLES, _SAMPLE = 16, 256 * 1024
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def check_replaceable(target: Path, mark: str) -> None:
    """Makes sure that writing a folder here loses nothing: the place is free, empty, or holds an older one.

    Args:
        target: the place.
        mark: a file that every folder of the kind holds.

    Raises:
        OccupiedError: something else is there.
    """
    if target.is_dir() and ((target / mark).is_file() or not any(target.iterdir())):
        return
    if target.exists() or target.is_symlink():
        raise OccupiedError(
            f"'{target}' holds something else (it has no {mark}), which would be lost; choose another place."
        )


@contextmanager
def write_folder(target: Path) -> Iterator[Path]:
    """Yields an empty folder beside `target` that takes its place when the block ends without error.

    A process killed at any moment leaves either the old folder or the new one under the name, and at worst
    a hidden `.NAME.*.partial` beside it, which the next write of the same name removes.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    staging.chmod(0o755)  # mkdtemp makes it private; ours is as readable as any folder
    with _lock(staging):
        try:
            yield staging
            flush_tree(staging)
            _put(staging, target)
            _flush(target.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def remove_leftovers(target: Path) -> None:
    """Removes what killed writes of a folder left beside it: half of a new one, or all of an old one.

    What a process still writes stays.
    """
    target = target.absolute()
    for leftover in target.parent.glob(f".{target.name}.*.partial"):
        with suppress(FileNotFoundError), _lock(leftover) as nobody_writes:  # another may remove it meanwhile
            if nobody_writes:
                shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Holds a folder for as long as the block lasts or the process lives; yields False where another does."""
    if sys.platform == "win32":  # which has no such locks
        yield True
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        yield _locked(held)
    finally:
        os.close(held)


def _locked(held: int) -> bool:
    import fcntl  # not on Windows

    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without locks: as if nobody else wrote
        return True
    return True


@contextmanager
def write_file(target: Path, *, keep_unfinished: bool = False) -> Iterator[Path]:
    """Yields a path beside `target` that replaces it when the block ends without error.

    Args:
        target: the place.
        keep_unfinished: leave what was written when the block ends with an error, for the next write of the
            same name to go on from.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = unfinished_file(target)
    try:
        yield staging
        _flush(staging)
        staging.replace(target)
        _flush(target.parent)
    finally:
        if not keep_unfinished:
            staging.unlink(missing_ok=True)


def unfinished_file(target: Path) -> Path:
    """Returns the path that `write_file` writes to before it replaces `target`."""
    return target.with_name(f".{target.name}.partial")


@contextmanager
def one_at_a_time(target: Path) -> Iterator[None]:
    """Lets one process at a time make a file; the others wait. Leaves an empty `.NAME.lock` beside it."""
    import fcntl  # not on Windows, which reads local files without it

    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f".{target.name}.lock")
    while True:
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("waiting for another process that writes '%s'", target)
                fcntl.flock(lock, fcntl.LOCK_EX)
            # The folder may have been replaced by another while this one waited, with a lock of its own.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(lock.fileno())):
                yield
                return


@contextmanager
def unless_written(leftover: Path) -> Iterator[bool]:
    """Yields whether a file that `write_file` has staged was left by a kill, so that it may be removed.

    It was not where a process holds the lock of its target, see `one_at_a_time`; none can take it meanwhile.
    """
    lock = leftover.with_suffix(".lock")
    if not lock.is_file():  # it is there before anything is staged under it
        yield True
        return
    with _lock(lock) as nobody_writes:
        yield nobody_writes


def write_json(path: Path, value: Any) -> None:
    """Writes readable JSON, the whole file or nothing."""
    with write_file(path) as staging:
        staging.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file, the whole of it or nothing."""
    with write_file(path) as staging:
        staging.write_bytes(data)


def file_mark(path: Path) -> tuple[int, ...]:
    """Returns numbers that change with a file that is replaced as a whole; none where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def checksum(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class FileSum:
    """What a file must be, and what of it can be checked at every start without reading all of it.

    Attributes:
        size: bytes.
        sha256: of the whole file, in hexadecimal.
        sample: SHA-256 of sixteen blocks of it, its first and its last among them; of all of a small file.
    """

    size: int
    sha256: str
    sample: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Reads the whole file; raises OSError where it cannot be read."""
        return cls(path.stat().st_size, checksum(path), _sampled(path))

    @classmethod
    def from_dict(cls, stated: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` gave; raises KeyError, TypeError or ValueError where it is something else."""
        return cls(int(stated["size"]), str(stated["sha256"]), str(stated["sample"]))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)

    def fits(self, path: Path, *, whole: bool = False) -> bool:
        """Returns whether a file is this one, by its size and sample, or by the whole of it."""
        try:
            if not path.is_file() or path.stat().st_size != self.size:
                return False
            return checksum(path) == self.sha256 if whole else _sampled(path) == self.sample
        except OSError:
            return False


def _sampled(path: Path) -> str:
    size, digest = path.stat().st_size, hashlib.sha256()
    with path.open("rb") as file:
        if size <= _SAMPLES * _SAMPLE:
            digest.update(file.read())
        else:
            for number in range(_SAMPLES):
                file.seek((size - _SAMPLE) * number // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def flush_tree(folder: Path) -> None:
    """Makes sure that a folder and what is in it are on the disk, but for what another removes meanwhile."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # somebody tags a case: that file is renamed by who writes it
            _flush(path)
    _flush(folder)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(staging: Path, target: Path) -> None:
    """Gives the staged folder the target's name; what was there is left under the staging name."""
    if not target.exists():
        staging.rename(target)
    elif not _exchange(staging, target):
        aside = staging.with_name(staging.name + ".old")
        target.rename(aside)
        staging.rename(target)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swaps two names in one atomic step where the system can (Linux's renameat2)."""
    if sys.platform != "linux":
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    return renameat2(_AT_FDCWD, bytes(first), _AT_FDCWD, bytes(second), _RENAME_EXCHANGE) == 0
