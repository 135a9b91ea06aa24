"""How far long work has come: a bar in a terminal, and a line now and then where the output is a log."""

import logging
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

logger = logging.getLogger(__name__)

_SECONDS = 20.0  # between two lines in a log; what is done sooner writes none


def progress_bar(what: str, unit: str, *, total: int | None = None, of: Iterable[Any] | None = None) -> tqdm:
    """Returns what shows the progress of work; advance it with `update`, or go through it.

    Args:
        what: is done.
        unit: that is counted, in the singular.
        total: how many there are, where `of` does not say it.
        of: what is gone through.
    """
    if sys.stderr.isatty():
        return tqdm(of, total=total, desc=what, unit=unit)
    given: dict[str, Any] = {"mininterval": _SECONDS, "delay": _SECONDS, "miniters": 1}
    return _Lines(of, total=total, desc=what, unit=unit, leave=False, **given)


class _Lines(tqdm):
    """Writes a line into the log where tqdm would draw its bar anew."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Writes how many are done, how fast, and how long the rest will take; nothing to wipe out a bar."""
        if msg is not None:
            return
        now = self.format_dict
        done, total, rate = now["n"], now["total"], now["rate"]
        said = f"{now['prefix']}: {done:,}" + (f" of {total:,}" if total else "") + f" {now['unit']}s"
        if rate:
            said += f", {rate:.1f} a second"
        if rate and total and done < total:
            said += f", {tqdm.format_interval((total - done) / rate)} left"
        logger.info(said)
