"""What to tell the visitor above the results: what went wrong, or what to know about the file."""

from collections.abc import Sequence

from .templates import render


def problem(message: str) -> str:
    """Returns a notice that something was refused and what to do."""
    return render("notice.html", problem=message)


def file_notes(kind: str, notes: Sequence[str]) -> str:
    """Returns how a file of a kind was read, in sentences; "" where nothing is worth saying."""
    return render("notice.html", problem="", kind=kind, notes=notes).strip()
