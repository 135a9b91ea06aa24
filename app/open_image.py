"""What is answered about an image counts while it is the one that is open."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar
from weakref import ref

from gradio.block_function import BlockFunction
from gradio.state_holder import SessionState

from .uploads import Query

_Handler = TypeVar("_Handler", bound=Callable[..., Any])
_MARK = "about_open_image"
# Of the handler that runs: the images that it was asked about, by the number of the part that holds each. A
# context outlives the handler, and must not hold a visitor's image.
_ASKED: ContextVar[dict[int, ref[Query]]] = ContextVar("asked_about")


def about_open_image(handler: _Handler) -> _Handler:
    """Marks a handler whose answer is not shown if another image was opened meanwhile.

    The page of the other image would otherwise show, for a moment or for good, what is true of the first.
    """
    setattr(handler, _MARK, True)
    return handler


def note_asked(block_fn: BlockFunction, given: Sequence[Any]) -> None:
    """Notes which images a handler is asked about; what it is given is in the order of its inputs."""
    parts = zip(block_fn.inputs, given, strict=False)
    _ASKED.set({part._id: ref(value) for part, value in parts if isinstance(value, Query)})


def still_open(block_fn: BlockFunction, state: SessionState | None) -> bool:
    """Returns whether what a handler answered may be shown."""
    if state is None or not hasattr(block_fn.fn, _MARK):
        return True
    return all(query() is not None and state[number] is query() for number, query in _ASKED.get({}).items())
