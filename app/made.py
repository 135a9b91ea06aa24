"""What was made for an image that is open: nothing is computed twice, and a report repeats what was shown."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

_MOST = 12  # a heat map takes up to 9 MB, and a visitor looks at a few
# One for all visits: what is wanted meanwhile is made by who wants it, so that nobody waits for another.
_AHEAD = ThreadPoolExecutor(1, "ahead")


def ahead(work: Callable[[], object]) -> None:
    """Does work whose result `once` keeps, before somebody waits for it; its errors come then."""
    _AHEAD.submit(copy_context().run, work)


class Made:
    """Results by name, the latest ones; thread-safe, and gone with the image.

    Names say what a result depends on, and each name always stands for results of one type.
    """

    def __init__(self) -> None:
        self._results: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._lock = Lock()

    def has(self, name: Hashable) -> bool:
        """Returns whether the result of a name is there already."""
        with self._lock:
            result = self._results.get(name)
        return result is not None and result.done()

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """Returns the result of a name, which is made if it is not there; waits where it is being made.

        Raises:
            Exception: whatever making it raised; it is tried again when it is wanted again.
        """
        with self._lock:
            result = self._results.get(name)
            mine = result is None
            if result is None:
                result = self._results[name] = Future()
                while len(self._results) > _MOST:
                    self._results.popitem(last=False)
            self._results.move_to_end(name)
        if mine:
            try:
                result.set_result(make())
            except BaseException as error:
                with self._lock:
                    if self._results.get(name) is result:
                        del self._results[name]
                result.set_exception(error)
        return result.result()
