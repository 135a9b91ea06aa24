"""The visitor's picture to look at: windowed in the browser, leafed through, cut; and what the model saw."""

from dataclasses import asdict
from typing import Any

import gradio as gr

from ..routes.picture_route import ADDRESS
from ..study import Study, View
from ..texts import input_text
from .templates import render, script

_SCRIPTS = ("viewer_picture.js", "viewer_gestures.js", "viewer_strip.js", "viewer.js")


def viewer() -> gr.HTML:
    """Returns the component; `submit` carries a view (see `study.view_of`) that the model should see."""
    return gr.HTML(
        None,
        html_template=render("viewer.html", i=input_text),
        js_on_load="\n".join(script(name) for name in _SCRIPTS),
        apply_default_css=False,
        elem_id="classify-viewer",
        label="viewer",
        address=ADDRESS,
        preset_names=input_text.PRESET_NAMES,
        sentences=input_text.VIEWER_SCRIPT,
    )


def viewer_value(study: Study, view: View) -> dict[str, Any]:
    """Returns what the viewer shows: what was opened, and the view of it that the model saw."""
    return {
        "visit": study.visit,
        "stacks": [
            {"name": stack.name, "count": len(stack.pictures), "start": stack.start} for stack in study.stacks
        ],
        "view": asdict(view),
    }
