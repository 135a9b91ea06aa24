"""A collection that stays what its folder holds: opened again whenever somebody changed the folder."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mermed_core.collections.collection import Collection
from mermed_core.collections.stated import MANIFEST
from mermed_core.errors import CollectionError, SearchServerError
from mermed_core.files import file_mark

logger = logging.getLogger(__name__)

_ATTEMPTS, _PAUSE = 3, 0.5  # a folder that is being replaced is away for a moment
_AGAIN = 10.0  # seconds until what could not be opened is tried again without a sign of change


class FollowedCollection:
    """Opens a collection now, and again when its manifest has been replaced. Thread-safe.

    Whoever still answers from the collection that was open before finds its cases unchanged. Where the cases
    are the same, as after a compaction, they are read from the new files from then on.

    Args:
        folder: the collection.
        opens: opens it; raises CollectionError or SearchServerError.
        clock: seconds that never go back.
    """

    def __init__(
        self, folder: Path, opens: Callable[[], Collection], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._manifest, self._opens, self._clock = folder / MANIFEST, opens, clock
        self._lock = threading.Lock()
        self._mark: tuple[int, ...] = ()
        self._tried = 0.0
        self._collection: Collection | None = None
        self._problem = ""
        self._open(attempts=1)

    def current(self) -> tuple[Collection | None, str]:
        """Returns the collection as its folder is now, None where it cannot be opened; and then why."""
        with self._lock:
            mended = bool(self._problem) and self._clock() - self._tried >= _AGAIN
            if mended or file_mark(self._manifest) != self._mark:
                self._open(attempts=1 if mended else _ATTEMPTS)
            return self._collection, self._problem

    def _open(self, attempts: int) -> None:
        for last in (*[False] * (attempts - 1), True):
            # Taken before it is opened: a change meanwhile is seen the next time.
            self._mark, self._tried = file_mark(self._manifest), self._clock()
            try:
                opened = self._opens()
            except (CollectionError, SearchServerError) as error:
                if last:
                    self._lose(str(error))
                else:
                    time.sleep(_PAUSE)
            except Exception as error:  # what is open may hold what was removed
                if self._collection is None:
                    raise
                logger.exception("the collection cannot be opened")
                self._lose(f"The collection cannot be opened ({type(error).__name__}).")
                return
            else:
                self._take(opened)
                return

    def _lose(self, problem: str) -> None:
        if self._collection is not None:
            logger.warning("the collection is not shown any more: %s", problem)
        self._collection, self._problem = None, problem

    def _take(self, opened: Collection) -> None:
        before = self._collection
        if before is not None and _same(before, opened):
            before.renew(opened)
        else:
            if before is not None or self._problem:
                logger.info("the collection was changed: %s cases", f"{len(opened):,}")
            self._collection = opened
        self._problem = ""


def _same(first: Collection, second: Collection) -> bool:
    """Returns whether two collections hold the same cases at the same places of the map."""
    if not first.state or (first.state, first.fingerprint) != (second.state, second.fingerprint):
        return False
    return np.array_equal(first.coordinates, second.coordinates)
