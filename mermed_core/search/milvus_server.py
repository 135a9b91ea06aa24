"""Where a Milvus server is, how it is spoken to, and what of its errors a person can use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
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

        with self.asked():
            return MilvusClient(uri=self.url, token=self.token, timeout=_SECONDS, grpc_options=_SELDOM)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Turns what the client raises in the block into a sentence.

        Raises:
            SearchServerError: the server cannot be reached or refuses.
        """
        from pymilvus import MilvusException

        try:
            yield
        except MilvusException as error:
            said = without_secrets(str(error.message or error), self.url).splitlines()[0][:300]
            raise SearchServerError(f"The search server at {self} cannot do it: {said}") from error
