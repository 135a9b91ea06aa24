"""The app as a whole: its pages, and the one place where it is launched."""

import json
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import fastapi.dependencies.models
import gradio as gr
from fastapi import FastAPI
from gradio.block_function import BlockFunction
from gradio.routes import App
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount

from mermed_core.collections.collection import Collection
from mermed_core.collections.folder import Watched
from mermed_core.errors import MermedError
from mermed_core.incidents import record_incident
from mermed_core.inference.own_collection import with_collection
from mermed_core.languages.catalogue import ENGLISH, add_languages, languages
from mermed_core.languages.say import in_readers_words, speaking, spoken
from mermed_core.settings import Settings

from . import theme
from .components.header import LanguageLink, changed_banner, header, language_links
from .components.html_parts import static_html
from .components.templates import script
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
from .speaking import Speaking
from .texts import batch_text, own_collection_text, own_head_text, spoken_text, text
from .upload_limits import UploadLimits, upload_limits
from .uploads import keep_uploads_apart, use_private_folder
from .visits import Visits

logger = logging.getLogger(__name__)

_VISITS = 100
_QUEUE = 32

# What keeps a visitor's images from being kept, sent or shown to others, and errors from revealing paths.
SAFE_LAUNCH: dict[str, Any] = {
    "run_history": False,
    "enable_monitoring": False,
    "footer_links": [],
    "show_error": False,
    "share": False,
    "state_session_capacity": _VISITS,
    "ssr_mode": False,
    "pwa": False,
    "mcp_server": False,
    "quiet": True,  # it would suggest a public link
}


# Those of them that a page has which another page serves below an address of its own.
_SAFE_MOUNT = ("run_history", "enable_monitoring", "footer_links", "show_error")
_SAFE_MOUNT += ("ssr_mode", "pwa", "mcp_server")


class Explorer(gr.Blocks):
    """The page, served with addresses of its own beside Gradio's; an error that nobody foresaw gets a number.

    Attributes:
        routes: the addresses; anybody who may open the page may open them.
        visits: forgets what those who have the page open brought.
        language: the code of the language that the page is built and answers in.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.routes: list[BaseRoute] = []
        self.visits = Visits(self)
        self.language = spoken().code

    def launch(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, others: Sequence["Explorer"] = (), **options: Any
    ) -> tuple[App, str, str | None]:
        """Serves the page, and others below the codes of their languages.

        Args:
            others: the page in other languages.
            options: those of `gr.Blocks.launch`.
        """
        apps = {page.language: page.mounted() for page in others}
        mounts = [Mount(f"/{code}", app) for code, app in apps.items()]
        served = self._served()
        served["app_kwargs"] |= {"routes": [*mounts, *self.routes], "lifespan": self._alive(*apps.values())}
        return super().launch(**served, **options)

    def mounted(self) -> FastAPI:
        """Returns the page as an app that another one serves below an address of its own."""
        self.state_session_capacity = _VISITS
        options = {name: SAFE_LAUNCH[name] for name in _SAFE_MOUNT}
        looks = {"theme": theme.theme(), "css_paths": list(theme.STYLE_SHEETS)}
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        size = upload_limits().upload
        gr.mount_gradio_app(app, self, "/", max_file_size=size, **self._served(), **looks, **options)
        alive = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
            async with alive(app) as state, self.visits.watched():
                yield state
            self.close(verbose=False)  # else its queue would go on, and hold the page and what it shows

        app.router.lifespan_context = lifespan
        return app

    def close(self, verbose: bool = True) -> None:
        """Ends the page, and lets go of it."""
        super().close(verbose=verbose)
        _let_go()

    def _served(self) -> dict[str, Any]:
        speaks = Middleware(Speaking, self.language)
        return {"app_kwargs": {"routes": self.routes, "middleware": [speaks]}}

    def _alive(self, *others: FastAPI) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
        """Returns the life of the page's app, during which others are alive, which are mounted in it."""

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self.visits.watched())
                for app in others:
                    await stack.enter_async_context(app.router.lifespan_context(app))
                yield

        return lifespan

    async def process_api(self, block_fn: BlockFunction | int, *given: Any, **named: Any) -> dict[str, Any]:
        """Runs a handler; whatever it raises reaches the visitor as a sentence, without trace or path."""
        with speaking(self.language):
            return await self._process(block_fn, *given, **named)

    async def _process(self, block_fn: BlockFunction | int, *given: Any, **named: Any) -> dict[str, Any]:
        try:
            return await super().process_api(block_fn, *given, **named)
        except gr.Error:
            raise
        except MermedError as error:
            raise gr.Error(in_readers_words(str(error)), print_exception=False) from None
        except Exception as error:
            handler = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
            number = record_incident(error, str(handler.api_name))
            raise gr.Error(text.unexpected(number), print_exception=False) from None


