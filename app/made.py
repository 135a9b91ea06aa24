"""What was made for an image that is open: nothing is computed twice, and a report repeats what was shown."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import TypeVar

T = TypeVar("T")

_MOST = 12  # a heat map takes up to 9 MB, and a visitor looks at a few


class Made:
    """Results by name, the latest ones; thread-safe, and gone with the image.

    Names say what a result depends on, and each name always stands for results of one type.
    """

    def __init__(self) -> None:
        self._results: OrderedDict[Hashable, object] = OrderedDict()
        self._lock = RLock()

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """Returns the result of a name, which is made if it is not there."""
        with self._lock:
            if name not in self._results:
                self._results[name] = make()
                while len(self._results) > _MOST:
                    self._results.popitem(last=False)
            self._results.move_to_end(name)
            return self._results[name]  # pyright: ignore[reportReturnType]

    def get(self, name: Hashable, default: T) -> T:
        """Returns the result of a name, or the default where none was made."""
        with self._lock:
            return self._results.get(name, default)  # pyright: ignore[reportReturnType]
