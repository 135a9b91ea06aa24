"""Where an image is pasted or photographed, and what is said where no camera can be used."""

import gradio as gr

from ..texts import input_text, text
from .html_parts import scripted_html
from .templates import render

# As it is, and not as in a mirror; the camera at a phone's back, where there is one.
_VIDEO = {"facingMode": "environment", "width": {"ideal": 1920}, "height": {"ideal": 1440}}


def camera() -> gr.Image:
    """Lays out both; returns the component whose image is the pasted or photographed one."""
    image = gr.Image(
        sources=["clipboard", "webcam"],
        webcam_options=gr.WebcamOptions(mirror=False, constraints={"video": _VIDEO}),
        type="filepath",
        image_mode=None,
        format="png",
        buttons=[],
        label=text.CAMERA,
        height=220,
        alt_text=text.CAMERA_ALT,
    )
    scripted_html(render("camera.html", i=input_text), "classify-camera-told", "camera.js")
    return image
