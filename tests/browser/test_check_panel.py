"""The panel of checks in Chromium, with answers that are made up: pictures on a phone, drift by a column."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from app.texts import map_text

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, Route, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
PARTS = Path(map_text.__file__).parents[1] / "components"
AT = "http://checks.test/"  # never asked: the test answers
BOX = "node => { const {x, y, width, height} = node.getBoundingClientRect(); return [x, y, width, height]; }"
LONG = "a reason that needs several lines on a phone, as most of them do, and more than fits beside a picture"
SCRIPT = """(sentences) => {
  const waiting = {};
  window.slow = (name) => {
    waiting.name = name;
    waiting.until = new Promise((come) => {
      window.letItCome = () => come() ?? waiting.until;
    });
  };
  const suspect = (points) => ({
    key: `made ${points}`, score: 4 - points.length, flagged: true, reason: REASON,
    cases: points.map((point) => `case ${point}`), points,
  });
  const [complete, results] = [false, {}];
  const made = { title: "Made", measure: "m", accuracy: "a", notes: [], flagged: 3 };
  const find = (name, title, suspects) => (results[name] = { ...made, name, title, suspects });
  const state = () => {
    const checks = Object.values(results).map((each) => ({ ...each, listed: each.suspects.length }));
    return { running: false, complete, failed: "", step: "", seconds_left: null, total: 0, done: 0, checks };
  };
  const data = {
    checks: async () => state(),
    found: async (name) => {
      if (name === waiting.name) await waiting.until;
      return results[name];
    },
    records: async (points) => points.map(() => ({ modality: "ct" })),
    picture: () => "picture.svg",
    post: async (address, { column }) => {
      if (address === "checks/start") find("made", "Made", [[1], [2, 3], [4, 5, 6]].map(suspect));
      else find(`drift-${column}`, `Drift by ${column}`, [suspect([7])]);
    },
  };
  const box = document.querySelector(".mm-checks");
  box.hidden = false;
  const drawing = () => document.createElement("i");
  checksView(box, { data, drawing, version: "1", sentences, on: { light() {} } }).show();
}""".replace("REASON", f"'{LONG}'")


def panel() -> str:
    """Returns the panel with its style and scripts as a page, in a box as wide as the page leaves it."""
    made = Environment(loader=FileSystemLoader(PARTS), autoescape=True)
    html = made.get_template("checks_view.html").render(m=map_text, drifts=[("acquired", "Acquired")])
    scripts = ("virtual_rows.js", "picture_grid.js", "save_file.js", "checks_view.js")
    style = "".join((PARTS / name).read_text(encoding="utf-8") for name in ("cases.css", "walk.css"))
    script = "\n".join((PARTS / name).read_text(encoding="utf-8") for name in scripts)
    # What the page's own framework resets.
    reset = "*{box-sizing:border-box} button{border:0;padding:0;background:none;font:inherit} p{margin:0}"
    return f"<!doctype html><html lang=en><style>{reset}{style}</style><body>{html}<script>{script}</script>"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 390, "height": 844})

    def answer(route: Route) -> None:
        picture = '<svg xmlns="http://www.w3.org/2000/svg" width="160" height="120"></svg>'
        if route.request.url.endswith(".svg"):
            route.fulfill(body=picture, content_type="image/svg+xml")
        else:
            route.fulfill(body=panel(), content_type="text/html")

    page.route(f"{AT}**", answer)
    page.goto(AT)
    page.evaluate(SCRIPT, {**map_text.MAP_SCRIPT})
    yield page
    page.close()


def test_the_pictures_of_a_finding_are_seen_whole_on_a_phone(page):
    """One has 72 px each way; two and three share the height of the row."""
    page.locator("[data-check=start]").click()
    expect(page.locator(".mm-suspect img")).to_have_count(6)
    for count, height in ((1, 72), (2, 70), (3, 45)):
        row = page.locator(".mm-suspect").nth(count - 1)
        left, top, width, room = row.evaluate(BOX)
        assert (left >= 0, left + width <= 390, room) == (True, True, 164)
        text = row.locator("p").evaluate(BOX)
        boxes = [thumb.evaluate(BOX) for thumb in row.locator(".mm-thumb").all()]
        assert len(boxes) == count
        for x, y, wide, high in boxes:
            assert wide == 72
            assert abs(high - height) <= 1
            assert top <= y
            assert y + high <= top + room
            assert x + wide <= text[0]
        tops = [y for _, y, *_ in boxes]
        assert all(later - sooner >= height - 1 for sooner, later in pairwise(tops))
        for picture in row.locator("img").all():
            assert picture.evaluate(BOX)[3] > 0.9 * height
        for button in row.locator("[data-decide]").all():
            _, y, _, high = button.evaluate(BOX)
            assert high >= 28
            assert y + high <= top + room


def test_drift_that_is_looked_for_alone_is_shown_and_stays_beside_the_checks(page):
    expect(page.locator(".mm-check-told")).to_contain_text("Looks for copies")
    page.get_by_role("button", name="Look for drift").click()
    found = page.locator('[data-found="drift-acquired"]')
    expect(found).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".mm-suspect")).to_have_count(1)
    expect(page.locator(".mm-check-told")).to_contain_text("Looks for copies")  # nothing was cancelled
    page.locator("[data-check=start]").click()
    page.locator("[data-found=made]").click()
    expect(page.locator(".mm-suspect")).to_have_count(3)
    expect(found).to_have_attribute("aria-pressed", "false")


def test_the_check_that_was_pressed_last_is_shown_whichever_answer_comes_first(page):
    page.get_by_role("button", name="Look for drift").click()
    expect(page.locator(".mm-suspect")).to_have_count(1)
    page.locator("[data-check=start]").click()
    page.evaluate("slow('made')")
    page.locator("[data-found=made]").click()  # its answer is on the way for as long as nobody lets it come
    page.locator('[data-found="drift-acquired"]').click()
    page.evaluate("letItCome()")
    expect(page.locator('[data-found="drift-acquired"]')).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-found=made]")).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".mm-suspect")).to_have_count(1)
