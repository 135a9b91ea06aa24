"""What a pointer that rests or presses on the map leads to, in Chromium."""

from collections.abc import Callable, Iterator

import pytest

from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
expect.set_options(timeout=60_000)


@pytest.fixture
def page(browser: Browser, serve: Callable[..., str]) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(serve(Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})))
    page.get_by_role("tab", name="Explore", exact=True).click()
    expect(page.locator(".mm-map-wait").first).to_be_hidden()
    yield page
    page.close()
    assert errors == []


def at(page: Page, point: int) -> tuple[float, float]:
    x, y = page.evaluate(
        """(point) => {
            const stage = document.querySelector(".mm-map");
            const { left, top } = stage.getBoundingClientRect();
            const [x, y] = stage.map.locate(point);
            return [left + x, top + y];
        }""",
        point,
    )
    return x, y


def highest(page: Page) -> int:
    """Returns the point that lies nearest to the upper edge of the map."""
    return page.evaluate(
        """() => {
            const { map } = document.querySelector(".mm-map");
            const height = (point) => map.locate(point)[1];
            const points = Array.from({ length: map.count }, (_, point) => point);
            return points.sort((a, b) => height(a) - height(b))[0];
        }"""
    )


def test_a_press_selects_a_case_and_another_one_opens_it(page):
    page.mouse.click(*at(page, 10))
    expect(page.locator(".mm-sentence")).to_contain_text("1 of 420")
    expect(page.locator("#similar-results .mm-case")).to_have_count(0)
    page.mouse.click(*at(page, 10))
    expect(page.locator("#similar-results .mm-case").first).to_be_visible()


def test_what_the_pointer_shows_is_never_cut_off_above(page):
    page.locator(".mm-map").evaluate("map => map.scrollIntoView()")  # no room above the map
    page.mouse.move(*at(page, highest(page)))
    expect(page.locator(".mm-tip")).to_be_visible()
    assert page.locator(".mm-tip").evaluate("tip => tip.getBoundingClientRect().top") >= 0


def test_a_pointer_that_rests_shows_what_lies_under_it_after_zooming(page):
    x, y = at(page, 10)
    page.mouse.move(x, y + 6)
    expect(page.locator(".mm-tip")).to_be_visible()
    for _ in range(8):
        page.mouse.wheel(0, -300)
    expect(page.locator(".mm-tip")).to_be_hidden()  # 6 px have become more than the pointer reaches


def test_pictures_on_the_map_have_the_colour_of_their_points_and_are_faint_where_others_are_selected(page):
    page.mouse.click(*at(page, 10))
    page.mouse.move(*at(page, 10))
    for _ in range(8):
        page.mouse.wheel(0, -300)
    lit = page.locator(".mm-pictures img:not(.mm-unlit)")
    expect(lit).to_have_count(1)
    entry = page.locator(".mm-legend button:not(.mm-unlit) i")
    expect(entry).to_have_count(1)
    expect(lit).to_have_css(
        "border-top-color", entry.evaluate("mark => getComputedStyle(mark).backgroundColor")
    )


def test_a_long_name_in_the_legend_does_not_lie_under_its_count(page):
    over = page.locator(".mm-legend button").first.evaluate(
        """(entry) => {
            const [name, count] = ["span", "small"].map((part) => entry.querySelector(part));
            name.textContent = "Adenocarcinomatosis".repeat(2);
            count.textContent = "117,644 / 159,881";
            return name.scrollWidth - name.clientWidth;
        }"""
    )
    assert over <= 0
