"""What is seen stays where it is while an answer arrives, by the browser's own measure of what moves."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)  # a busy machine is slow, not wrong

# Cumulative layout shift: shares of the screen that moved, times how far. What moves just after an input, and
# is left out by browsers, counts here too.
WATCH = """
[window.moved, window.last] = [0, 0];
const counted = (each) => ([window.moved, window.last] = [window.moved + each.value, each.startTime]);
new PerformanceObserver((list) => list.getEntries().forEach(counted))
  .observe({ type: "layout-shift", buffered: true });
// A phone glides to the answer.
window.gliding = false;
addEventListener("scroll", () => ([window.gliding, window.last] = [true, performance.now()]), true);
addEventListener("scrollend", () => ([window.gliding, window.last] = [false, performance.now()]), true);
"""
AT_REST = "!window.gliding && performance.now() - window.last > 700"
MOST = 0.05


@pytest.fixture(params=[(1400, 900), (390, 844)], ids=["wide", "phone"])
def page(
    request: pytest.FixtureRequest, browser: Browser, serve: Callable[[Settings], str]
) -> Iterator[Page]:
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    page.add_init_script(WATCH)
    page.goto(serve(Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})))
    expect(page.locator("#classify-examples button").first).to_be_visible()
    page.wait_for_function(AT_REST)
    yield page
    page.close()


def answered(page: Page, name: str) -> None:
    page.evaluate("window.moved = 0")
    page.set_input_files("#classify-file input[type=file]", ASSETS / "examples" / f"{name}.png")
    expect(page.locator("#classify-second-look section")).to_be_visible()
    page.wait_for_function(AT_REST)


def test_nothing_jumps_while_an_answer_arrives_or_another_finding_is_shown(page):
    answered(page, "cxr")
    assert page.evaluate("window.moved") <= MOST
    heat, base = page.locator("#classify-figure .mm-heat"), page.locator("#classify-figure .mm-base")
    shown, before = heat.get_attribute("src"), base.get_attribute("src")
    page.evaluate("window.moved = 0")
    page.locator("#classify-findings button.mm-bar").nth(1).click()
    expect(heat).not_to_have_attribute("src", shown or "")
    expect(page.locator("#classify-map-check p")).to_be_visible()
    assert page.evaluate("window.moved") <= MOST
    assert base.get_attribute("src") == before  # the picture is not fetched again
    assert base.evaluate("image => image.naturalWidth") == 320


def test_a_phone_shows_the_answer_in_words_and_then_the_heat_map(page):
    answered(page, "cxr")
    # The glide begins with the answer, which may be there before or after the second look is announced.
    page.wait_for_function("document.querySelector('#classify-modality').getBoundingClientRect().top < 400")
    page.wait_for_function(AT_REST)
    places = page.evaluate(
        """() => ["modality", "findings", "second-look", "figure"].map(
            (each) => document.querySelector(`#classify-${each}`).getBoundingClientRect().top)"""
    )
    phone = page.evaluate("window.innerWidth < 641")
    if phone:
        assert places == sorted(places)
        assert -1 < places[0] < places[1] < 844  # the first line and the findings are on the first screen
    else:
        assert places[0] == pytest.approx(places[3], abs=1)  # side by side
    order = page.evaluate(
        "document.querySelector('#classify-modality')"
        ".compareDocumentPosition(document.querySelector('#classify-figure'))"
    )
    assert order == 4  # a screen reader hears the words first, too


def test_a_note_a_strip_and_another_shape_move_nothing_that_stands_below(page, tmp_path):
    places = """() => ["#classify-findings", "#classify-figure", ".mm-look-tools", "#classify-map-check"].map(
        (each) => Math.round(document.querySelector(each).getBoundingClientRect().y + scrollY))"""
    answered(page, "cxr")
    before = page.evaluate(places)
    wide = Image.open(ASSETS / "examples" / "ct.png").resize((700, 320))
    wide.save(tmp_path / "wide.png")
    (tmp_path / "none.txt").write_text("no image")
    page.evaluate("window.moved = 0")
    several = [tmp_path / "wide.png", ASSETS / "examples" / "cxr.png", tmp_path / "none.txt"]
    page.set_input_files("#classify-file input[type=file]", several)
    expect(page.locator("#classify-notice")).to_contain_text("One file is no image")
    expect(page.locator("#classify-second-look section")).to_be_visible()
    page.wait_for_function(AT_REST)
    if page.viewport_size["width"] > 640:  # on a phone all stands in one column, and lists of findings differ
        assert page.evaluate(places) == before
    assert page.evaluate("window.moved") <= MOST


def test_nothing_jumps_when_a_second_image_takes_the_place_of_the_first(page):
    answered(page, "cxr")
    before = page.locator("#classify-figure .mm-base").get_attribute("src")
    answered(page, "oct")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("OCT")
    expect(page.locator("#classify-figure .mm-base")).not_to_have_attribute("src", before or "")
    assert page.evaluate("window.moved") <= MOST


def test_what_stands_below_an_image_with_a_heat_map_stays_when_one_is_not_recognised(page, tmp_path):
    if page.viewport_size["width"] < 641:
        pytest.skip("on a phone all stands in one column")
    answered(page, "cxr")
    top = "node => node.getBoundingClientRect().top + scrollY"
    before = page.locator("#classify-place").evaluate(top)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    page.set_input_files("#classify-file input[type=file]", tmp_path / "noise.png")
    expect(page.locator("#classify-modality .mm-unknown")).to_be_visible()
    page.wait_for_function(AT_REST)
    assert page.locator("#classify-place").evaluate(top) == pytest.approx(before, abs=1)
