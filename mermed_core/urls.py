"""URLs: what is one, and what of one may be shown, logged or stored.

A user name, a password and a query (a signed URL carries its token there) open what they belong to, so they
never get into a message, a log, a report or the record of a run.
"""

import re
from urllib.parse import unquote, urlsplit

# One slash too, for a path made of a URL has lost the other.
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<slashes>/{1,2})(?P<rest>[^\s'\"<>]+)")


def is_url(place: str) -> bool:
    """Returns whether a place is on an object store or server, such as s3://bucket/shards."""
    return "://" in place


def is_web_address(place: str) -> bool:
    """Returns whether a place is on a web server."""
    return place.lower().startswith(("http://", "https://"))


def shown_url(url: str) -> str:
    """Returns a URL, or a text with URLs in it, without user names, passwords, queries and fragments."""
    return _URL.sub(_shown, url)


def without_secrets(text: str, url: str = "") -> str:
    """Returns a text in which every URL stands as `shown_url` shows it.

    Args:
        text: such as the message of a library.
        url: the one that it is about, of which the text may quote parts: its query and its user are removed
            wherever they stand.
    """
    for secret in _secrets(url):
        text = text.replace(secret, "")
    return shown_url(text)


def _shown(match: re.Match[str]) -> str:
    authority, slash, path = match["rest"].partition("/")
    host = authority.rpartition("@")[2]
    return match["scheme"] + ":" + match["slashes"] + re.split(r"[?#]", host + slash + path)[0]


def _secrets(url: str) -> list[str]:
    """Returns what of a URL is secret, as it is written and decoded, the longest first."""
    if not is_url(url):
        return []
    authority = url.partition("://")[2].partition("/")[0]
    user, at, _ = authority.rpartition("@")
    query = url.partition("?")[2]
    parts = [f"{user}{at}", user.partition(":")[2], f"?{query}" if query else "", query]
    found = {text for part in parts for text in (part, unquote(part)) if text}
    return sorted(found, key=len, reverse=True)


def origin(url: str) -> tuple[str, str, int | None]:
    """Returns the scheme, the host and the port of a URL, with the scheme's port where none is stated.

    Raises:
        ValueError: the port is no number.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    port = parts.port if parts.port is not None else {"http": 80, "https": 443}.get(scheme)
    return scheme, (parts.hostname or "").lower(), port
