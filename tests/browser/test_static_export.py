"""The exported page in Chromium, from a disk and without a network: it walks as the served one does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.static_export import write_static
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_COLLECTION

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "page"
    write_static(folder, load_collection(BUNDLED_COLLECTION))
    return folder


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(offline=True, viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def test_map_pictures_table_and_search_need_no_server(page, folder):
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((folder / "index.html").as_uri())
    expect(page.locator(".mm-sentence")).to_have_text("All 420 cases")
    assert page.evaluate("document.querySelector('.mm-map').map.count") == 420
    expect(page.locator(".mm-cell img").first).to_be_visible()
    assert page.locator(".mm-cell img").first.evaluate("image => image.naturalWidth") > 50
    page.locator(".mm-legend button", has_text="CT").first.click()
    expect(page.locator(".mm-sentence")).to_have_text("CT, 60 of 420")
    page.locator(".mm-find").fill("nodule")
    expect(page.locator(".mm-sentence")).to_contain_text("30 of 420")
    page.locator("#colour").select_option(label="Label")
    expect(page.locator(".mm-legend")).to_contain_text("Synthetic nodule")
    page.locator(".mm-cell").first.click()
    expect(page.locator("#case")).to_contain_text("phantom_ct/")
    expect(page.locator("#case > .mm-thumb img")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("[data-panel=list]").click()
    expect(page.locator(".mm-list-row").first).to_contain_text("phantom_ct")
    expect(page.locator("#broken")).to_be_hidden()
    assert errors == []
    address = page.url
    assert "*kt" in address  # the address holds the view here too
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator(".mm-sentence")).to_contain_text("30 of 420")


def test_one_press_on_a_point_opens_its_case_and_escape_leads_back(page, folder):
    page.goto((folder / "index.html").as_uri())
    page.locator(".mm-legend button", has_text="CT").first.click()
    expect(page.locator(".mm-sentence")).to_have_text("CT, 60 of 420")
    place = "() => document.querySelector('.mm-map').map.locate(10)"
    box = page.locator(".mm-map").bounding_box()
    assert box
    x, y = page.evaluate(place)
    page.mouse.click(box["x"] + x, box["y"] + y)
    expect(page.locator("#case > .mm-thumb img")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#case")).to_be_hidden()
    expect(page.locator(".mm-map")).to_be_focused()
    expect(page.locator(".mm-opened")).to_be_visible()
    expect(page.locator(".mm-sentence")).to_have_text("CT, 60 of 420")


def test_an_opened_case_shows_its_nearest_cases_and_a_press_opens_one(page, folder):
    page.goto((folder / "index.html").as_uri())
    page.locator(".mm-cell").first.click()
    near = page.locator("#case .mm-near button")
    expect(near).to_have_count(8)
    expect(page.locator("#case h2")).to_have_text("Nearest cases of other patients")
    for picture in near.locator("img").all():
        assert picture.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 50
    first = page.locator("#case dd").first.inner_text()
    other = near.nth(2).get_attribute("title")
    assert other
    near.nth(2).click()
    expect(page.locator("#case dd").first).not_to_have_text(first)
    assert page.locator("#case dd").first.inner_text() in other
    page.keyboard.press("Escape")
    expect(page.locator("#case")).to_be_hidden()


@pytest.mark.parametrize(
    "name", ["data/nearest.js", "data/column_2.js", "data/records_0.js", "data/places.js", "data/props.js"]
)
def test_a_missing_file_is_said_loudly(page, folder, name):
    missing = folder / name
    content = missing.read_bytes()
    missing.unlink()
    try:
        page.goto((folder / "index.html").as_uri())
        expect(page.locator("#broken")).to_contain_text(name)
    finally:
        missing.write_bytes(content)


@pytest.mark.parametrize("kept", [0, 0.5], ids=["missing", "cut off"])
@pytest.mark.parametrize("name", ["explorer.js", "style.css"])
def test_a_page_without_its_script_or_style_says_so(page, folder, name, kept):
    place = (folder / "index.html").as_uri()
    page.goto(place)
    expect(page.locator(".mm-sentence")).to_have_text("All 420 cases")
    notice = page.get_by_text(f"the file {name} is missing")
    expect(notice).to_be_hidden()
    missing = folder / name
    content = missing.read_bytes()
    missing.unlink()
    if kept:
        missing.write_bytes(content[: int(kept * len(content))])
    try:
        page.goto(place)
        expect(notice).to_be_visible()
    finally:
        missing.write_bytes(content)


def test_a_missing_picture_is_said_loudly(page, folder):
    page.goto((folder / "index.html").as_uri())
    expect(page.locator(".mm-cell img").first).to_be_visible()
    pictures = folder / "pictures"
    hidden = pictures.rename(folder / "elsewhere")
    try:
        page.locator(".mm-pictures-grid").evaluate("box => box.scrollTo(0, box.scrollHeight)")
        expect(page.locator("#broken")).to_contain_text("pictures/0/")
    finally:
        hidden.rename(pictures)


def test_a_damaged_file_is_said_loudly(page, folder):
    damaged = folder / "data" / "column_0.js"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    try:
        page.goto((folder / "index.html").as_uri())
        expect(page.locator("#broken")).to_contain_text("data/column_0.js")
    finally:
        damaged.write_bytes(content)
