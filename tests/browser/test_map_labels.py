"""Names of clusters over the map in Chromium: which are shown at which zoom, and that none covers another."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import app.components

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PARTS = Path(app.components.__file__).parent
BODY = """<div class="tools"><output class="mm-map-count"></output></div>
<div id="stage" style="position:relative;width:600px;height:400px"><svg></svg></div>"""
BEGIN = """([levels]) => {
    const stage = document.getElementById("stage");
    let labels = null;
    window.map = createMap(stage, { extent: [3, 2], kind: "pixels", onView: () => labels?.draw() });
    map.load(Uint16Array.from([0, 0, 65535, 65535]));
    map.show({ hues: new Uint32Array(256).fill(0xff0000ff) });
    const toolbar = document.querySelector(".tools");
    labels = mapLabels(stage, map, levels);
    labelsButton(toolbar, [labels], { cluster_names: "Names" });
}"""
# Text and box of every name that can be seen, once what was asked for is drawn.
VISIBLE = """() => new Promise((done) => {
    const seen = (label) => label.checkVisibility({ visibilityProperty: true });
    const facts = (label) => {
        const { left, top, right, bottom } = label.getBoundingClientRect();
        return [label.textContent, left, top, right, bottom];
    };
    const names = () => [...document.querySelectorAll(".mm-labels span")].filter(seen).map(facts);
    map.redraw();
    requestAnimationFrame(() => requestAnimationFrame(() => done(names())));
})"""


def cluster(name: str, at: tuple[int, int], count: int, reach: int = 900) -> dict[str, object]:
    outline = [at[0] - reach, at[1] - reach, at[0] + reach, at[1] - reach, at[0], at[1] + reach]
    return {"name": name, "at": at, "count": count, "outlines": [outline]}


def levels() -> list[list[dict[str, object]]]:
    places = np.random.default_rng(2).integers(4000, 61_000, (60, 2)).tolist()
    fine = [cluster(f"<b>kind {number}</b>", tuple(at), 60 - number) for number, at in enumerate(places)]
    coarse = [cluster("left", (16_000, 32_000), 10, 12_000), cluster("right", (48_000, 32_000), 20, 12_000)]
    return [coarse, fine]


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 700, "height": 600})
    page.set_content(BODY)
    page.add_style_tag(path=PARTS / "map_labels.css")
    for name in ("map_renderer.js", "map_labels.js"):
        page.add_script_tag(path=PARTS / name)
    page.evaluate(BEGIN, [getattr(request, "param", levels())])
    yield page
    page.close()


def test_coarse_names_stand_at_their_places_and_finer_ones_come_with_zoom(page):
    shown = page.evaluate(VISIBLE)
    assert {name for name, *_ in shown} == {"left", "right"}
    for name, left, top, right, bottom in shown:
        x, y = page.evaluate("at => map.locate(at)", [16_000 if name == "left" else 48_000, 32_000])
        origin = page.locator("#stage").bounding_box()
        assert (left + right) / 2 - origin["x"] == pytest.approx(x, abs=1.5)
        assert (top + bottom) / 2 - origin["y"] == pytest.approx(y, abs=1.5)
    page.evaluate("map.lookAt({ zoom: 4 })")
    assert all(name.startswith("<b>kind") for name, *_ in page.evaluate(VISIBLE))


SMALL, RIGHT, TOP = (20_000, 32_000), (65_500, 20_000), (48_000, 0)


@pytest.mark.parametrize(
    "page", [[[cluster("A name of some length", at, 9) for at in (SMALL, RIGHT, TOP)]]], indirect=True
)
def test_a_name_hides_no_small_cluster_and_is_not_cut_off_at_the_edge(page):
    shown = page.evaluate(VISIBLE)
    assert len(shown) == 3
    frame = page.locator("#stage").bounding_box()
    left, above = frame["x"], frame["y"]
    for at, (_, x0, y0, x1, y1) in zip((SMALL, RIGHT, TOP), shown, strict=True):
        assert left <= x0 < x1 <= left + frame["width"]
        assert above <= y0 < y1 <= above + frame["height"]
        ends = [above + page.evaluate("at => map.locate(at)", [at[0], at[1] + way])[1] for way in (-900, 900)]
        assert y1 < min(ends) or y0 > max(ends)
    page.evaluate(
        """document.querySelector("#stage").insertAdjacentHTML("beforeend",
        '<p class="mm-map-name" style="position:absolute;top:8px;height:20px;margin:0">Ours</p>')"""
    )
    assert all(y0 >= above + 28 for _, _, y0, _, _ in page.evaluate(VISIBLE))
    page.evaluate("map.lookAt({ zoom: 3, x: 60000, y: 60000 })")
    assert page.evaluate(VISIBLE) == []  # none of them is in view


def test_no_name_covers_another_and_the_largest_goes_first(page):
    page.evaluate("map.lookAt({ zoom: 2.5, x: 32768, y: 32768 })")
    shown = page.evaluate(VISIBLE)
    assert len(shown) > 3
    boxes = np.array([box for _, *box in shown])
    for row, (left, top, right, bottom) in enumerate(boxes):
        others = np.delete(boxes, row, axis=0)
        apart = (
            (others[:, 0] > right) | (others[:, 2] < left) | (others[:, 1] > bottom) | (others[:, 3] < top)
        )
        assert apart.all()


def test_names_are_text_and_can_be_switched_off(page):
    page.evaluate("map.lookAt({ zoom: 4 })")
    page.evaluate(VISIBLE)
    assert page.locator(".mm-labels b").count() == 0
    button = page.get_by_role("button", name="Names")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert page.evaluate(VISIBLE) == []
    button.click()
    assert page.evaluate(VISIBLE)
