"""Requests to web servers: how large a file is, and its bytes, taken up again where a connection broke.

What a server says is not trusted. A redirection may lead to an encrypted address or stay where it is, never
more bytes arrive than were announced, and a file above MERMED_FETCH_GB is not fetched at all.
"""

import base64
import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from tqdm import tqdm

from mermed_core import __version__
from mermed_core.errors import DownloadError, RefusedDownloadError
from mermed_core.settings import Settings
from mermed_core.urls import is_web_address, origin, shown_url, without_secrets

logger = logging.getLogger(__name__)

_AGENT = f"mermed-fm-explorer/{__version__}"
_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without a byte
WAITS = (2, 10, 60)  # seconds before each new attempt, counted from the last one that brought something new
_KEPT_IN_ADDRESSES = "!#$%&'()*+,/:;=?@[]~"  # all else, such as a space, is written as %20
_BUSY = (429, 500, 502, 503, 504)  # answers of a server that may answer otherwise a moment later


class InterruptedRequestError(Exception):
    """The connection broke or the server is busy: another attempt may succeed. No text of it is secret."""


def stated_size(url: str) -> int:
    """Returns the size of a file in bytes as its server states it; only its first byte is requested.

    Raises:
        DownloadError: the server has no such file or does not state its size.
        InterruptedRequestError: the server cannot be reached or is busy.
    """
    with _opened(url, start=0, end=0) as response:
        part = response.status == HTTPStatus.PARTIAL_CONTENT
        size = _content_range(response)[1] if part else response.length
    if size is None or size < 0:
        raise DownloadError(f"The server does not state the size of {shown_url(url)}; choose another one.")
    return size


def check_fetch_size(url: str, size: int) -> None:
    """Makes sure that a file is no larger than one that is fetched may be.

    Raises:
        RefusedDownloadError: it is.
    """
    limit = Settings.from_environment().fetch_gb
    if size > limit * 1e9:
        raise RefusedDownloadError(
            f"{shown_url(url)} has {in_words(size)}, and no more than {limit:g} GB are fetched. Set "
            "MERMED_FETCH_GB higher if that is right."
        )


def receive(
    url: str, target: BinaryIO, size: int, *, name: str, hint: str = "", waits: Sequence[float] | None = None
) -> None:
    """Appends what is missing of a file, in as many attempts as bring something new.

    Args:
        url: the file.
        target: what is there of it; open for appending. Begun anew where the server sends only whole files.
        size: of the file, as `stated_size` says.
        name: what the log and the progress bar call it.
        hint: a sentence for an error after which something has arrived.
        waits: seconds before each attempt that follows one without anything new.

    Raises:
        DownloadError: the connection broke too often, or another file is there now.
    """
    chosen = WAITS if waits is None else waits
    if target.tell() > size:
        target.truncate(target.seek(0))  # whatever it is, it is no part of this file
    furthest, left = target.tell(), iter(chosen)
    with tqdm(total=size, initial=furthest, desc=name, unit="B", unit_scale=True, disable=None) as bar:
        while target.tell() < size:
            try:
                _receive_rest(url, target, size, bar)
            except InterruptedRequestError as error:
                if target.tell() > furthest:
                    furthest, left = target.tell(), iter(chosen)
                wait = next(left, None)
                if wait is None:
                    message = f"{shown_url(url)} broke off: {error}. {hint}".rstrip()
                    raise DownloadError(message) from error
                logger.warning("%s: %s; next attempt in %g s", name, error, wait)
                time.sleep(wait)


