"""Who is told how far a check has come: a bar in a terminal, a page, or nobody."""

from tqdm import tqdm

from mermed_core.progress_bar import progress_bar


class Watch:
    """Is told of each step of the checks and does nothing; raise in a method to stop the checks there."""

    def begin(self, what: str, total: int) -> None:
        """A step begins.

        Args:
            what: its name.
            total: how many parts it has, 0 where that is not known.
        """

    def advance(self, parts: int) -> None:
        """So many parts more of the step are done."""


class TerminalWatch(Watch):
    """Shows a bar for each step that has parts, where there is a terminal."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def begin(self, what: str, total: int) -> None:
        """Ends the bar of the step before and shows one for this step."""
        if self._bar is not None:
            self._bar.close()
        self._bar = progress_bar(what, "part", total=total) if total else None

    def advance(self, parts: int) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update(parts)
