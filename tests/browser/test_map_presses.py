"""What a pointer that rests or presses on the map leads to, in Chromium."""

import re
from collections.abc import Callable, Iterator

import pytest

from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
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


def press_with(page: Page, key: str, point: int) -> None:
    page.keyboard.down(key)
    page.mouse.click(*at(page, point))
    page.keyboard.up(key)


def case_at(page: Page, point: int) -> str:
    """Returns the id of the case at a place of a point, as points may lie on one another."""
    return page.evaluate(
        """async (point) => {
            const { map } = document.querySelector(".mm-map");
            const answer = await fetch("explore-data/records", {
                method: "POST",
                headers: { "Content-Type": "application/json" },
                body: JSON.stringify({ points: [map.nearest(map.locate(point))] }),
            });
            return (await answer.json())[0].case;
        }""",
        point,
    )


def test_one_press_opens_a_case_with_neighbours_and_heat_map_and_leaves_the_selection(page):
    page.locator(".mm-legend button", has_text="CT").first.click()
    expect(page.locator(".mm-sentence")).to_have_text("CT, 60 of 420")
    case = case_at(page, 10)
    page.mouse.click(*at(page, 10))
    expect(page.locator("#similar-results .mm-case").first).to_be_visible()
    expect(page.locator("#similar-query")).to_contain_text(case)
    expect(page.locator("#similar-figure .mm-heat")).to_be_visible()
    page.get_by_role("button", name="Back to the map").click()
    expect(page.locator(".mm-map")).to_be_focused()
    expect(page.locator(".mm-sentence")).to_have_text("CT, 60 of 420")
    expect(page.locator(".mm-opened")).to_be_visible()
    ring = page.locator(".mm-opened").bounding_box()
    x, y = at(page, 10)
    assert ring
    assert abs(ring["x"] + ring["width"] / 2 - x) < 2
    assert abs(ring["y"] + ring["height"] / 2 - y) < 2


def test_escape_leads_back_from_a_case_to_the_picture_that_was_pressed(page):
    grid = page.locator(".mm-pictures-grid")
    grid.evaluate("box => box.scrollTo(0, 900)")
    cell = page.locator('.mm-cell[data-at="45"]')
    expect(cell).to_have_attribute("title", re.compile("phantom"))
    cell.scroll_into_view_if_needed()
    places = [page.evaluate("scrollY"), grid.evaluate("box => box.scrollTop")]
    assert places[1] > 0
    cell.click()
    expect(page.locator("#similar-results .mm-case").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(cell).to_be_focused()
    assert [page.evaluate("scrollY"), grid.evaluate("box => box.scrollTop")] == places
    expect(page.locator(".mm-opened")).to_be_visible()
    page.keyboard.press("Enter")  # the keys go on from there
    expect(page.locator("#similar-query")).to_be_visible()


def test_a_drag_that_begins_on_a_case_opens_none(page):
    x, y = at(page, 10)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.move(x, y, steps=4)  # even where it ends where it began
    page.mouse.up()
    page.mouse.click(*at(page, 10))  # what would have been opened is behind this
    expect(page.locator("#similar-results .mm-case").first).to_be_visible()
    assert page.evaluate("document.querySelector('.mm-map').map.chosen") == 0


def test_cases_are_chosen_one_by_one_with_ctrl_and_with_the_tools(page):
    press_with(page, "Control", 10)
    expect(page.locator(".mm-sentence")).to_have_text("Cases chosen one by one, 1 of 420")
    press_with(page, "Control", 400)
    expect(page.locator(".mm-sentence")).to_have_text("Cases chosen (2), 2 of 420")
    press_with(page, "Control", 10)
    expect(page.locator(".mm-map-count")).to_have_text("1 of 420 selected")
    page.get_by_role("button", name="Add", exact=True).click()
    page.mouse.click(*at(page, 10))
    expect(page.locator(".mm-map-count")).to_have_text("2 of 420 selected")
    page.get_by_role("button", name="Remove", exact=True).click()
    page.mouse.click(*at(page, 400))
    expect(page.locator(".mm-map-count")).to_have_text("1 of 420 selected")
    page.get_by_role("button", name="Undo", exact=True).click()  # one press, not all of them
    expect(page.locator(".mm-map-count")).to_have_text("2 of 420 selected")
    expect(page.locator("#similar-results .mm-case")).to_have_count(0)


def test_a_selection_that_was_cleared_can_be_had_back(page):
    page.locator(".mm-legend button", has_text="CT").first.click()
    page.locator(".mm-map").press("Escape")
    expect(page.locator(".mm-sentence")).to_have_text("All 420 cases")
    page.keyboard.press("Control+z")
    expect(page.locator(".mm-sentence")).to_have_text("CT, 60 of 420")


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
    press_with(page, "Control", 10)
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


def test_large_counts_leave_a_word_of_the_legend_whole(page):
    lines = page.locator(".mm-legend button").first.evaluate(
        """(entry) => {
            const [name, count] = ["span", "small"].map((part) => entry.querySelector(part));
            name.textContent = "Adenocarcinoma";
            count.textContent = "117,644 / 159,881";
            const range = document.createRange();
            range.selectNodeContents(name);
            return new Set([...range.getClientRects()].map((box) => box.top)).size;
        }"""
    )
    assert lines == 1
