"""Two visitors at once, the browser's storage, the next visit, and no request to another origin."""

import base64
import gc
import io
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app import visits
from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import BrowserContext, Page, Route, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
SETTINGS = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})
# Everything that a page can keep in a browser.
STORED = """async () => {
  const kept = [JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie];
  for (const { name } of await indexedDB.databases()) kept.push("database " + name);
  for (const name of await caches.keys()) kept.push("cache " + name);
  return kept;
}"""


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str]) -> str:
    return serve(SETTINGS)


def picture(folder: Path, modality: str) -> Path:
    """An image that nobody else has, under the name that everybody's image has."""
    pixels = draw_phantom(modality, FINDINGS[modality][0], seed=secrets.randbelow(1000), size=160).pixels
    folder.mkdir()
    Image.fromarray(pixels).save(folder / "scan.png")
    return folder / "scan.png"


def visit(context: BrowserContext, address: str, elsewhere: list[str]) -> Page:
    """Opens the page; what it asks other hosts for is refused and noted."""

    def only_ours(route: Route) -> None:
        if route.request.url.startswith(address):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    context.route("**/*", only_ours)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    page.get_by_role("tab", name="Similar cases", exact=True).click()
    expect(page.locator("#similar-file")).to_be_visible()
    return page


def held(pixels: np.ndarray, *files: bytes) -> set[str]:
    """Returns the kinds of everything in this process, which serves the page, that holds an image.

    Args:
        pixels: of the image; what has its height and width holds it.
        files: that it is in; a part of each is sought, as it is and in base64.
    """
    parts = [data[(third := len(data) // 6 * 3) : third + 48] for data in files]
    coded = [base64.b64encode(part) for part in parts]
    texts = [code.decode() for code in coded]
    mine = {id(each) for each in (pixels, *files, *parts, *coded, *texts)}
    gc.collect()
    frames = [frame.f_locals for frame in sys._current_frames().values() if frame is not sys._getframe()]
    found = set()
    for holder in [*frames, *gc.get_objects()]:
        for each in gc.get_referents(holder):
            kind = type(each)  # asking the thing itself makes some warn
            if issubclass(kind, np.ndarray):
                match = pixels.shape[:2] in (each.shape[:2], each.shape[-2:])
            elif issubclass(kind, bytes):
                match = any(part in each for part in (*parts, *coded))
            else:
                match = issubclass(kind, str) and any(part in each for part in texts)
            if match and id(each) not in mine:
                found.add(f"{kind.__name__} of a {type(holder).__name__}")
    return found


def shown(page: Page) -> bytes:
    """Returns the file of the image that the search shows as the visitor's."""
    page.get_by_role("tab", name="Similar cases", exact=True).click()
    uri = page.locator("#similar-query img").get_attribute("src") or ""
    return bytes(
        page.evaluate("async (uri) => [...new Uint8Array(await (await fetch(uri)).arrayBuffer())]", uri)
    )


def pixels_of(file: io.BytesIO | Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def test_two_visitors_at_once_see_their_own_image_and_nothing_stays(browser, address, tmp_path):
    elsewhere: list[str] = []
    sent = [picture(tmp_path / modality, modality) for modality in ("fundus", "oct")]
    contexts = [browser.new_context() for _ in sent]
    pages = [visit(context, address, elsewhere) for context in contexts]
    for page, path in zip(pages, sent, strict=True):  # neither waits for the other's answer
        page.set_input_files("#similar-file input[type=file]", path)
    for page, path, name in zip(pages, sent, ("Colour fundus", "OCT"), strict=True):
        page.get_by_role("tab", name="Classify", exact=True).click()
        expect(page.locator("#classify-modality .mm-headline")).to_contain_text(name)
        assert np.array_equal(pixels_of(io.BytesIO(shown(page))), pixels_of(path))
    for page in pages:
        kept = " ".join(page.evaluate(STORED))
        assert "scan.png" not in kept
        assert "data:image" not in kept
        assert "database" not in kept
        assert "cache" not in kept
        assert len(kept) < 2000
    again = contexts[0].new_page()  # the next visit, in the same browser
    again.goto(address)
    expect(again.locator("#classify-figure")).to_contain_text("Your image appears here")
    assert "data:image/png" not in again.locator("#classify-figure").inner_html()
    for context in contexts:
        context.close()
    assert elsewhere == []


def test_the_same_file_in_the_same_second_is_answered_twice(browser, address, tmp_path):
    path = picture(tmp_path / "same", "ct")
    elsewhere: list[str] = []
    contexts = [browser.new_context() for _ in range(2)]
    pages = [visit(context, address, elsewhere) for context in contexts]
    for page in pages:
        page.set_input_files("#similar-file input[type=file]", path)
    for page in pages:
        expect(page.locator("#similar-query img")).to_have_count(1)
        expect(page.locator("#similar-results .mm-case")).to_have_count(12)
    for context in contexts:
        context.close()
    assert elsewhere == []


def test_when_the_page_is_closed_nothing_holds_the_image(browser, address, shared, tmp_path, monkeypatch):
    monkeypatch.setattr(visits, "CLOSED_SECONDS", 0)
    noise = np.random.default_rng(0).integers(0, 256, (211, 307, 3), dtype=np.uint8)
    path = tmp_path / "scan.png"
    Image.fromarray(noise).save(path)
    elsewhere: list[str] = []
    visited = shared.pages[address].state_holder.session_data
    earlier = set(visited)
    context = browser.new_context()
    page = visit(context, address, elsewhere)
    page.set_input_files("#similar-file input[type=file]", path)
    expect(page.locator("#similar-query img")).to_have_count(1)
    page.get_by_role("tab", name="Classify", exact=True).click()
    expect(page.locator("#classify-figure .mm-figure img").first).to_be_visible()
    files = [path.read_bytes(), shown(page)]
    found = {each.partition(" ")[0] for each in held(noise, *files)}
    assert {"ndarray", "bytes"} <= found
    mine = set(visited) - earlier
    assert mine
    other = visit(browser.new_context(), address, elsewhere)  # somebody else is still there
    context.close()
    for _ in range(1000):
        if mine.isdisjoint(visited):
            break
        other.wait_for_timeout(50)
    assert held(noise, *files) == set()
    other.context.close()
