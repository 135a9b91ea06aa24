"""HTML parts of the page: plain ones, and ones with buttons that send a name to the server."""

import gradio as gr

from ..theme import script


def plain(value: str, elem_id: str) -> gr.HTML:
    """Returns a part that only shows."""
    return gr.HTML(value, label=_label(elem_id), js_on_load=None, apply_default_css=False, elem_id=elem_id)


def picking(value: str, script_name: str, elem_id: str) -> gr.HTML:
    """Returns a part with a script; with pick.js, `select` carries the `data-pick` of the pressed button."""
    return gr.HTML(
        value,
        label=_label(elem_id),
        js_on_load=script(script_name),
        apply_default_css=False,
        elem_id=elem_id,
    )


def picked(event: gr.EventData) -> str:
    """Returns the name on the button that was pressed."""
    return str(event.pick)


def _label(elem_id: str) -> str:
    """Returns the name that programs see; the page shows none."""
    return elem_id.rpartition("-")[2]
