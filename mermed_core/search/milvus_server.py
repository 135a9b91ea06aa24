"""Where a Milvus server is, how it is spoken to, and what of its errors a person can use."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from mermed_core.errors import SearchServerError
from mermed_core.urls import shown_url, without_secrets

if TYPE_CHECKING:
    from pymilvus import MilvusClient

SCHEME = "milvus+"
_SECONDS = 30  # that an answer may take
_FORKING = "GRPC_ENABLE_FORK_SUPPORT"
# A server that follows gRPC's own rules ends a connection on which the client's ten seconds are kept.
_SELDOM = {"grpc.keepalive_time_ms": 300_000, "grpc.keepalive_permit_without_calls": False}


@dataclass(frozen=True)
class MilvusServer:
    """A server, or a cluster, which is spoken to in the same way.

    Attributes:
        url: such as http://127.0.0.1:19530.
        name: of the collection on the server; "" where the folder's name decides.
        token: `user:password` or a key; "" where the server asks for none. Never shown.
    """

    url: str
    name: str = ""
    token: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str, token: str = "") -> Self:
        """Reads `milvus+http://HOST:PORT` or `milvus+https://HOST:PORT/NAME`.

        Raises:
            SearchServerError: it is something else.
        """
        parts = urlsplit(text.removeprefix(SCHEME))
        if not text.startswith(SCHEME) or parts.scheme not in ("http", "https") or not parts.hostname:
            raise SearchServerError(
                f"'{shown_url(text)}' is no search server; write milvus+http://HOST:PORT, with /NAME for a "
                "collection of another name than the folder's."
            )
        return cls(f"{parts.scheme}://{parts.netloc}", parts.path.strip("/"), token)

    def __str__(self) -> str:
        """Returns the address without secrets."""
        return shown_url(self.url)

    def connect(self) -> "MilvusClient":
        """Returns a client of the server.

        Raises:
            SearchServerError: it cannot be reached.
        """
        # Data loaders fork after this; gRPC's own handlers for that would hang them.
        os.environ.setdefault(_FORKING, "0")
        from pymilvus import MilvusClient

        # It writes the trace of every error that it raises, and warns of what older servers do not send.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        with self.asked():
            return MilvusClient(uri=self.url, token=self.token, timeout=_SECONDS, grpc_options=_SELDOM)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Turns what the client raises in the block into a sentence.

        Raises:
            SearchServerError: the server cannot be reached or refuses.
        """
        import grpc
        from pymilvus import MilvusException

        try:
            yield
        except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
            raise SearchServerError(self._in_words(error)) from error

    def _in_words(self, error: Exception) -> str:
        """Returns what the client raised as a sentence that says what to do."""
        import grpc

        status, details = _status(error)
        if status == grpc.StatusCode.UNAUTHENTICATED and not self.token:
            return (
                f"The search server at {self} asks who you are: set MERMED_SEARCH_TOKEN to USER:PASSWORD, or "
                "to the key that it gave you."
            )
        if status == grpc.StatusCode.UNAUTHENTICATED:
            return f"The search server at {self} does not accept what MERMED_SEARCH_TOKEN holds; correct it."
        if status == grpc.StatusCode.DEADLINE_EXCEEDED or isinstance(error, grpc.FutureTimeoutError):
            return f"The search server at {self} has not answered in time; try again, and look into its log."
        if status == grpc.StatusCode.UNAVAILABLE:
            return f"The search server at {self} cannot be reached; does it run, and is the address right?"
        said = details or str(getattr(error, "message", "") or error)
        plain = without_secrets(said, self.url).splitlines()[0][:300]
        if status == grpc.StatusCode.PERMISSION_DENIED:
            return f"The search server at {self} does not let whom MERMED_SEARCH_TOKEN names do it: {plain}"
        return f"The search server at {self} cannot do it: {plain}"


def _status(error: BaseException) -> tuple[Any, str]:
    """Returns the status and the words with which a server refused; the client keeps them behind its own."""
    import grpc

    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:  # the client raises errors from themselves
        seen.add(id(each))
        if isinstance(each, grpc.Call):
            return each.code(), str(each.details() or "")
        each = each.__cause__
    return None, ""
