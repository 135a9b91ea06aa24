"""The checks of the collection in the background: one at a time, with progress, and they can be cancelled."""

import logging
import os
import threading
import time
from typing import Any

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.check import check_collection
from mermed_core.collections.quality.findings import CheckResult
from mermed_core.collections.quality.watch import Watch

logger = logging.getLogger(__name__)

_NICE = 10  # visitors come first


class _CancelledError(Exception):
    """The checks are not wanted any more."""


class CheckJob(Watch):
    """Runs the checks once for all visitors and keeps what they find in memory. Thread-safe.

    Args:
        collection: what is checked.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._results: dict[str, CheckResult] = {}
        self._cancelled = self._complete = False
        self._step, self._total, self._done, self._since = "", 0, 0, 0.0
        self._failed = ""

    def start(self) -> None:
        """Starts the checks unless they run or are done already."""
        with self._lock:
            if self._running() or self._complete:
                return
            self._cancelled, self._failed, self._results = False, "", {}
            self._thread = threading.Thread(target=self._run, name="checks", daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Stops the checks at their next step; what was found until then stays."""
        self._cancelled = True

    def wait(self) -> None:
        """Returns when no check runs."""
        if (thread := self._thread) is not None:
            thread.join()

    def state(self) -> dict[str, Any]:
        """Returns how far the checks are and which results are there, as plain values."""
        elapsed = time.monotonic() - self._since
        share = self._done / self._total if self._total else None
        return {
            "running": self._running(),
            "complete": self._complete,
            "failed": self._failed,
            "step": self._step,
            "done": self._done,
            "total": self._total,
            "seconds_left": round(elapsed / share - elapsed) if share else None,
            "checks": [
                {
                    "name": result.name,
                    "title": result.title,
                    "flagged": result.flagged,
                    "listed": len(result.suspects),
                }
                for result in list(self._results.values())
            ],
        }

    def result(self, name: str) -> CheckResult:
        """Returns what a check found.

        Raises:
            KeyError: no such check was made.
        """
        return self._results[name]

    def begin(self, what: str, total: int) -> None:
        """Takes note of a step, or stops before it."""
        self._step, self._total, self._done, self._since = what, total, 0, time.monotonic()
        self._stop_if_cancelled()

    def advance(self, parts: int) -> None:
        """Takes note of parts, or stops after them."""
        self._done += parts
        self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        if self._cancelled:
            raise _CancelledError

    def _running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        _be_nice()
        try:
            for result in check_collection(self._collection, watch=self):
                self._results[result.name] = result
            self._complete = True
        except _CancelledError:
            logger.info("the checks were cancelled")
        except Exception as error:
            logger.exception("the checks failed")
            self._failed = type(error).__name__


def _be_nice() -> None:
    """Lets other threads go first, where the system knows threads of different priority."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
