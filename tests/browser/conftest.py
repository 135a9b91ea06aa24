"""Chromium, and the page served with some settings."""

import shutil
from collections.abc import Callable, Iterator

import pytest

from app.services import load_services
from app.ui import Explorer, build_pages, launch_options
from app.uploads import FOLDER_VARIABLE
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


@pytest.fixture(scope="session")
def browser() -> Iterator:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served() -> list[Explorer]:
    """The pages that `serve` serves."""
    return []


@pytest.fixture(scope="module")
def serve(
    tmp_path_factory: pytest.TempPathFactory, browser: object, served: list[Explorer]
) -> Iterator[Callable[[Settings], str]]:
    """Serves the page with some settings and returns its address."""

    def start(settings: Settings) -> str:
        blocks, *others = build_pages(load_services(settings), settings.language)
        options = launch_options(settings) | {"server_port": None, "prevent_thread_lock": True}
        served.append(blocks)
        return blocks.launch(others, **options)[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("uploads")))
        yield start
        for blocks in served:
            blocks.close()
