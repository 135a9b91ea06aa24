"""Fingers on the map, in Chromium as on a phone, over a map that only notes what it is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.texts import map_text

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
PARTS = Path(map_text.__file__).parents[1] / "components"
PAGE = """<!doctype html><html lang=en><meta name=viewport content="width=device-width"><style>body{margin:0}
#stage{width:300px;height:300px;touch-action:none}</style><div id=stage><svg><polygon></polygon>
<path class="mm-cross"></path></svg></div>"""
# One point, in the middle; places of the map are those of the stage.
MAP = """
window.done = [];
const note = (what) => (...told) => window.done.push([what, ...told]);
window.view = { x: 0, y: 0, zoom: 1 };
const near = ([x, y], reach) => (Math.hypot(x - 150, y - 150) <= reach ? 7 : -1);
const map = {
  get view() { return window.view; },
  place: ([x, y]) => [window.view.x + x / window.view.zoom, window.view.y + y / window.view.zoom],
  locate: (place) => place,
  lookAt: (wanted) => Object.assign(window.view, wanted),
  nearest: (at, reach = 10) => near(at, reach),
};
window.tool = "pan";
const on = Object.fromEntries(["hover", "pick", "around", "escape", "say"].map((each) => [each, note(each)]));
mapGestures(document.querySelector("#stage"), map, { tool: () => window.tool, on, sentences: {} });
"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 600}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_content(PAGE)
    scripts = ("map_crosshair.js", "map_gestures.js")
    page.add_script_tag(
        content="\n".join((PARTS / name).read_text(encoding="utf-8") for name in scripts) + MAP
    )
    yield page
    context.close()


def touch(page: Page, *steps: list[tuple[int, int]]) -> None:
    """Puts fingers down, moves them from place to place and lifts them."""
    session = page.context.new_cdp_session(page)
    for number, fingers in enumerate([*steps, []]):
        kind = "touchMove" if 0 < number < len(steps) else "touchEnd" if number else "touchStart"
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(fingers)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_a_tapped_case_stays_shown_when_the_finger_has_left(page):
    touch(page, [(153, 148)])
    done = page.evaluate("window.done")
    assert ["pick", 7, None] in done
    assert [told[1] for told in done if told[0] == "hover"][-1] == 7


def test_one_finger_moves_the_map_and_two_zoom_it_without_choosing(page):
    touch(page, [(100, 100)], [(130, 100)], [(180, 100)])
    assert page.evaluate("window.view") == {"x": -80, "y": 0, "zoom": 1}
    touch(page, [(140, 150), (160, 150)], [(120, 150), (180, 150)], [(100, 150), (200, 150)])
    assert page.evaluate("window.view.zoom") > 3
    assert not [told for told in page.evaluate("window.done") if told[0] in ("pick", "around")]


def test_a_finger_draws_a_lasso(page):
    page.evaluate("window.tool = 'lasso'")
    touch(page, [(20, 20)], [(280, 20)], [(280, 280)], [(20, 280)])
    (corners,) = [told[1] for told in page.evaluate("window.done") if told[0] == "around"]
    assert [20, 20] in corners
    assert [280, 280] in corners