# A map that nobody looked at yet is not on the page: its tab is opened where the address asks for it.
_OPEN_FROM_ADDRESS = """() => {
  const wanted = Object.entries(%s).find(([start]) => location.hash.startsWith(start))?.[1];
  const isTab = (button) => button.textContent.trim() === wanted;
  if (wanted) [...document.querySelectorAll("[role=tab]")].find(isTab)?.click();
}"""

# On a phone the case that was pressed lies below the inputs of the search.
_SHOW_CASE = """() => {
  if (window.innerWidth < 700) document.querySelector("#similar-query").scrollIntoView();
}"""


def _let_go() -> None:
    """Makes FastAPI let go of apps that are no longer served.

    It remembers of some thousands of functions whether they are coroutines, and by those that answer a
    page's requests the page itself: 4 MB each and all that it holds.
    """
    for remembers in vars(fastapi.dependencies.models).values():
        if hasattr(remembers, "cache_clear"):
            remembers.cache_clear()


def build_pages(services: Services, first: str) -> list[Explorer]:
    """Builds the page in all languages, one of them first; each leads to the others."""
    codes = sorted(languages(), key=lambda code: code != first)
    return [build_app(services, code, codes) for code in codes]


def build_app(services: Services, language: str = ENGLISH, served: Sequence[str] = ()) -> Explorer:
    """Builds the pages over one predictor.

    Args:
        services: who answers.
        language: code of the language of all that is said.
        served: codes of the languages that a visitor can change between, that of the first address first.
    """
    with speaking(language):
        return _build(services, language_links(language, served))


def _build(services: Services, links: Sequence[LanguageLink]) -> Explorer:
    keep_uploads_apart()
    with Explorer(
        title=text.TITLE, analytics_enabled=False, delete_cache=(300, 900), fill_width=True
    ) as blocks:
        query = gr.State(None)  # goes with the visit
        static_html(header(services, links), "header")
        if services.watched is not None:
            _tells_changes(blocks, services.watched)
        first = "classify" if services.own is None else "explore"
        with gr.Tabs(selected=first, overflow_behavior="wrap") as tabs:
            with gr.Tab(text.CLASSIFY, id="classify", render_children=True):
                classify = ClassifyPage(services, query)
            with gr.Tab(text.SIMILAR, id="similar", render_children=True):
                similar = SimilarPage(services, query)
            with gr.Tab(text.EXPLORE, id="explore", render_children=True):
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


def _tells_changes(blocks: gr.Blocks, watched: Watched) -> None:
    """Tells whoever opens the page that the collection's folder is not what is shown any more."""
    said = static_html(changed_banner(), "collection-changed")
    said.visible = False  # takes no room

    def changes() -> dict[str, Any]:
        return gr.update(visible=watched.changed)

    blocks.load(changes, None, said, queue=False, show_progress="hidden", api_visibility="private")


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
    """Lets a case that is pressed anywhere be searched with."""

    def go(event: gr.EventData) -> dict[gr.Component | gr.Tabs, Any]:
        """Goes to the search with the case that was pressed."""
        return {similar.case: str(event.pick), similar.by: A_CASE, tabs: gr.Tabs(selected="similar")}

    for grid in (classify.answer.comparison, similar.results, explore.cases):
        if grid is None:
            continue
        gone = grid.select(
            go,
            None,
            [similar.case, similar.by, tabs],
            api_name="go_to_similar",
            api_visibility="private",
            queue=False,
        )
        found = similar.searches(gone.then, "pressed")
        found.then(None, js=_SHOW_CASE, api_visibility="private")


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
        page, *others = build_pages(services, settings.language)
        begin_warm_up(services.predictor)
        page.launch(others, prevent_thread_lock=True, **options)
        address = f"http://{settings.host}:{settings.port}{at and '/' + at}"
        logger.info("serving on %s (stop with Ctrl-C)", address)  # not before it answers
        page.block_thread()
    except OSError as error:
        return _failed(f"{error} If another program uses the port, choose one: GRADIO_SERVER_PORT=7861")
    return 0


def _failed(sentence: str) -> int:
    sys.stderr.write(f"error: {sentence}\n")
    return 1
