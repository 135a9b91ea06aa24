"""Fetches large files over HTTP: resumes what was interrupted, keeps only what has the published checksum."""

import hashlib
import http.client
import logging
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from tqdm import tqdm

from mermed_core import __version__
from mermed_core.errors import DownloadError
from mermed_core.files import one_at_a_time, unfinished_file, write_file

logger = logging.getLogger(__name__)

_AGENT = f"mermed-fm-explorer/{__version__}"
_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without a byte
_WAITS = (2, 10, 60)  # seconds before each new attempt, counted from the last one that brought something new
_BUSY = (429, 500, 502, 503, 504)  # answers of a server that may answer otherwise a moment later
_SPARE = 200_000_000  # bytes that stay free, for what is made of the files
_KEPT = "What has arrived is kept; the same command goes on from there."


@dataclass(frozen=True)
class Download:
    """A file to fetch.

    Attributes:
        url: where it is; http or https.
        file: where it goes.
        md5: its published MD5 in hexadecimal.
    """

    url: str
    file: Path
    md5: str

    @property
    def arrived(self) -> int:
        """The number of bytes that an interrupted attempt left."""
        partial = unfinished_file(self.file)
        return partial.stat().st_size if partial.exists() else 0


class _InterruptedError(Exception):
    """The connection broke or the server is busy: another attempt may succeed."""


def fetch_files(downloads: Sequence[Download]) -> None:
    """Fetches the files that are not there yet, after stating how large they are.

    What an interrupted attempt got stays hidden beside its place. The next attempt goes on from there, if the
    server can send a part of a file, and otherwise begins anew.

    Args:
        downloads: the files; all of one call go to the same disk.

    Raises:
        DownloadError: no network, no such file, no room on the disk, or a file that is not the published one.
    """
    missing = [download for download in downloads if not download.file.exists()]
    if not missing:
        return
    sizes = [_size(download) for download in missing]
    server = urlsplit(missing[0].url).netloc
    logger.info("fetching %s from %s:", _in_words(sum(sizes)), server)
    for download, size in zip(missing, sizes, strict=True):
        done = f", {_in_words(download.arrived)} of it here" if download.arrived else ""
        logger.info("  %s (%s%s)", download.file, _in_words(size), done)
    _check_room(missing, sizes)
    for download, size in zip(missing, sizes, strict=True):
        _fetch(download, size)


def _check_room(downloads: Sequence[Download], sizes: Sequence[int]) -> None:
    folder = downloads[0].file.parent
    folder.mkdir(parents=True, exist_ok=True)
    needed = sum(sizes) - sum(download.arrived for download in downloads) + _SPARE
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"{_in_words(needed)} are needed in {folder}, but only {_in_words(free)} are free. Make room "
            "there, choose another folder, or fetch fewer or smaller files."
        )


def _fetch(download: Download, size: int) -> None:
    with one_at_a_time(download.file):
        if download.file.exists():  # another process was faster
            return
        with write_file(download.file, keep_unfinished=True) as partial:
            try:
                with partial.open("ab") as target:
                    _receive(download, target, size)
                with partial.open("rb") as received:
                    md5 = hashlib.file_digest(received, "md5").hexdigest()
            except OSError as error:
                raise DownloadError(f"'{partial}' cannot be written: {error}. {_KEPT}") from error
            if md5 != download.md5:
                partial.unlink()
                raise DownloadError(
                    f"What {download.url} sent is not the published file (MD5 {md5} instead of "
                    f"{download.md5}) and was deleted. Fetch it again, or from another server."
                )


def _receive(download: Download, target: BinaryIO, size: int) -> None:
    """Appends what is missing of a file, in as many attempts as bring something new."""
    if target.tell() > size:
        target.truncate(target.seek(0))  # whatever it is, it is no part of this file
    furthest, waits = target.tell(), iter(_WAITS)
    with tqdm(
        total=size, initial=furthest, desc=download.file.name, unit="B", unit_scale=True, disable=None
    ) as bar:
        while target.tell() < size:
            try:
                _receive_rest(download, target, size, bar)
            except _InterruptedError as error:
                if target.tell() > furthest:
                    furthest, waits = target.tell(), iter(_WAITS)
                wait = next(waits, None)
                if wait is None:
                    raise DownloadError(f"{download.url} broke off: {error}. {_KEPT}") from error
                logger.warning("%s: %s; next attempt in %d s", download.file.name, error, wait)
                time.sleep(wait)


def _receive_rest(download: Download, target: BinaryIO, size: int, bar: tqdm) -> None:
    """Appends what one request brings, from the beginning where the server sends nothing but whole files.

    Raises:
        _InterruptedError: not all came.
    """
    with _opened(download.url, start=target.tell()) as response:
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            target.truncate(target.seek(0))
            bar.initial = 0  # what was there before counts for nothing
            bar.reset(size)
        elif _content_range(response) != (target.tell(), size):
            raise DownloadError(f"{download.url} changed while it was fetched; fetch it again.")
        while left := size - target.tell():
            try:
                data = response.read(min(left, _CHUNK))
            except (OSError, http.client.HTTPException) as error:
                raise _InterruptedError(str(error)) from error
            if not data:
                raise _InterruptedError("the connection was closed early")
            bar.update(target.write(data))


def _size(download: Download) -> int:
    """Asks for the size of a file in bytes; only its first byte is requested."""
    try:
        with _opened(download.url, start=0, end=0) as response:
            part = response.status == HTTPStatus.PARTIAL_CONTENT
            size = _content_range(response)[1] if part else response.length
    except _InterruptedError as error:
        raise DownloadError(
            f"{urlsplit(download.url).netloc} cannot be reached ({error}). Try again when there is a network "
            f"or fetch {download.url} on a machine that has one and put it into {download.file.parent}."
        ) from error
    if size is None or size < 0:
        raise DownloadError(f"The server does not state the size of {download.url}; choose another one.")
    return size


def _content_range(response: http.client.HTTPResponse) -> tuple[int, int]:
    """Returns the position of a part's first byte and the size of the whole file; −1 where not stated."""
    stated = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    return (int(stated[1]), int(stated[2])) if stated else (-1, -1)


def _opened(url: str, *, start: int, end: int | None = None) -> http.client.HTTPResponse:
    """Requests the bytes from `start` to `end`, both included, or to the end of the file.

    Raises:
        DownloadError: the server has no such file.
        _InterruptedError: the server cannot be reached or is busy.
    """
    if urlsplit(url).scheme not in ("http", "https"):  # urllib would open local files too
        raise DownloadError(f"'{url}' is not an address that starts with http:// or https://.")
    headers = {"User-Agent": _AGENT}
    if start or end is not None:
        headers["Range"] = f"bytes={start}-{'' if end is None else end}"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"the server answers {error.code} {error.reason}"
        if error.code in _BUSY:
            raise _InterruptedError(answer) from error
        raise DownloadError(f"{url} cannot be fetched: {answer}.") from error
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(str(getattr(error, "reason", error))) from error


def _in_words(count: int) -> str:
    """Returns a number of bytes such as "12.6 GB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
