"""Reads a range of bytes from a large file, local or on an object store, in which images are packed."""

import hashlib
import logging
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from mermed_core.errors import DamagedImageError, ManifestError
from mermed_core.files import one_at_a_time
from mermed_core.settings import Settings

logger = logging.getLogger(__name__)

# A table from anywhere can name a URL: what reaches into this machine (file, zip, …) is not opened.
_PROTOCOLS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "https", "http", "memory")


def is_url(place: str) -> bool:
    """Returns whether a place is on an object store or server, such as s3://bucket/shards."""
    return "://" in place


def file_system(url: str) -> tuple[Any, str]:
    """Returns fsspec's file system of a URL, or of a path on this machine, and the path in it.

    Raises:
        ManifestError: the protocol is not one of an object store or web server, or its package is not
            installed.
    """
    if is_url(url) and (url.partition("://")[0].lower() not in _PROTOCOLS or "::" in url):
        raise ManifestError(f"'{url}' cannot be opened: remote files are of {', '.join(_PROTOCOLS)}.")
    from fsspec.core import url_to_fs  # only remote data needs it

    try:
        return url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ManifestError(f"'{url}' cannot be opened: {error}") from error


def read_range(place: str, offset: int, length: int) -> bytes:
    """Returns `length` bytes of a file from `offset` on.

    A remote file is fetched as a whole when its first byte is wanted, into the folder MERMED_CACHE (default
    ~/.cache/mermed/shards); the files used longest ago go when it passes MERMED_CACHE_GB (default 50).

    Raises:
        DamagedImageError: the file is missing, cannot be fetched, or ends before.
    """
    try:
        try:
            file = _file(place)
        except FileNotFoundError:  # another process may have evicted a copy at this moment
            file = _file(place)
        within = 0 <= offset <= offset + length <= os.fstat(file.fileno()).st_size
        data = os.pread(file.fileno(), length, offset) if within else b""
    except (OSError, ManifestError) as error:
        raise DamagedImageError(f"The shard '{place}' cannot be read: {error}") from error
    if not within or len(data) != length:
        raise DamagedImageError(f"The shard '{place}' is cut off: it ends before byte {offset + length}.")
    return data


def _file(place: str) -> BinaryIO:
    local = _fetched(place) if is_url(place) else Path(place)
    state = local.stat()
    return _opened(str(local), os.getpid(), state.st_ino, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _opened(path: str, process: int, file: int, written: int) -> BinaryIO:
    """Opens a file for the images to come: once in each process, anew if another took its place."""
    return open(path, "rb")


def _fetched(url: str) -> Path:
    """Returns the local copy of a remote file; one process fetches it, the others wait."""
    folder = Settings.from_environment().cache
    copy = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{url.rpartition('/')[2]}"
    if not copy.exists():
        with one_at_a_time(copy):
            if not copy.exists():
                _fetch(url, copy)
                _evict(folder, copy)
    return copy


def _fetch(url: str, copy: Path) -> None:
    system, path = file_system(url)
    partial = copy.with_name(f".{copy.name}.partial")
    try:
        system.get_file(path, str(partial))
        if partial.stat().st_size != system.size(path):
            raise OSError("it arrived incomplete")
        partial.replace(copy)
    finally:
        partial.unlink(missing_ok=True)
    logger.info("fetched %s", url)


def _evict(folder: Path, newest: Path) -> None:
    """Removes the copies that were fetched longest ago until the rest fits; readers keep theirs open."""
    limit = Settings.from_environment().cache_gb * 1e9
    copies = [path for path in folder.iterdir() if not path.name.startswith(".") and path != newest]
    copies.sort(key=lambda path: path.stat().st_mtime)
    total = newest.stat().st_size + sum(path.stat().st_size for path in copies)
    for path in copies:
        if total <= limit:
            return
        total -= path.stat().st_size
        path.unlink(missing_ok=True)
