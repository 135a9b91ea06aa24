"""The answer in Chromium: words beside findings, the map faded and switched, a case beside the image."""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from app.components.hyphens import breakable
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, Request, Route, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)  # a busy machine is slow, not wrong


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str]) -> str:
    return serve(Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)}))


@pytest.fixture(params=[(1400, 900), (390, 844)], ids=["wide", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.locator("#classify-examples button").first.click()
    expect(page.locator("#classify-figure .mm-heat")).to_be_visible()
    yield page
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.close()
    assert errors == []


def test_the_answer_has_words_a_second_look_a_tried_map_and_a_place(page):
    expect(page.locator("#classify-findings .mm-word").first).to_have_text("possible")
    expect(page.locator("#classify-second-look")).to_contain_text("small changes")
    expect(page.locator("#classify-map-check")).to_contain_text("hottest tenth blurred")
    expect(page.locator("#classify-place b")).to_be_visible()
    page.locator(".mm-worth summary").first.click()
    expect(page.locator(".mm-worth th[scope=row]").first).to_be_visible()


def test_the_contrast_follows_the_finding_that_is_pressed_and_goes_with_the_image(page):
    page.get_by_label("Same label / other label").check()
    expect(page.locator(".mm-contrast h3")).to_have_count(2)
    second = page.locator("#classify-findings button.mm-bar").nth(1)
    name = second.locator("span").inner_text().replace("\u00ad", "")
    second.click()
    expect(page.locator(".mm-contrast h3").first).to_have_text(f"Nearest cases labelled {name}")
    page.locator("#classify-examples button").nth(1).click()
    expect(page.locator("#classify-modality")).to_contain_text("Chest X-ray")
    expect(page.get_by_label("Most similar")).to_be_checked()
    expect(page.locator("#classify-cases .mm-case")).to_have_count(8)
    expect(page.locator(".mm-contrast")).to_have_count(0)


def test_no_mark_that_is_pressed_quickly_is_lost(page):
    page.get_by_role("tab", name="Similar cases", exact=True).click()
    expect(page.locator("#similar-results .mm-case")).to_have_count(12)
    press = "all => all.slice(0, 6).forEach((each) => each.click())"
    page.locator("#similar-results [data-mark=bad]").evaluate_all(press)
    page.locator("#similar-results [data-mark=good]").nth(5).click()
    expect(page.locator("#similar-marked")).to_have_text("Marked: 1 like what you look for, 5 not.")


def test_marks_that_are_pressed_while_the_server_is_busy_are_kept(page):
    page.get_by_role("tab", name="Similar cases", exact=True).click()
    expect(page.locator("#similar-results .mm-case")).to_have_count(12)
    held: list[Route] = []
    busy = True

    def hold(route: Route) -> None:
        if busy:
            held.append(route)
        else:
            route.continue_()

    page.route("**/run/predict", hold)
    with page.expect_request("**/run/predict"):
        page.locator("#similar-results [data-mark=bad]").first.click()
    page.locator("#similar-results [data-mark=bad]").nth(1).click()
    page.locator("#similar-results [data-mark=good]").nth(2).click()
    busy = False
    for route in held:
        route.continue_()
    expect(page.locator("#similar-marked")).to_have_text("Marked: 1 like what you look for, 2 not.")


def test_the_map_is_switched_and_faded_in_the_browser(page):
    heat, switch = page.locator("#classify-figure .mm-heat"), page.locator(".mm-shown")
    switch.uncheck()
    expect(heat).to_have_css("opacity", "0")
    page.locator("#classify-findings button.mm-bar").nth(1).click()
    expect(page.locator("#classify-figure .mm-heat")).to_have_css("opacity", "0")
    page.locator(".mm-opacity").fill("30")
    expect(heat).to_have_css("opacity", "0.3")
    expect(switch).to_be_checked()


def test_a_choice_of_a_finding_or_a_method_draws_once_and_leaving_a_list_draws_nothing(page):
    expect(page.locator("#classify-map-check")).to_contain_text("hottest tenth blurred")
    named = {each["id"]: each["api_name"] for each in page.evaluate("window.gradio_config.dependencies")}
    asked: list[str] = []

    def note(request: Request) -> None:
        if "queue/join" in request.url:
            asked.append(named[json.loads(request.post_data or "{}")["fn_index"]])

    page.on("request", note)
    caption = page.locator("#classify-figure .mm-controls p").last
    before = caption.inner_text()
    for name in ("Heat map for", "Method"):
        asked.clear()
        field = page.get_by_role("combobox", name=name)
        field.focus()
        page.keyboard.press("Tab")
        field.click()
        page.keyboard.press("Escape")
        page.locator("h1").click()
        expect(field).to_have_attribute("aria-expanded", "false")
        field.click()
        page.get_by_role("option").nth(1).click()
        expect(caption).not_to_have_text(before)
        expect(page.locator("#classify-map-check")).to_contain_text("hottest tenth blurred")
        assert sum(each in ("explain", "explain_by") for each in asked) == 1
        before = caption.inner_text()


def test_a_case_is_compared_closed_and_searched_with(page):
    card = page.locator("#classify-cases .mm-case button").first
    card.click()
    section = page.locator(".mm-comparison")
    expect(section).to_be_focused()
    expect(section.locator(".mm-heat")).to_have_count(2)
    section.get_by_role("button", name="Close").click()
    expect(section).to_have_count(0)
    expect(card).to_be_focused()
    card.click()
    section.get_by_role("button", name="Find cases like this one").click()
    expect(page.locator("#similar-query")).to_contain_text(", case ")


def test_a_comparison_is_told_as_a_dialog_and_closed_by_escape(page):
    card = page.locator("#classify-cases .mm-case button").nth(1)
    card.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Why this case?")
    expect(dialog).to_be_focused()
    expect(dialog).to_have_accessible_description(
        re.compile("Similarity .* Bright: what speaks for", re.DOTALL)
    )
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(card).to_be_focused()


def test_no_label_of_a_case_is_broken_within_a_syllable(page):
    """Between lines of a label stands a space, or a place for a hyphen, which has a rectangle of its own."""
    label = page.locator("#classify-cases .mm-label").first
    assert "Syn\u00adthe\u00adtic" in (label.text_content() or "")
    label.evaluate(
        "(node, words) => (node.textContent = words)",
        breakable("Choroidal neovascularisation, Plattenepithelkarzinom"),
    )
    broken = label.evaluate(
        """node => {
            const [words, text] = [node.textContent, node.firstChild], places = [];
            const top = (at) => {
                const range = document.createRange();
                range.setStart(text, at);
                range.setEnd(text, at + 1);
                return [...range.getClientRects()].at(-1)?.top;
            };
            let before = top(0);
            for (let at = 1; at < words.length; at++) {
                if (/[\\s\\u00ad]/.test(words[at])) continue;
                if (top(at) > before) places.push(words[at - 1]);
                before = top(at);
            }
            return places;
        }"""
    )
    assert len(broken) > 2
    assert set(broken) <= {" ", "\u00ad"}
    assert label.evaluate("node => node.scrollWidth - node.clientWidth") <= 0


def test_cases_with_the_label_stand_beside_others(page):
    page.get_by_label("Same label / other label").check()
    expect(page.locator(".mm-contrast h3")).to_have_count(2)
    page.locator(".mm-contrast h3").first.evaluate("title => { title.textContent += ' label'.repeat(30); }")
    tops = page.locator(".mm-contrast .mm-grid").evaluate_all("all => all.map((each) => each.offsetTop)")
    wide = (page.viewport_size or {"width": 0})["width"] > 640
    assert (tops[0] == tops[1]) == wide  # on a phone one lies below the other
    said = page.locator(".mm-contrast section").first.locator("h3, .mm-nothing")
    above = said.evaluate_all("all => Math.max(...all.map((each) => each.offsetTop + each.offsetHeight))")
    assert above <= tops[0]
