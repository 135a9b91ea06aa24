"""A collection without pictures in Chromium: drawings that look composed, links that lead home."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mermed_core.collections.folder import changing
from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from .visit import visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
WIDE, PHONE = (1400, 900), (390, 844)
HOME = "https://www.example.org/scans"


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bundled phantoms as if they were a public data set, whose pictures may not be handed on."""
    folder = shutil.copytree(BUNDLED_COLLECTION, tmp_path_factory.mktemp("bare") / "collection")
    facts = {"title": "Scans of a hospital far away", "licence": "CC BY 4.0", "home": HOME}
    with changing(folder) as change:
        bare = [change.segment(part.table(), part.vectors(), None) for part in change.opened.segments]
        stated = change.stated.changed(synthetic=False, sources={"phantom_ct": facts}, segments=tuple(bare))
        change.commit(stated)
    return serve(Settings.from_environment({"MERMED_COLLECTION": str(folder)}))


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    width, height = getattr(request, "param", WIDE)
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    visit(page, address)
    yield page
    page.close()
    assert errors == []


def upload(page: Page, path: Path) -> None:
    page.set_input_files("#classify-file input[type=file]", path)


@pytest.mark.parametrize("page", [WIDE, PHONE], indirect=True, ids=["wide", "phone"])
def test_cases_are_drawn_and_say_where_their_pictures_are(page):
    expect(page.locator(".mm-banner")).to_contain_text("420 known cases, without their pictures")
    upload(page, ASSETS / "examples" / "ct.png")
    card = page.locator("#classify-cases .mm-case").first
    expect(card.locator(".mm-drawing svg")).to_be_visible()
    expect(card).to_contain_text("CC BY 4.0")
    link = card.locator("a")
    expect(link).to_have_attribute("href", HOME)
    expect(link).to_contain_text("Picture at example.org")
    drawn, text = card.locator(".mm-thumb").bounding_box(), card.bounding_box()
    assert drawn
    assert text
    assert abs(drawn["width"] - drawn["height"]) < 2
    assert drawn["width"] <= text["width"]
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_words_of_a_link_stand_out(page, address, theme):
    visit(page, f"{address.rstrip('/')}/?__theme={theme}")
    upload(page, ASSETS / "examples" / "ct.png")
    link = page.locator("#classify-cases .mm-home").first
    expect(link).to_be_visible()
    found = Axe().run(page, context=".mm-home", options={"runOnly": ["wcag2aa"]}).response
    assert found["passes"]
    assert found["violations"] == []


def test_a_link_opens_the_home_page_and_a_card_searches(page):
    upload(page, ASSETS / "examples" / "ct.png")
    card = page.locator("#classify-cases .mm-case").first
    page.context.route("**/*example.org/**", lambda route: route.fulfill(body="home"))
    with page.context.expect_page() as opened:
        card.locator("a").click()
    assert opened.value.url == HOME
    assert opened.value.evaluate("document.referrer") == ""
    opened.value.close()
    expect(page.get_by_role("tab", name="Classify", exact=True)).to_have_attribute("aria-selected", "true")
    card.locator("button").click()
    expect(page.locator(".mm-comparison .mm-drawing")).to_be_visible()
    expect(page.locator(".mm-comparison a")).to_have_attribute("href", HOME)
    page.get_by_role("button", name="Find cases like this one").click()
    expect(page.locator("#similar-query .mm-drawing")).to_be_visible()
    expect(page.locator("#similar-query a")).to_have_attribute("href", HOME)


def test_the_map_draws_a_case_under_the_pointer(page):
    page.get_by_role("tab", name="Explore", exact=True).click()
    expect(page.locator(".mm-map-count")).to_contain_text("420 cases")
    box = page.locator(".mm-map").bounding_box()
    assert box
    x, y = page.evaluate("document.querySelector('.mm-map').map.locate(10)")
    page.mouse.move(box["x"] + x, box["y"] + y)
    expect(page.locator(".mm-tip .mm-drawing")).to_be_visible()
