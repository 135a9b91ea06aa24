"""Waits for what a Milvus server does on its own, for as long as it gets any further."""

import time
from typing import TYPE_CHECKING, Any

from mermed_core.errors import SearchServerError

if TYPE_CHECKING:
    from pymilvus import MilvusClient

_LOADING = 120.0  # seconds in which a collection that is loaded gets no further
_INDEXING = 1800.0  # seconds for the index of one part
_PAUSE = 0.5  # seconds between two looks


def load(client: "MilvusClient", name: str) -> None:
    """Makes sure that a collection is in the server's memory, where alone it is searched.

    Raises:
        SearchServerError: it does not get there, as where the server has too little memory.
        MilvusException: the server refuses.
    """
    from pymilvus import MilvusException

    known = 0
    while True:
        try:
            client.load_collection(name, timeout=_LOADING)
            return
        except MilvusException:
            state: dict[str, Any] = client.get_load_state(name)
            if "progress" not in state:  # it is not being loaded, so that it was something else
                raise
            share = int(state["progress"])
            if share <= known:
                raise SearchServerError(
                    f"The search server cannot load the collection '{name}': it has been at {share} % for "
                    f"{_LOADING:.0f} seconds. Look into its log; it may have too little memory. Then push "
                    "again."
                ) from None
            known = share


def wait_for_index(client: "MilvusClient", name: str, index: str) -> None:
    """Waits until all rows of a collection are in its index.

    Raises:
        SearchServerError: none came into it for half an hour.
    """
    left, since = -1, 0.0
    while pending := int((client.describe_index(name, index) or {}).get("pending_index_rows", 0)):
        if pending != left:
            left, since = pending, time.monotonic()
        elif time.monotonic() - since > _INDEXING:
            raise SearchServerError(
                f"The search server makes no index of the collection '{name}': {pending:,} rows have been "
                f"waiting for {_INDEXING / 60:.0f} minutes. Look into its log, then push again."
            )
        time.sleep(_PAUSE)
