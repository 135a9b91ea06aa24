"""The app as a whole: four pages, and the one place where it is launched."""

import logging
import os
import signal
import sys
from typing import Any

import gradio as gr

from mermed_core.errors import MermedError

from . import theme as style
from .components.clickable_html import picked, plain
from .components.header import header
from .pages.about import AboutPage
from .pages.classify import ClassifyPage
from .pages.explore import ExplorePage
from .pages.similar import A_CASE, MY_IMAGE, SimilarPage
from .services import Services, load_services
from .uploads import keep_uploads_apart, use_private_folder

logger = logging.getLogger(__name__)

MAX_UPLOAD = "100mb"
_VISIT_SECONDS = 1800
_VISITS = 100
_QUEUE = 32

# What keeps a visitor's images from being kept, sent or shown to others, and errors from telling paths.
SAFE_LAUNCH: dict[str, Any] = {
    "run_history": False,
    "enable_monitoring": False,
    "footer_links": [],
    "max_file_size": MAX_UPLOAD,
    "show_error": False,
    "share": False,
    "state_session_capacity": _VISITS,
    "ssr_mode": False,
    "pwa": False,
    "mcp_server": False,
    "quiet": True,  # it would suggest a public link
}


def build_app(services: Services) -> gr.Blocks:
    """Builds the four pages over one predictor."""
    keep_uploads_apart()
    with gr.Blocks(
        title="MerMED-FM Explorer", analytics_enabled=False, delete_cache=(300, 900), fill_width=True
    ) as blocks:
        query = gr.State(None, time_to_live=_VISIT_SECONDS)
        plain(header(services), "header")
        with gr.Tabs(selected="classify") as tabs:
            with gr.Tab("Classify", id="classify", render_children=True):
                classify = ClassifyPage(services, query)
            with gr.Tab("Similar cases", id="similar", render_children=True):
                similar = SimilarPage(services, query)
            with gr.Tab("Explore", id="explore", render_children=True):
                explore = ExplorePage(services, classify.point)
            with gr.Tab("About", id="about"):
                AboutPage(services)
        _join(tabs, classify, similar, explore)
    return blocks.queue(max_size=_QUEUE, api_open=False)


def _join(tabs: gr.Tabs, classify: ClassifyPage, similar: SimilarPage, explore: ExplorePage) -> None:
    """Lets pages lead to each other: a file opens on all of them, a case that is pressed is searched."""
    opened = classify.opens(similar.file, similar.file.upload, "similar_upload")
    mine = opened.then(
        lambda: MY_IMAGE, None, similar.by, api_name="with_image", api_visibility="private", queue=False
    )
    similar.searches(mine.then, "upload")
    similar.searches(classify.point.change, "image")
    for grid in (classify.cases, similar.results, explore.cases):
        if grid is None:
            continue
        gone = grid.select(
            picked, None, similar.case, api_name="pick_case", api_visibility="private", queue=False
        ).then(
            lambda: (gr.Tabs(selected="similar"), A_CASE),
            None,
            [tabs, similar.by],
            api_name="go_to_similar",
            api_visibility="private",
            queue=False,
        )
        similar.searches(gone.then, "pressed")


def launch_options(environment: os._Environ[str] | dict[str, str]) -> dict[str, Any]:
    """Returns the arguments of `launch`: for this machine only, unless told otherwise or on Spaces."""
    everywhere = "0.0.0.0" if environment.get("SPACE_ID") else "127.0.0.1"
    return {
        **SAFE_LAUNCH,
        "server_name": environment.get("GRADIO_SERVER_NAME") or everywhere,
        "server_port": _port(environment.get("GRADIO_SERVER_PORT") or "7860"),
        "theme": style.theme(),
        "css_paths": style.STYLE_SHEET,
    }


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise ValueError(f"GRADIO_SERVER_PORT is '{text}'; it must be a number from 1 to 65535.")
    return int(text)


def serve() -> int:
    """Loads the model and serves the app until it is stopped; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for chatty in ("httpx", "faiss"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    use_private_folder()
    try:
        options = launch_options(os.environ)
        services = load_services()
    except (MermedError, ValueError) as error:
        return _failed(str(error))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the upload folder is removed then too
    logger.info("serving on http://%s:%d (stop with Ctrl-C)", options["server_name"], options["server_port"])
    try:
        build_app(services).launch(**options)
    except OSError as error:
        return _failed(f"{error} If another program uses the port, choose one: make app PORT=7861")
    return 0


def _failed(sentence: str) -> int:
    sys.stderr.write(f"error: {sentence}\n")
    return 1
