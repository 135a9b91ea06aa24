"""The app as a whole: its pages, and the one place where it is launched."""

import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount

from mermed_core.collections.collection import Collection
from mermed_core.errors import MermedError
from mermed_core.inference.own_collection import with_collection
from mermed_core.languages.catalogue import ENGLISH, add_languages, languages
from mermed_core.languages.say import speaking, spoken
from mermed_core.settings import Settings

from . import theme
from .changed_pages import ChangedPages, tells_changes
from .components.header import LanguageLink, header, language_links
from .components.html_parts import static_html
from .components.templates import script
from .explorer import SAFE_LAUNCH, Explorer
from .pages.about import AboutPage
from .pages.answer import MODEL_QUEUE, Shown
from .pages.batch import BatchPage
from .pages.classify import ClassifyPage
from .pages.explore import ExplorePage
from .pages.own_collection import OwnCollectionPage
from .pages.own_head import OwnHeadPage
from .pages.similar import A_CASE, MY_IMAGE, SimilarPage
from .routes.picture_route import picture_route
from .services import Services, begin_warm_up, load_services
from .texts import batch_text, own_collection_text, own_head_text, spoken_text, text
from .upload_limits import UploadLimits
from .uploads import keep_uploads_apart, use_private_folder

logger = logging.getLogger(__name__)

_BUILDING = threading.Lock()  # Gradio remembers in one place for all threads which page is being built
_QUEUE = 32

# A map that nobody looked at yet is not on the page: its tab is opened where the address asks for it.
_OPEN_FROM_ADDRESS = """() => {
  const wanted = Object.entries(%s).find(([start]) => location.hash.startsWith(start))?.[1];
  const isTab = (button) => button.textContent.trim() === wanted;
  if (wanted) [...document.querySelectorAll("[role=tab]")].find(isTab)?.click();
}"""

# On a phone the case that was pressed lies below the inputs of the search, and its way back above it.
_SHOW_CASE = """() => {
  const back = document.querySelector("#similar-back");
  const shown = back?.clientHeight ? back : document.querySelector("#similar-query");
  if (window.innerWidth < 700) shown.scrollIntoView();
}"""


def build_pages(services: Services, first: str) -> list[Explorer]:
    """Builds the page in all languages, one of them first; each leads to the others."""
    codes = sorted(languages(), key=lambda code: code != first)
    return [build_app(services, code, codes) for code in codes]


def following_pages(services: Services, first: str) -> Explorer:
    """Builds the page that shows the pages of `build_pages` over the collections as their folders are now."""

    def build(services: Services) -> FastAPI:
        page, *others = build_pages(services, first)
        return page.mounted(others)

    pages = ChangedPages(services, build)
    with speaking(first), Explorer(title=text.TITLE, analytics_enabled=False) as front:
        front.routes.append(Mount("/", pages))
        front.lives.append(pages.alive())
    return front


def build_app(services: Services, language: str = ENGLISH, served: Sequence[str] = ()) -> Explorer:
    """Builds the pages over one predictor.

    Args:
        services: who answers.
        language: code of the language of all that is said.
        served: codes of the languages that a visitor can change between, that of the first address first.
    """
    with _BUILDING, speaking(language):
        return _build(services, language_links(language, served))


def _build(services: Services, links: Sequence[LanguageLink]) -> Explorer:
    keep_uploads_apart()
    with Explorer(
        title=text.TITLE, analytics_enabled=False, delete_cache=(300, 900), fill_width=True
    ) as blocks:
        query = gr.State(None)  # goes with the visit
        static_html(header(services, links), "header")
        blocks.routes.append(tells_changes(blocks, services))
        first = "classify" if services.own is None else "explore"
        with gr.Tabs(selected=first, overflow_behavior="wrap") as tabs:
            with gr.Tab(text.CLASSIFY, id="classify", render_children=True):
                classify = ClassifyPage(services, query)
            with gr.Tab(text.SIMILAR, id="similar", render_children=True):
                similar = SimilarPage(services, query)
            with gr.Tab(text.EXPLORE, id="explore", elem_id="explore-page", render_children=True):
                explore = ExplorePage(services, query)
            if services.bringing is not None:
                with gr.Tab(own_collection_text.TAB, id="own_collection", render_children=True):
                    blocks.routes.append(_bring(services))
            with gr.Tab(batch_text.TAB, id="batch", render_children=True):
                BatchPage(services)
            with gr.Tab(own_head_text.TAB, id="own_head", render_children=True):
                OwnHeadPage(services, query)
            with gr.Tab(text.ABOUT, id="about"):
                AboutPage(services)
        _open_from_search(classify, similar)
        _search_from_grids(tabs, classify, similar, explore)
        _search_with_part(tabs, classify, similar)
        explore.opens_from_address(tabs)
        blocks.routes.append(picture_route())
        if explore.columns is not None:
            blocks.routes.extend(explore.routes)
        titles = {"#map=": text.EXPLORE, "#explore": text.EXPLORE, "#own": own_collection_text.TAB}
        blocks.load(js=_OPEN_FROM_ADDRESS % json.dumps(titles))
        _help_keys_and_readers(blocks)
    blocks.queue(max_size=_QUEUE, api_open=False)
    return blocks


def _help_keys_and_readers(blocks: Explorer) -> None:
    """Mends for those who go by keys or hear the page what Gradio leaves them without."""
    names = {"words": spoken_text.GRADIO, **spoken_text.PART_NAMES}
    blocks.load(js=f"() => ({script('part_names.js')})({json.dumps(names)})")
    for name in ("announcer.js", "focus_keeper.js", "close_lists.js"):
        blocks.load(js=script(name))
    # The last of all: who drives the page by a program waits for this.
    blocks.load(js="() => { document.documentElement.dataset.listens = ''; }")