def _receive_rest(url: str, target: BinaryIO, size: int, bar: tqdm) -> None:
    """Appends what one request brings, from the beginning where the server sends nothing but whole files.

    Raises:
        InterruptedRequestError: not all came.
    """
    with _opened(url, start=target.tell()) as response:
        part = response.status == HTTPStatus.PARTIAL_CONTENT
        stated = _content_range(response) if part else (0, response.length)
        if stated != (target.tell() if part else 0, size):
            raise RefusedDownloadError(f"{shown_url(url)} changed while it was fetched; fetch it again.")
        if not part:
            target.truncate(target.seek(0))
            bar.initial = 0  # what was there before counts for nothing
            bar.reset(size)
        while left := size - target.tell():
            try:
                data = response.read(min(left, _CHUNK))
            except (OSError, http.client.HTTPException) as error:
                raise InterruptedRequestError(without_secrets(str(error), url)) from None
            if not data:
                raise InterruptedRequestError("the connection was closed early")
            bar.update(target.write(data))


def _content_range(response: http.client.HTTPResponse) -> tuple[int, int]:
    """Returns the position of a part's first byte and the size of the whole file; −1 where not stated."""
    stated = re.fullmatch(r"bytes (\d{1,18})-\d+/(\d{1,18})", response.headers.get("Content-Range", ""))
    return (int(stated[1]), int(stated[2])) if stated else (-1, -1)


def _opened(url: str, *, start: int, end: int | None = None) -> http.client.HTTPResponse:
    """Requests the bytes from `start` to `end`, both included, or to the end of the file.

    Raises:
        DownloadError: the server has no such file.
        RefusedDownloadError: the address is none of a web server, or leads to one that is not followed.
        InterruptedRequestError: the server cannot be reached or is busy.
    """
    request = _request(url)
    if start or end is not None:
        request.add_header("Range", f"bytes={start}-{'' if end is None else end}")
    try:
        return _opener().open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"the server answers {error.code} {without_secrets(str(error.reason), url)}"
        if error.code in _BUSY:
            raise InterruptedRequestError(answer) from None
        raise DownloadError(f"{shown_url(url)} cannot be fetched: {answer}.") from None
    except (OSError, http.client.HTTPException) as error:
        reason = str(getattr(error, "reason", error))
        raise InterruptedRequestError(without_secrets(reason, url)) from None


def _request(url: str) -> urllib.request.Request:
    """Returns a request in whose address no user stands; user and password go into a header."""
    if not is_web_address(url):  # urllib would open local files too
        raise RefusedDownloadError(
            f"'{shown_url(url)}' is not an address that starts with http:// or https://."
        )
    try:
        parts = urlsplit(url)
        user, _, host = parts.netloc.rpartition("@")
        address = quote(urlunsplit(parts._replace(netloc=host, fragment="")), safe=_KEPT_IN_ADDRESSES)
        origin(address)
    except ValueError:
        raise RefusedDownloadError(f"'{shown_url(url)}' is no valid address.") from None
    request = urllib.request.Request(address, headers={"User-Agent": _AGENT})
    if user:
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(_decoded(user)).decode()}")
    return request


def _decoded(user: str) -> bytes:
    name, _, password = user.partition(":")
    return f"{unquote(name)}:{unquote(password)}".encode()


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows a redirection that keeps the connection as safe as it was."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not may_follow(req.full_url, newurl):
            raise RefusedDownloadError(
                f"{shown_url(req.full_url)} leads to {shown_url(newurl)}, which is not followed: another "
                "server must have an address that starts with https://, as the first one has. Name the "
                "address yourself if you trust it."
            )
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        login = req.unredirected_hdrs.get("Authorization")
        if following is not None and login and origin(req.full_url) == origin(newurl):
            following.add_unredirected_header("Authorization", login)
        return following


def may_follow(here: str, there: str) -> bool:
    """Returns whether a redirection is followed: on the same server, or from https to https.

    On the same server it may change from http to https, and never back.
    """
    try:
        old, new = origin(here), origin(there)
    except ValueError:
        return False
    encrypted = new[0] == "https" and (old[0] == "https" or new[1] == old[1])
    return new == old or encrypted


def _opener() -> urllib.request.OpenerDirector:
    """Returns an opener of web addresses and of nothing else; made anew, for proxies may change."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirections(),
    ):
        opener.add_handler(handler)
    return opener


def in_words(count: int) -> str:
    """Returns a number of bytes such as "12.6 GB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
