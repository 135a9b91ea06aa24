"""Fingers, a pen and keys on the map, in Chromium as on a phone, over a map that notes what it is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.texts import map_text

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PARTS = Path(map_text.__file__).parents[1] / "components"
PAGE = """<!doctype html><html lang=en><meta name=viewport content="width=device-width"><style>body{margin:0}
#stage{width:300px;height:300px;touch-action:none}</style><div id=stage tabindex=0><svg><polygon></polygon>
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
const sentences = { nothing_here: "nothing" };
mapGestures(document.querySelector("#stage"), map, { tool: () => window.tool, on, sentences });
"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 600}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_content(PAGE)
    scripts = ("map_crosshair.js", "map_selection.js", "map_gestures.js")
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


def told(page: Page, what: str) -> list[list[object]]:
    """Returns what the map was asked to do since this was asked last."""
    done = page.evaluate("window.done.splice(0)")
    return [each[1:] for each in done if each[0] == what]


def test_a_finger_that_trembles_presses_and_one_that_drags_does_not(page):
    touch(page, [(150, 150)], [(156, 153)])
    assert told(page, "pick") == [[7, None]]
    touch(page, [(150, 150)], [(170, 150)], [(150, 150)])  # ends where it began
    assert told(page, "pick") == []


def test_a_pen_presses_like_a_mouse(page):
    session = page.context.new_cdp_session(page)
    for kind in ("mousePressed", "mouseReleased"):
        session.send(
            "Input.dispatchMouseEvent",
            {"type": kind, "x": 150, "y": 150, "button": "left", "clickCount": 1, "pointerType": "pen"},
        )
    assert told(page, "pick") == [[7, None]]


@pytest.mark.parametrize(
    ("keys", "how"),
    [
        ("Enter", None),
        ("Space", None),
        ("Shift+Enter", "add"),
        ("Alt+Enter", "remove"),
        ("Control+Enter", "toggle"),
    ],
)
def test_keys_press_the_case_in_the_middle(page, keys, how):
    page.locator("#stage").press(keys)
    assert told(page, "pick") == [[7, how]]


def test_space_sets_a_corner_where_something_is_drawn(page):
    page.evaluate("window.tool = 'lasso'")
    page.locator("#stage").press("Space")
    assert told(page, "pick") == []


@pytest.mark.parametrize(
    ("key", "how"), [("Shift", "add"), ("Alt", "remove"), ("Control", "toggle"), ("Meta", "toggle")]
)
def test_a_press_with_a_held_key_chooses(page, key, how):
    page.keyboard.down(key)
    page.mouse.click(150, 150)
    page.keyboard.up(key)
    assert told(page, "pick") == [[7, how]]


def test_where_there_is_no_case_the_keys_say_so(page):
    page.evaluate("window.view.zoom = 1; map.nearest = () => -1")
    page.locator("#stage").press("Enter")
    assert told(page, "say") == [["nothing"]]
