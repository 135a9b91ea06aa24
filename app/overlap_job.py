"""How alike two collections are, computed in the background for as long as somebody waits for it."""

import logging
import threading
import time
from typing import Any

from mermed_core.collections.collection import Collection
from mermed_core.collections.overlap import Overlap, neighbourhood_overlap
from mermed_core.collections.quality.watch import Watch
from mermed_core.device import let_others_first
from mermed_core.errors import CollectionError
from mermed_core.incidents import record_incident

from .texts import text

logger = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds since anybody last asked after which nobody waits


class _NobodyWaitsError(Exception):
    """What is being computed is not wanted any more."""


class OverlapJob(Watch):
    """Compares the neighbours of two collections once for all visitors. Thread-safe.

    Args:
        first: a collection.
        second: that beside it.
    """

    def __init__(self, first: Collection, second: Collection) -> None:
        self._collections = first, second
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._found: Overlap | None = None
        self._refused: CollectionError | None = None
        self._asked = float("-inf")
        self._step, self._total, self._done, self._since = "", 0, 0, 0.0

    def found(self) -> Overlap | None:
        """Returns what was found, None before it is there: then the work begins or goes on; ask again.

        Raises:
            CollectionError: the collections share fewer than two cases, or something went wrong. It is raised
                once; who asks again lets the work begin again.
        """
        with self._lock:
            self._asked = time.monotonic()
            if self._refused is not None:
                refused, self._refused = self._refused, None
                raise refused
            if self._found is None and self._thread is None:
                self._step = ""
                self._thread = threading.Thread(target=self._run, name="overlap", daemon=True)
                self._thread.start()
            return self._found

    def state(self) -> dict[str, Any]:
        """Returns how far the work is, as plain values."""
        share = self._done / self._total if self._total else 0
        elapsed = time.monotonic() - self._since
        left = round(elapsed / share - elapsed) if share else None
        return {"step": self._step, "done": self._done, "total": self._total, "seconds_left": left}

    def wait(self) -> None:
        """Returns when nothing is being computed."""
        if (thread := self._thread) is not None:
            thread.join()

    def begin(self, what: str, total: int) -> None:
        """Takes note of a step."""
        self._step, self._total, self._done, self._since = what, total, 0, time.monotonic()

    def advance(self, parts: int) -> None:
        """Takes note of parts, or stops after them where nobody waits."""
        self._done += parts
        if time.monotonic() - self._asked > _PATIENCE:
            raise _NobodyWaitsError

    def _run(self) -> None:
        let_others_first()
        try:
            self._found = neighbourhood_overlap(*self._collections, watch=self)
        except CollectionError as error:
            self._refused = error
        except _NobodyWaitsError:
            logger.info("nobody waits for the comparison of two collections")
        except Exception as error:
            number = record_incident(error, "comparing two collections")
            self._refused = CollectionError(text.unexpected(number))
        finally:
            with self._lock:
                self._thread = None
