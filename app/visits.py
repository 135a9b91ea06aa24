"""Visits: what the server holds of an open page is forgotten soon after the page is closed.

Gradio keeps the states of a closed page for an hour, and what its components show, pictures of the visitor's
image among it, until as many others have come as it holds.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import gradio as gr
from gradio.state_holder import SessionState

from mermed_core.incidents import record_incident

from .services import VISIT_SECONDS

# A page may come back: a connection breaks, a telephone lets a page sleep.
CLOSED_SECONDS = 120
_SWEEP_SECONDS = 5.0


class Visits:
    """Forgets the visits of a page when they are over.

    A visit is over when its page has been closed and not used for `CLOSED_SECONDS`, or when nobody has used
    it for `VISIT_SECONDS`, whether its page is open or not. A page that is used although its connection was
    lost counts as open.

    Args:
        page: which is visited; it is served by the time of the first sweep.
        clock: local time, as Gradio's.
    """

    def __init__(self, page: gr.Blocks, clock: Callable[[], datetime] = datetime.now) -> None:
        self._page = page
        self._clock = clock
        self._closed: dict[str, datetime] = {}  # when each was first seen closed

    def sweep(self) -> None:
        """Forgets the visits that are over."""
        now, holder = self._clock(), self._page.state_holder
        for visit, held in list(holder.session_data.items()):
            used = holder.time_last_used.get(visit, now)
            if self._is_open(visit, held, used):
                over = used + timedelta(seconds=VISIT_SECONDS)
            else:
                over = self._closed.setdefault(visit, now) + timedelta(seconds=CLOSED_SECONDS)
            if now >= over:
                self.forget(visit)
        self._closed = {visit: at for visit, at in self._closed.items() if visit in holder.session_data}

    def forget(self, visit: str) -> None:
        """Lets go of everything that Gradio holds of one visit, by the name that it has for Gradio."""
        holder = self._page.state_holder
        holder.delete_state(visit)  # calls what the states want called
        with holder.lock:
            holder.session_data.pop(visit, None)
            holder.time_last_used.pop(visit, None)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Sweeps again and again while the page is served; all visits are forgotten when it no longer is."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            for visit in list(self._page.state_holder.session_data):
                self.forget(visit)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                self.sweep()
            except Exception as error:  # one visit that cannot be forgotten must not keep the others
                record_incident(error, "forgetting visits")

    def _is_open(self, visit: str, held: SessionState, used: datetime) -> bool:
        """Whether a visit's page is open, or was used after it seemed to be closed."""
        if held.is_closed and visit in self._closed and used > self._closed[visit]:
            held.is_closed = False
            del self._closed[visit]
        return not held.is_closed
