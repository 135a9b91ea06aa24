"""Reads a range of bytes from a large file, local or on an object store, in which images are packed."""

import hashlib
import io
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from mermed_core.data.web import InterruptedRequestError, check_fetch_size, in_words, receive, stated_size
from mermed_core.errors import (
    DamagedImageError,
    DownloadError,
    ImageTooLargeError,
    ManifestError,
    MermedError,
    RefusedDownloadError,
)
from mermed_core.files import checksum, one_at_a_time, write_file
from mermed_core.imaging.limits import Limits
from mermed_core.settings import Settings
from mermed_core.urls import is_url, is_web_address, shown_url, without_secrets

logger = logging.getLogger(__name__)

# A table from anywhere can name a URL: what reaches into this machine (file, zip, …) is not opened.
_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "memory")
_PROTOCOLS = (*_STORES, "https", "http")
_WAITS = (1, 5)  # seconds; a shard that does not come is one of many
_SPARE = 200_000_000  # bytes that stay free on the disk of the cache
_NAME_LETTERS = 80  # of a file's own name that its copy keeps
# Why a URL is not fetched again: a shard holds thousands of images, and each would ask for it.
_refused: dict[tuple[str, str], str] = {}


def file_system(url: str) -> tuple[Any, str]:
    """Returns fsspec's file system of an object store, or of a path on this machine, and the path in it.

    Raises:
        ManifestError: the protocol is not one of an object store, or its package is not installed.
    """
    if is_url(url) and (url.partition("://")[0].lower() not in _STORES or "::" in url):
        raise ManifestError(
            f"'{shown_url(url)}' cannot be opened: remote files are of {', '.join(_PROTOCOLS)}."
        )
    from fsspec.core import url_to_fs  # only remote data needs it

    try:
        return url_to_fs(url)
    except (ImportError, ValueError) as error:
        reason = without_secrets(str(error), url)
        raise ManifestError(f"'{shown_url(url)}' cannot be opened: {reason}") from None


def read_range(place: str, offset: int, length: int, *, sha256: str | None = None) -> bytes:
    """Returns `length` bytes of a file from `offset` on.

    A remote file is fetched as a whole when its first byte is wanted, into the folder MERMED_CACHE (default
    ~/.cache/mermed/shards); the files used longest ago go when it passes MERMED_CACHE_GB (default 50).

    Args:
        place: path or URL.
        offset: of the first byte.
        length: in bytes.
        sha256: of a whole remote file, in hexadecimal; a copy with another checksum is not kept.

    Raises:
        DamagedImageError: the file is missing, is no regular file, ends before, or cannot be fetched: larger
            than MERMED_FETCH_GB, another checksum, or no such server.
        ImageTooLargeError: more bytes than an image may have.
    """
    try:
        try:
            file = _file(place, sha256)
        except FileNotFoundError:  # another process may have evicted a copy at this moment
            file = _file(place, sha256)
        within = 0 <= offset <= offset + length <= os.fstat(file.fileno()).st_size
        if within and length > (most := Limits().max_bytes):
            raise ImageTooLargeError(
                f"An image of {in_words(length)} is stated in '{shown_url(place)}'; at most "
                f"{most // 2**20} MB are read."
            )
        data = os.pread(file.fileno(), length, offset) if within else b""
    except (OSError, ManifestError, DownloadError) as error:
        reason = without_secrets(str(error), place)
        raise DamagedImageError(f"The shard '{shown_url(place)}' cannot be read: {reason}") from None
    if not within or len(data) != length:
        raise DamagedImageError(
            f"The shard '{shown_url(place)}' is cut off: it ends before byte {offset + length}."
        )
    return data


def read_whole(url: str, limit: int) -> bytes:
    """Returns all bytes of a remote file of at most `limit` bytes.

    Raises:
        RefusedDownloadError: it has more, or another number than its server stated.
        DownloadError: it cannot be fetched.
        ManifestError: the protocol is not one of an object store or web server.
        OSError: the store does not answer, or has no such file.
    """
    buffer = io.BytesIO()
    with _plain_errors(url):
        if is_web_address(url):
            size = stated_size(url)
            _check_table_size(url, size, limit)
            receive(url, buffer, size, name=shown_url(url).rpartition("/")[2], waits=_WAITS)
            return buffer.getvalue()
        system, path = file_system(url)
        size = system.size(path)
        _check_table_size(url, size, limit)
        with system.open(path, "rb") as file:
            data = file.read(size + 1)
    if len(data) != size:
        raise RefusedDownloadError(f"{shown_url(url)} is not as large as its store says; fetch it again.")
    return data


