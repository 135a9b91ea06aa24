"""The page as Gradio serves it: nothing of its visitors is kept, and it has addresses of its own."""

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

from mermed_core.errors import MermedError
from mermed_core.incidents import record_incident
from mermed_core.languages.say import in_readers_words, speaking, spoken

from . import theme
from .open_image import note_asked, still_open
from .speaking import Speaking
from .texts import text
from .upload_limits import upload_limits
from .visits import Visits

_VISITS = 100

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
        lives: what is alive while the page is served.
        visits: forgets what those who have the page open brought.
        language: the code of the language that the page is built and answers in.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.routes: list[BaseRoute] = []
        self.lives: list[AbstractAsyncContextManager[None]] = []
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

    def mounted(self, others: Sequence["Explorer"] = ()) -> FastAPI:
        """Returns the page as an app that another one serves below an address of its own.

        Args:
            others: as for `launch`.
        """
        self.state_session_capacity = _VISITS
        options = {name: SAFE_LAUNCH[name] for name in _SAFE_MOUNT}
        looks = {"theme": theme.theme(), "css_paths": list(theme.STYLE_SHEETS)}
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        apps = {page.language: page.mounted() for page in others}
        self.routes += [Mount(f"/{code}", other) for code, other in apps.items()]
        size = upload_limits().upload
        gr.mount_gradio_app(app, self, "/", max_file_size=size, **self._served(), **looks, **options)
        alive = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
            async with alive(app) as state, self._alive(*apps.values())(app):
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
                for life in (self.visits.watched(), *self.lives):
                    await stack.enter_async_context(life)
                for app in others:
                    await stack.enter_async_context(app.router.lifespan_context(app))
                yield

        return lifespan

    async def process_api(self, block_fn: BlockFunction | int, *given: Any, **named: Any) -> dict[str, Any]:
        """Runs a handler; whatever it raises reaches the visitor as a sentence, without trace or path."""
        with speaking(self.language):
            return await self._process(block_fn, *given, **named)

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """Reads what a handler is given from the page's parts."""
        given = await super().preprocess_data(block_fn, inputs, state, explicit_call)
        note_asked(block_fn, given)
        return given

    async def postprocess_data(self, block_fn: BlockFunction, predictions: Any, state: Any) -> list[Any]:
        """Writes what a handler returned into the page's parts.

        One that has several and names none of them, {}, changes nothing; Gradio would take it for a mistake.
        Nor does an answer about an image that is no longer open.
        """
        nothing = len(block_fn.outputs) > 1 and isinstance(predictions, dict) and not predictions
        nothing = nothing or not still_open(block_fn, state)
        return await super().postprocess_data(block_fn, gr.skip() if nothing else predictions, state)

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
            # Stays until it is closed: the number is to be passed on.
            raise gr.Error(text.unexpected(number), duration=None, print_exception=False) from None


def _let_go() -> None:
    """Makes FastAPI let go of apps that are no longer served.

    It remembers of some thousands of functions whether they are coroutines, and by those that answer a
    page's requests the page itself: 4 MB each and all that it holds.
    """
    for remembers in vars(fastapi.dependencies.models).values():
        if hasattr(remembers, "cache_clear"):
            remembers.cache_clear()
