"""What is said fits its room, in English and German, on a wide screen and on a phone."""

from collections.abc import Callable, Iterator

import pytest

from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
BEYOND = """() => [...document.querySelectorAll("#classify-first *")]
    .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth + 0.5)
    .map((each) => `${each.tagName}.${each.className}`)"""
# Bars of kinds that are seen in part, and how much room below the last one is left.
KINDS = """() => {
    const list = document.querySelector(".mm-kinds"), [top, bottom] = ["top", "bottom"].map(
        (side) => list.firstElementChild.getBoundingClientRect()[side]);
    const bars = [...list.querySelectorAll(".mm-bar")].map((each) => each.getBoundingClientRect());
    return {
        whole: bars.filter((bar) => bar.top >= top - 1 && bar.bottom <= bottom + 1).length,
        part: bars.filter((bar) => bar.top < bottom - 1 && bar.bottom > bottom + 1).length,
        room: list.closest(".mm-card").getBoundingClientRect().bottom - bottom,
    };
}"""


@pytest.fixture(params=["", "de/"], ids=["english", "german"])
def language(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[(1400, 900), (390, 844)], ids=["wide", "phone"])
def page(
    request: pytest.FixtureRequest, browser: Browser, serve: Callable[[Settings], str], language: str
) -> Iterator[Page]:
    width, height = request.param
    address = serve(Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)}))
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    page.goto(f"{address}{language}")
    page.locator("#classify-examples button").nth(1).click()
    expect(page.locator("#classify-second-look section")).to_be_visible()
    yield page
    page.close()


def test_what_is_said_fits_its_room(page):
    assert page.evaluate(BEYOND) == []
    kinds = page.evaluate(KINDS)
    assert kinds["whole"] >= 3
    assert kinds["part"] == 0
    assert kinds["room"] < 14 + 27 or kinds["whole"] == 7  # the card's padding, and less than another one
    overlapping = page.locator(".mm-kinds span").evaluate_all(
        "names => names.filter((name) => name.scrollWidth > name.clientWidth || name.offsetHeight > 27)"
    )
    assert overlapping == []
    for field in page.locator("#classify-map-choices input").all():
        assert field.evaluate("field => field.scrollWidth - field.clientWidth") <= 0