def _bring(services: Services) -> BaseRoute:
    """Lays out the page for images of one's own; returns the route of the pages that come of them."""
    bringing, language = services.bringing, spoken().code
    assert bringing is not None

    def build(collection: Collection) -> FastAPI:
        """Builds the pages over a visitor's collection."""
        predictor = with_collection(services.predictor, collection)
        return build_app(Services(predictor, own=bringing.pages.keeps), language).mounted()

    OwnCollectionPage(services.predictor, bringing.pages, build, bringing.folders)
    return bringing.pages.route(build)


def _open_from_search(classify: ClassifyPage, similar: SimilarPage) -> None:
    """Lets a file that is dropped on the search open on every page, and be what is searched with."""

    def handler(path: str | None, chosen: str) -> Shown:
        """Opens an uploaded file on every page."""
        shown = classify.open(path, chosen)
        by = {similar.by: MY_IMAGE} if classify.query in shown else {}
        return {similar.file: None, similar.notice: shown[classify.notice], **by, **shown}

    opened = similar.file.upload(
        handler,
        [similar.file, classify.chosen],
        [similar.file, similar.notice, similar.by, *classify.outputs],
        api_name="similar_upload",
        api_visibility="undocumented",
        concurrency_id=MODEL_QUEUE,
    )
    classify.answer.then_explains(opened, "similar_upload")


def _search_from_grids(
    tabs: gr.Tabs, classify: ClassifyPage, similar: SimilarPage, explore: ExplorePage
) -> None:
    """Lets a case that is pressed anywhere be opened: searched with, and with its heat map."""

    def go(event: gr.EventData) -> dict[gr.Component | gr.Tabs, Any]:
        """Goes to the search with the case that was pressed."""
        return {similar.case: str(event.pick), similar.by: A_CASE, tabs: gr.Tabs(selected="similar")}

    def go_from_map(event: gr.EventData) -> dict[gr.Component | gr.Tabs, Any]:
        """Goes to the search with the case that was pressed on the map, which leads back to it."""
        opened = {similar.back: gr.update(visible=True), similar.inputs: gr.update(open=False)}
        return {**opened, **go(event)}

    def go_from_answer(event: gr.EventData) -> dict[gr.Component | gr.Tabs, Any]:
        """Goes to the search with the case that was pressed beside an answer."""
        return {similar.back: gr.update(visible=False), **go(event)}

    for grid, goes in (
        (classify.answer.comparison, go_from_answer),
        (similar.results, go),
        (explore.cases, go_from_map),
    ):
        if grid is None:
            continue
        gone = grid.select(
            goes,
            None,
            [similar.case, similar.by, similar.back, similar.inputs, tabs],
            api_name="go_to_similar",
            api_visibility="private",
            queue=False,
        )
        found = similar.searches(gone.then, "pressed")
        found.then(None, js=_SHOW_CASE, api_visibility="private")
        similar.case_map.draws_after(found, similar.case)


def _search_with_part(tabs: gr.Tabs, classify: ClassifyPage, similar: SimilarPage) -> None:
    """Lets a part of a known case's picture be searched with: it is opened where regions are drawn."""

    def handler(case_id: str | None, chosen: str) -> dict[gr.Component | gr.Tabs, Any]:
        """Opens the picture of the case that is searched with."""
        shown = classify.open_case(case_id, chosen)
        if classify.query not in shown:
            return {similar.notice: shown[classify.notice]}
        return {tabs: gr.Tabs(selected="classify"), similar.by: MY_IMAGE, **shown}

    opened = similar.part.click(
        handler,
        [similar.case, classify.chosen],
        [tabs, similar.by, similar.notice, *classify.outputs],
        api_name="open_case",
        api_visibility="undocumented",
        concurrency_id=MODEL_QUEUE,
    )
    classify.answer.then_explains(opened, "open_case")


def launch_options(settings: Settings) -> dict[str, Any]:
    """Returns the arguments of `launch`."""
    return {
        **SAFE_LAUNCH,
        "max_file_size": UploadLimits(settings.upload_mb).upload,
        "server_name": settings.host,
        "server_port": settings.port,
        "theme": theme.theme(),
        "css_paths": list(theme.STYLE_SHEETS),
        # Else Gradio gives up where its own first look at the page takes 3 s, as on a machine at work.
        "_frontend": False,
    }


def serve(at: str = "") -> int:
    """Loads the model and serves the app until it is stopped; returns the exit code.

    Args:
        at: end of the address that is said, which opens another tab than the first: "#explore" or "#own".
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for chatty in ("httpx", "faiss"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        settings = Settings.from_environment()
        add_languages(settings.languages)
        use_private_folder(settings.upload_folder)
        options = launch_options(settings)
        services = load_services(settings)
    except MermedError as error:
        return _failed(str(error))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the upload folder is removed then too
    try:
        page = following_pages(services, settings.language)
        begin_warm_up(services.predictor)
        page.launch(prevent_thread_lock=True, **options)
        address = f"http://{settings.host}:{settings.port}{at and '/' + at}"
        logger.info("serving on %s (stop with Ctrl-C)", address)  # not before it answers
        page.block_thread()
    except OSError as error:
        return _failed(f"{error} If another program uses the port, choose one: GRADIO_SERVER_PORT=7861")
    return 0


def _failed(sentence: str) -> int:
    sys.stderr.write(f"error: {sentence}\n")
    return 1
