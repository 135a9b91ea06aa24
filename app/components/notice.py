"""What to tell the visitor above the results: what went wrong, or what to know about the file."""

from collections.abc import Sequence

import gradio as gr

from ..texts import text
from .html_parts import fresh_number, scripted_html
from .templates import render


def notice(elem_id: str) -> gr.HTML:
    """Returns the component, empty; a problem that is written into it comes into view."""
    return scripted_html("", elem_id, "notice.js")


def problem(message: str, before: str = "") -> str:
    """Returns a notice that something was refused and what to do.

    Args:
        message: what is wrong, and what to do.
        before: said as well where an image is open already: that the answer shown is not of what was refused.
    """
    return render("notice.html", problem=message, before=before, number=fresh_number())


def search_in_part(recall: float) -> str:
    """Returns that not every nearest case is found, but a share of them, 0..1."""
    found = f"{int(recall * 1000) / 10:g} %"  # rounded down: what is promised is kept
    return file_notes("", [text.SEARCHED_IN_PART.format(found=found)])


def file_notes(kind: str, notes: Sequence[str]) -> str:
    """Returns how a file of a kind was read, in sentences; "" where nothing is worth saying."""
    return render("notice.html", problem="", kind=kind, notes=notes, number=fresh_number()).strip()
