"""Fetches large files over HTTP: resumes what was interrupted, keeps only what has the published checksum."""

import hashlib
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mermed_core.data.web import InterruptedRequestError, check_fetch_size, in_words, receive, stated_size
from mermed_core.errors import DownloadError, RefusedDownloadError
from mermed_core.files import one_at_a_time, unfinished_file, write_file
from mermed_core.urls import shown_url

logger = logging.getLogger(__name__)

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


def fetch_files(downloads: Sequence[Download]) -> None:
    """Fetches the files that are not there yet, after stating how large they are.

    What an interrupted attempt got stays hidden beside its place. The next attempt goes on from there, if the
    server can send a part of a file, and otherwise begins anew.

    Args:
        downloads: the files; all of one call go to the same disk.

    Raises:
        DownloadError: no network, no such file, or no room on the disk.
        RefusedDownloadError: a file is larger than MERMED_FETCH_GB, is not the published one, or its server
            leads to another one that is not trusted.
    """
    missing = [download for download in downloads if not download.file.exists()]
    if not missing:
        return
    sizes = [_size(download) for download in missing]
    server = urlsplit(shown_url(missing[0].url)).netloc
    logger.info("fetching %s from %s:", in_words(sum(sizes)), server)
    for download, size in zip(missing, sizes, strict=True):
        done = f", {in_words(download.arrived)} of it here" if download.arrived else ""
        logger.info("  %s (%s%s)", download.file, in_words(size), done)
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
            f"{in_words(needed)} are needed in {folder}, but only {in_words(free)} are free. Make room "
            "there, choose another folder, or fetch fewer or smaller files."
        )


def _fetch(download: Download, size: int) -> None:
    with one_at_a_time(download.file):
        if download.file.exists():  # another process was faster
            return
        with write_file(download.file, keep_unfinished=True) as partial:
            try:
                with partial.open("ab") as target:
                    receive(download.url, target, size, name=download.file.name, hint=_KEPT)
                with partial.open("rb") as received:
                    md5 = hashlib.file_digest(received, "md5").hexdigest()
            except OSError as error:
                raise DownloadError(f"'{partial}' cannot be written: {error}. {_KEPT}") from error
            if md5 != download.md5:
                partial.unlink()
                raise RefusedDownloadError(
                    f"What {shown_url(download.url)} sent is not the published file (MD5 {md5} instead of "
                    f"{download.md5}) and was deleted. Fetch it again, or from another server."
                )


def _size(download: Download) -> int:
    """Asks for the size of a file in bytes; refuses one that is too large."""
    try:
        size = stated_size(download.url)
    except InterruptedRequestError as error:
        url = shown_url(download.url)
        raise DownloadError(
            f"{urlsplit(url).netloc} cannot be reached ({error}). Try again when there is a network "
            f"or fetch {url} on a machine that has one and put it into {download.file.parent}."
        ) from error
    check_fetch_size(download.url, size)
    return size
