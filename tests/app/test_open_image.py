"""What a handler says about an image is shown while that image is open."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from app.components.examples import example_path
from app.explorer import Explorer
from app.open_image import about_open_image
from app.uploads import Query, open_upload


@pytest.fixture
def images(services) -> list[Query]:
    return [open_upload(services.predictor, str(example_path(name))) for name in ("ct", "oct")]


def answered(images: list[Query], opens: bool, handler: Any) -> Any:
    """Returns what a page is sent of a handler, while which another image is opened or not."""
    with Explorer() as page:
        state, shown = gr.State(None), gr.HTML()

        def asked(query: Query) -> str:
            if opens:
                session[state._id] = images[1]
            return f"about {query.name}"

        gr.Button().click(handler(asked), state, shown)
    session = SessionState(page)
    session[state._id] = images[0]
    with ThreadPoolExecutor(1) as apart:  # in this thread a browser's loop may run
        return apart.submit(asyncio.run, page.process_api(0, [None], state=session)).result()["data"][0]


def test_an_answer_about_the_image_before_changes_nothing(images):
    nothing = answered(images, False, lambda _: lambda query: gr.skip())
    assert "about" not in str(nothing)
    assert answered(images, True, about_open_image) == nothing


def test_an_answer_about_the_open_image_is_shown(images):
    assert answered(images, False, about_open_image) == f"about {images[0].name}"


def test_of_handlers_that_are_not_marked_every_answer_is_shown(images):
    assert answered(images, True, lambda handler: handler) == f"about {images[0].name}"
