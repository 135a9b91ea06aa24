"""Images of one's own in Chromium: an archive is dropped, progress is seen, and the new map is walked."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, ViewportSize, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PATIENCE = 120_000  # milliseconds


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    variables = {"MERMED_COLLECTION": str(BUNDLED_COLLECTION), "MERMED_OWN_COLLECTIONS": "1"}
    folder = str(tmp_path_factory.mktemp("allowed"))
    return serve(Settings.from_environment({**variables, "MERMED_FOLDERS": folder}))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "my scans.zip"
    random = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as file:
        for number in range(60):
            pixels = np.clip(random.normal((60, 190)[number % 2], 30, (64, 64, 3)), 0, 255).astype(np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            file.writestr(f"ct/{('dark', 'bright')[number % 2]}/{number}.png", buffer.getvalue())
    return path


@pytest.mark.parametrize("width", [1400, 390])
def test_an_archive_becomes_a_map_with_a_page_of_its_own(browser: Browser, address, archive, width):
    page = browser.new_page(viewport=ViewportSize(width=width, height=900))
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}#own")
    page.locator("#images-start").click()
    page.locator("#images-notice").get_by_text("Drop a ZIP archive or name a folder first.").wait_for()
    page.locator("#images-archive input[type=file]").set_input_files(str(archive))
    page.get_by_text("60 files in my scans.").wait_for()
    page.locator("#images-start").click()
    page.get_by_text(re.compile(r"of 60 images, .* a second")).first.wait_for()
    page.get_by_text("60 images are on the map.").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open the map").click()
    own = opened.value
    own.on("pageerror", lambda error: errors.append(str(error)))
    expect(own.locator(".mm-sentence")).to_have_text("All 60 cases", timeout=PATIENCE)
    expect(own.locator(".mm-header ~ .mm-banner").first).to_contain_text("These are your own images")
    assert own.get_by_role("tab", name="Your images").count() == 0
    own.close()
    page.get_by_role("button", name="Forget these images").click()
    page.get_by_text("all that was made of them are deleted").wait_for()
    page.close()
    assert errors == []


def test_a_kept_collection_is_offered_again_to_its_visitor_alone(
    browser: Browser, serve: Callable[[Settings], str], archive, tmp_path
):
    variables = {"MERMED_COLLECTION": str(BUNDLED_COLLECTION), "MERMED_OWN_COLLECTIONS": "1"}
    address = serve(Settings.from_environment({**variables, "MERMED_KEPT_COLLECTIONS": str(tmp_path)}))
    mine, another = browser.new_context(), browser.new_context()
    page = mine.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}#own")
    page.locator("#images-archive input[type=file]").set_input_files(str(archive))
    page.get_by_text("60 files in my scans.").wait_for()
    page.locator("#images-start").click()
    page.get_by_text("60 images are on the map.").wait_for()
    (folder,) = tmp_path.glob("own-*")
    page.locator("#images-kept a").wait_for()  # at once
    page.goto("about:blank")
    page.goto(f"{address}#own")  # and later
    entry = page.locator("#images-kept li")
    expect(entry).to_have_count(1)
    expect(entry).to_contain_text("60 images, 20")
    other = another.new_page()
    other.goto(f"{address}#own")
    other.locator("#images-start").wait_for()
    expect(other.locator("#images-kept li")).to_have_count(0)
    with mine.expect_page() as opened:
        entry.get_by_role("link", name="my scans").click()
    own = opened.value
    expect(own.locator(".mm-sentence")).to_have_text("All 60 cases", timeout=PATIENCE)
    own.close()
    entry.locator("summary").click()
    entry.get_by_role("button", name="Delete this collection").click()
    expect(entry).to_have_count(0)
    assert not folder.exists()
    mine.close()
    another.close()
