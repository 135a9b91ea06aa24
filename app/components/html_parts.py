"""HTML as parts of the page: still, with a script, or with buttons that send a name to the server."""

import itertools

import gradio as gr

from .templates import script as script_file

_NUMBERS = itertools.count()


def fresh_number() -> int:
    """Returns a number, for what is a change for the browser even where it reads as what was there before."""
    return next(_NUMBERS)


def static_html(value: str, elem_id: str) -> gr.HTML:
    """Returns a part that only shows."""
    return gr.HTML(value, label=_label(elem_id), js_on_load=None, apply_default_css=False, elem_id=elem_id)


def scripted_html(value: str, elem_id: str, script: str) -> gr.HTML:
    """Returns a part with a script beside it."""
    return gr.HTML(
        value,
        label=_label(elem_id),
        js_on_load=script_file(script),
        apply_default_css=False,
        elem_id=elem_id,
    )


def clickable_html(value: str, elem_id: str) -> gr.HTML:
    """Returns a part whose `select` event carries the `data-pick` of the button that was pressed."""
    return scripted_html(value, elem_id, "html_parts.js")


def asked(elem_id: str) -> str:
    """Returns a script for an event that takes what a part asked for last, `data-asked`, as its last input.

    Gradio keeps no event that comes while it is busy with one of the same kind: it sends that one again. The
    script is run when something is sent, and so reads what was asked for meanwhile.
    """
    return script_file("asked.js") % f"#{elem_id}"


def picked_name(event: gr.EventData) -> str:
    """Returns the name on the button that was pressed."""
    return str(event.pick)


def _label(elem_id: str) -> str:
    """Returns the name that programs see; the page shows none."""
    return elem_id.rpartition("-")[2]
