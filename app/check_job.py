"""What takes long on the whole collection, in the background: the measures of its cases, and its checks."""

import logging
import threading
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.case_measures import CaseMeasures, measure_cases
from mermed_core.collections.quality.check import check_collection
from mermed_core.collections.quality.drift import check_drift, drift_columns
from mermed_core.collections.quality.findings import CheckResult
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.collections.quality.watch import Watch
from mermed_core.device import let_others_first
from mermed_core.languages.say import in_readers_words

logger = logging.getLogger(__name__)

_PATIENCE = 120.0  # seconds since anybody last asked for the measures after which nobody waits for them
_MOST_FOUND = 1000  # suspects of a check that are kept
_MOST_KEPT = 200_000  # cases whose neighbours stay in memory, some 120 MB, for whatever is wanted next


class _CancelledError(Exception):
    """What is being made is not wanted any more."""


@dataclass(frozen=True, eq=False)
class _Wish:
    """What a visitor started; each start is another one.

    Attributes:
        drift_by: the column whose values are compared; "" for all checks.
    """

    drift_by: str = ""

    @property
    def name(self) -> str:
        """The name that the result of a comparison has."""
        return f"drift-{self.drift_by}"


class CheckJob(Watch):
    """Measures the cases and runs the checks once for all visitors; keeps what comes of it. Thread-safe.

    Both need the neighbours of all cases, which are searched once. The measures come first, as they take
    seconds and the checks minutes.

    Args:
        collection: what is checked.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._neighbours: Neighbourhood | None = None
        self._measures: CaseMeasures | None = None
        self._results: dict[str, CheckResult] = {}
        self._compared: dict[str, CheckResult] = {}
        self._complete = False
        self._wishes: list[_Wish] = []
        self._granting: _Wish | None = None  # the one that is being fulfilled
        self._asked = float("-inf")  # when the measures were last asked for
        self._step, self._total, self._done, self._since = "", 0, 0, 0.0
        self._failed = ""

    def start(self) -> None:
        """Starts the checks unless they run or are done already."""
        with self._lock:
            if not self._complete and all(wish.drift_by for wish in self._wishes):
                self._wishes.append(_Wish())
                self._go_on()

    @cached_property
    def drift_columns(self) -> tuple[str, ...]:
        """What drift can be looked for by, besides the source."""
        return drift_columns(self._collection.records)

    def compare(self, column: str) -> None:
        """Looks for drift between the values of a column unless that runs or is done already.

        Raises:
            KeyError: it is none of `drift_columns`.
        """
        if column not in self.drift_columns:
            raise KeyError(column)
        with self._lock:
            wish = _Wish(column)
            if wish.name not in self._compared and column not in (each.drift_by for each in self._wishes):
                self._wishes.append(wish)
                self._go_on()

    def measure(self) -> None:
        """Starts measuring the cases unless that runs or is done already."""
        with self._lock:
            self._asked = time.monotonic()
            if self._measures is None:
                self._go_on()

    def measures(self) -> CaseMeasures | None:
        """Returns the measures of the cases, None before they are there; who asks waits for them."""
        self._asked = time.monotonic()
        return self._measures

    def cancel(self) -> None:
        """Stops the checks at their next step; what was found until then stays."""
        self._wishes = []

    def end(self) -> None:
        """Stops at the next step all that is being made: nobody asks for it any more."""
        self._wishes, self._asked = [], float("-inf")

    def wait(self) -> None:
        """Returns when nothing is being made."""
        if (thread := self._thread) is not None:
            thread.join()

    def state(self) -> dict[str, Any]:
        """Returns how far the work is, whether it is for the checks, and their results, in words."""
        elapsed = time.monotonic() - self._since
        share = self._done / self._total if self._total else None
        return {
            "running": bool(self._wishes),
            "busy": self._thread is not None,
            "complete": self._complete,
            "failed": self._failed,
            "step": in_readers_words(self._step),
            "done": self._done,
            "total": self._total,
            "seconds_left": round(elapsed / share - elapsed) if share else None,
            "checks": [
                {
                    "name": result.name,
                    "title": in_readers_words(result.title),
                    "flagged": result.flagged,
                    "listed": len(result.suspects),
                }
                for result in [*self._results.values(), *self._compared.values()]
            ],
        }

    def result(self, name: str) -> CheckResult:
        """Returns what a check found.

        Raises:
            KeyError: no such check was made.
        """
        return {**self._results, **self._compared}[name]

    def begin(self, what: str, total: int) -> None:
        """Takes note of a step, or stops before it."""
        self._step, self._total, self._done, self._since = what, total, 0, time.monotonic()
        self._stop_if_cancelled()

    def advance(self, parts: int) -> None:
        """Takes note of parts, or stops after them."""
        self._done += parts
        self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        granting = self._granting
        if not self._anything_wanted() if granting is None else granting not in self._wishes:
            raise _CancelledError

    def _anything_wanted(self) -> bool:
        return bool(self._wishes) or self._measures_wanted()

    def _measures_wanted(self) -> bool:
        return self._measures is None and time.monotonic() - self._asked < _PATIENCE

    def _go_on(self) -> None:
        """Lets a thread make what is wanted; one that runs comes to it by itself."""
        self._failed = ""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="checks", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        let_others_first()
        while self._wanted():
            try:
                self._make()
            except _CancelledError:
                logger.info("the checks were cancelled")
            except Exception as error:
                logger.exception("the checks failed")
                self._failed, self._wishes, self._asked = type(error).__name__, [], float("-inf")
            finally:
                self._granting = None

    def _wanted(self) -> bool:
        """Returns whether there is more to make; otherwise the thread has ended."""
        with self._lock:
            wanted = self._anything_wanted()
            if not wanted:
                self._thread = None
            return wanted

    def _make(self) -> None:
        first = next(iter(self._wishes), None)
        if first is not None and first.drift_by:
            self._compare(first)
            return
        neighbours = self._neighbours or Neighbourhood.of(self._collection, watch=self)
        if len(self._collection) <= _MOST_KEPT:
            self._neighbours = neighbours
        if self._measures is None:
            self._measures = measure_cases(self._collection, neighbours, watch=self)
        for wish in [each for each in self._wishes if not each.drift_by]:
            self._check(wish, neighbours)

    def _compare(self, wish: _Wish) -> None:
        self._granting = wish
        found = check_drift(self._collection, _MOST_FOUND, column=wish.drift_by, watch=self)
        self._compared[wish.name] = replace(found, name=wish.name)
        self._granted(wish)

    def _check(self, wish: _Wish, neighbours: Neighbourhood) -> None:
        self._granting = wish
        self._results = {}
        for result in check_collection(self._collection, neighbours=neighbours, watch=self):
            self._results[result.name] = result
        self._complete = True
        self._granted(wish)

    def _granted(self, wish: _Wish) -> None:
        self._wishes = [other for other in self._wishes if other is not wish]
