"""A page that is open while a command removes a case: it says so, and a press shows what is there now."""

import re
import shutil

import pytest

from app.services import load_services
from app.texts import text
from app.ui import following_pages, launch_options
from app.uploads import FOLDER_VARIABLE
from mermed_core.collections.changes import remove_cases
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

playwright = pytest.importorskip("playwright.sync_api")
_PATIENCE = 90_000  # ms; the page is built anew on a machine that has much else to do


@pytest.fixture
def page(browser):
    page = browser.new_page()
    yield page
    page.close()


def test_an_open_page_says_that_its_collection_was_changed_and_is_opened_anew_by_a_press(
    page, tmp_path, upload_folder, monkeypatch
):
    monkeypatch.setenv(FOLDER_VARIABLE, str(upload_folder))
    folder = shutil.copytree(BUNDLED_COLLECTION, tmp_path / "collection")
    settings = Settings.from_environment({"MERMED_COLLECTION": str(folder)})
    front = following_pages(load_services(settings), "en")
    options = launch_options(settings) | {"server_port": None, "prevent_thread_lock": True}
    address = front.launch(**options)[1]
    try:
        page.goto(address)
        banner = page.locator(".mm-banner", has_text="420 computer-drawn cases")
        playwright.expect(banner).to_be_visible(timeout=_PATIENCE)
        assert not page.locator(".mm-changed").is_visible()
        remove_cases(folder, cases=[load_collection(folder).cases["case_id"].iloc[0]])
        changed = page.locator(".mm-changed")
        said = re.compile(re.escape(text.COLLECTION_CHANGED))
        playwright.expect(changed).to_have_text(said, timeout=_PATIENCE)
        changed.get_by_role("button", name=text.RELOAD).click()
        banner = page.locator(".mm-banner", has_text="419 computer-drawn cases")
        playwright.expect(banner).to_be_visible(timeout=_PATIENCE)
        assert not page.locator(".mm-changed").is_visible()
    finally:
        front.close()
