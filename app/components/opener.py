"""Where a visitor's files come in: chosen, dropped, pasted, a folder, a ZIP or a whole study."""

from typing import Any

import gradio as gr

from mermed_core.imaging.archives import ARCHIVE_LIMITS

from ..texts import input_text
from ..upload_limits import upload_limits
from .templates import render, script


def opener() -> gr.HTML:
    """Returns the component; `upload` carries where the server keeps the files that were sent (`paths`)."""
    return gr.HTML(
        None,
        html_template=render("opener.html", i=input_text),
        js_on_load=script("opener.js"),
        apply_default_css=False,
        elem_id="classify-file",
        label="opener",
        most_files=ARCHIVE_LIMITS.max_files,
        most_bytes=upload_limits().bytes,
        sentences=input_text.OPENER_SCRIPT
        | {"large": input_text.too_large_to_send(upload_limits().megabytes)},
    )


def sent_paths(data: Any) -> list[str]:
    """Returns the paths that the component sent; none where it sent anything else."""
    return [path for path in data if isinstance(path, str)] if isinstance(data, list) else []