def _check_table_size(url: str, size: int | None, limit: int) -> None:
    if size is None or size > limit:
        raise RefusedDownloadError(
            f"{shown_url(url)} has {'an unknown size' if size is None else in_words(size)}, and no table of "
            f"more than {in_words(limit)} is read. Set MERMED_TABLE_GB higher if that is right."
        )


@contextmanager
def _plain_errors(url: str) -> Iterator[None]:
    """Turns what a store's package raises into an OSError that names no secret; ours pass as they are."""
    try:
        yield
    except MermedError:
        raise
    except InterruptedRequestError as error:
        raise OSError(str(error)) from None
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no {shown_url(url)}") from None
    except Exception as error:  # each store's package has errors of its own
        raise OSError(without_secrets(str(error), url)) from None


def _file(place: str, sha256: str | None) -> BinaryIO:
    local = _fetched(place, sha256) if is_url(place) else Path(place)
    state = local.stat()
    if not stat.S_ISREG(state.st_mode):  # to open a pipe would wait for ever
        raise OSError("it is no regular file")
    return _opened(str(local), os.getpid(), state.st_ino, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _opened(path: str, process: int, file: int, written: int) -> BinaryIO:
    """Opens a file for the images to come: once in each process, anew if another took its place."""
    return open(path, "rb")


def _fetched(url: str, sha256: str | None) -> Path:
    """Returns the local copy of a remote file; one process fetches it, the others wait."""
    if reason := _refused.get((url, sha256 or "")):
        raise RefusedDownloadError(reason)
    folder = Settings.from_environment().cache
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what a login opened is not for everybody
    key = hashlib.sha256(f"{url}\0{sha256 or ''}".encode()).hexdigest()[:16]
    copy = folder / f"{key}-{shown_url(url).rpartition('/')[2][-_NAME_LETTERS:]}"
    if not copy.exists():
        with one_at_a_time(copy):
            if not copy.exists():
                try:
                    _fetch(url, copy, sha256)
                except RefusedDownloadError as error:
                    _refused[url, sha256 or ""] = str(error)
                    raise
                _evict(folder, copy)
    return copy


def _fetch(url: str, copy: Path, sha256: str | None) -> None:
    with write_file(copy) as partial, _plain_errors(url):
        size = _fetch_from_web(url, partial) if is_web_address(url) else _fetch_from_store(url, partial)
        if partial.stat().st_size != size:
            raise OSError("it arrived incomplete")
        if sha256 and checksum(partial) != sha256.lower():
            raise RefusedDownloadError(
                f"What {shown_url(url)} holds is not what its table was written for (another SHA-256); it "
                "was deleted. Get the shards and their table from one place."
            )
    logger.info("fetched %s", shown_url(url))


def _fetch_from_web(url: str, target: Path) -> int:
    """Writes a file of a web server and returns the size that the server stated."""
    size = stated_size(url)
    _check_room(url, size, target.parent)
    with target.open("wb") as file:
        receive(url, file, size, name=target.name, waits=_WAITS)
    return size


def _fetch_from_store(url: str, target: Path) -> int:
    """Writes a file of an object store and returns the size that the store stated."""
    system, path = file_system(url)
    size = system.size(path)
    if size is None:
        raise RefusedDownloadError(f"The size of {shown_url(url)} is not known, so it is not fetched.")
    _check_room(url, size, target.parent)
    system.get_file(path, str(target), callback=_at_most(size))
    return size


def _check_room(url: str, size: int, folder: Path) -> None:
    check_fetch_size(url, size)
    free = shutil.disk_usage(folder).free
    if size + _SPARE > free:
        raise OSError(
            f"{in_words(size + _SPARE)} are needed in {folder}, but only {in_words(free)} are free; make "
            "room or set MERMED_CACHE to another folder"
        )


def _at_most(size: int) -> Any:
    """Returns what stops a transfer that brings more bytes than were stated."""
    from fsspec.callbacks import Callback

    class AtMost(Callback):
        def call(self, hook_name: str | None = None, **kwargs: Any) -> None:
            if self.value > size:
                raise RefusedDownloadError("More bytes arrived than its store had stated; none are kept.")

    return AtMost()


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
