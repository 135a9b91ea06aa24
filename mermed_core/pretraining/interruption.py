"""Stopping a run between two steps when the terminal or the cluster asks for it."""

import signal
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """The run was asked to stop and has written its checkpoint.

    Attributes:
        exit_code: 128 + the signal's number, as shells report it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; the same command continues the run")
        self.exit_code = 128 + number


class Interruption:
    """While it is entered, SIGINT and SIGTERM are noted instead of ending the process at once.

    Attributes:
        number: the signal that came, None while none has.
    """

    number: int | None = None

    def __enter__(self) -> Self:
        """Takes over the signals."""
        self._before = {each: signal.signal(each, self._note) for each in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the signals back."""
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.number = number
        signal.signal(number, self._before[signal.Signals(number)])  # a second one acts at once
