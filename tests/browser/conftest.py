"""Chromium, and the page served with some settings."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.services import load_services
from app.ui import Explorer, build_pages, launch_options
from app.uploads import FOLDER_VARIABLE
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--no-sandbox",
    "--use-gl=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
DRAWN = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})


@pytest.fixture(scope="session")
def browser() -> Iterator:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Served:
    """Pages that are served.

    Attributes:
        pages: by their addresses.
    """

    def __init__(self) -> None:
        self.pages: dict[str, Explorer] = {}

    def start(self, settings: Settings) -> str:
        blocks, *others = build_pages(load_services(settings), settings.language)
        options = launch_options(settings) | {"server_port": None, "prevent_thread_lock": True}
        address = blocks.launch(others, **options)[1]
        self.pages[address] = blocks
        return address

    def close(self) -> None:
        for blocks in self.pages.values():
            blocks.close()
        self.pages.clear()


@pytest.fixture(scope="session")
def upload_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="session")
def shared() -> Iterator[Served]:
    """The page over the drawn cases, once somebody asked for it: most files look at nothing else."""
    served = Served()
    yield served
    served.close()


@pytest.fixture(scope="module")
def serve(upload_folder: Path, browser: object, shared: Served) -> Iterator[Callable[..., str]]:
    """Serves the page with some settings and returns its address; one that need not be `fresh` is shared."""
    own = Served()

    def start(settings: Settings, fresh: bool = False) -> str:
        if fresh or settings != DRAWN:
            return own.start(settings)
        return next(iter(shared.pages), None) or shared.start(settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(upload_folder))
        yield start
        own.close()
