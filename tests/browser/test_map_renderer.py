"""The map's renderer by itself in Chromium: what it draws and finds, against NumPy."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import app.components

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
RENDERER = Path(app.components.__file__).parent / "map_renderer.js"
COUNT, WIDTH, HEIGHT, MARGIN = 3000, 600, 400, 24
RED, GREY, WHITE = 0xFF0000FF, 0xFF808080, 0xFFFFFFFF  # as pixels lie in memory: alpha, blue, green, red
PLACES = np.random.default_rng(5).integers(0, 65_536, (COUNT, 2))
BEGIN = """([places, kind]) => {
    window.map = createMap(document.getElementById("stage"), { extent: [3, 2], kind });
    map.load(Uint16Array.from(places));
    map.show({ hues: new Uint32Array(256).fill(0xff0000ff), dim: 0xff808080 });
}"""
# The colours of a canvas, after all that was asked for is painted.
PIXELS = """() => new Promise((done) => { map.redraw(); requestAnimationFrame(() => {
    const size = { width: 600, height: 400 };
    const copy = Object.assign(document.createElement("canvas"), size).getContext("2d");
    copy.drawImage(document.querySelector("canvas"), 0, 0);
    done([...new Uint32Array(copy.getImageData(0, 0, 600, 400).data.buffer)]);
}); })"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 700, "height": 500})
    page.set_content(f'<div id="stage" style="position:relative;width:{WIDTH}px;height:{HEIGHT}px"></div>')
    page.add_script_tag(path=RENDERER)
    yield page
    page.close()


def begin(page: Page, kind: str = "pixels", places: np.ndarray = PLACES) -> None:
    page.evaluate(BEGIN, [places.ravel().tolist(), kind])
    assert page.evaluate("map.painter") == kind


def on_screen(places: np.ndarray) -> np.ndarray:
    """Where points are drawn: the frame of 3 to 2 is filled but for a margin, up is up."""
    x = MARGIN + places[:, 0] / 65_535 * (WIDTH - 2 * MARGIN)
    y = HEIGHT - MARGIN - places[:, 1] / 65_535 * (HEIGHT - 2 * MARGIN)
    return np.stack([x, y], axis=1)


def pixels(page: Page) -> np.ndarray:
    return np.array(page.evaluate(PIXELS), np.uint32).reshape(HEIGHT, WIDTH)


@pytest.mark.parametrize("kind", ["webgl", "pixels"])
def test_every_point_is_drawn_at_its_place_and_nothing_else(page, kind):
    begin(page, kind)
    drawn = pixels(page)
    at = on_screen(PLACES).astype(int)
    assert (drawn[at[:, 1], at[:, 0]] != WHITE).all()
    rows, columns = np.nonzero(drawn != WHITE)
    gaps = np.abs(np.stack([columns, rows], 1)[::7, None] - on_screen(PLACES)[None]).max(-1).min(1)
    assert gaps.max() < 6


@pytest.mark.parametrize("kind", ["webgl", "pixels"])
def test_a_map_whose_size_changes_is_never_black(page, kind):
    begin(page, kind)
    pixels(page)
    corner = page.evaluate(
        """() => {
            document.getElementById("stage").style.width = "500px";
            map.fit();
            const copy = document.createElement("canvas").getContext("2d");
            copy.drawImage(document.querySelector("canvas"), 0, 0);
            return new Uint32Array(copy.getImageData(0, 0, 1, 1).data.buffer)[0];
        }"""
    )
    assert corner == WHITE  # as soon as the size has changed, not a frame later


@pytest.mark.parametrize("kind", ["webgl", "pixels"])
def test_what_is_not_selected_is_grey_and_lies_below(page, kind):
    places = np.repeat([[20_000, 30_000], [50_000, 30_000]], 50, axis=0)
    begin(page, kind, places)
    page.evaluate("map.show({ selected: Uint8Array.from({ length: 100 }, (_, i) => Number(i === 3)) })")
    drawn = pixels(page)
    (x, y), (far_x, far_y) = on_screen(places)[[0, 60]].astype(int)
    assert drawn[y, x] == RED  # though 46 of the others are drawn in the same place and come later
    assert drawn[far_y, far_x] == GREY
    assert page.evaluate("map.chosen") == 1


def test_the_nearest_point_is_that_of_a_full_search(page):
    begin(page)
    at = on_screen(PLACES)
    asked = np.random.default_rng(6).uniform([0, 0], [WIDTH, HEIGHT], (200, 2))
    found = page.evaluate("asked => asked.map((at) => map.nearest(at))", asked.tolist())
    for point, hit in zip(asked, found, strict=True):
        distances = np.hypot(*(at - point).T)
        assert hit == (distances.argmin() if distances.min() < 10 else -1)


def test_the_nearest_point_is_right_after_the_view_moved(page):
    begin(page)
    page.evaluate("map.lookAt({ x: 20000, y: 41000, zoom: 9 })")
    for number in range(0, COUNT, 300):
        assert page.evaluate("i => map.nearest(map.locate(i))", number) == number


def test_a_lasso_holds_what_a_polygon_holds(page):
    begin(page)
    corners = np.array([[9e3, 8e3], [6e4, 2e4], [3e4, 3e4], [55e3, 62e3], [5e3, 5e4]])
    found = np.array(page.evaluate("corners => [...map.within(corners)]", corners.tolist()), bool)
    inside = np.zeros(COUNT, bool)  # of the angles that the corners span, seen from a point: 0 or a full turn
    for i, place in enumerate(PLACES):
        angles = np.arctan2(*(corners - place).T[::-1])
        turns = (np.roll(angles, -1) - angles + np.pi) % (2 * np.pi) - np.pi
        inside[i] = abs(turns.sum()) > np.pi
    assert 500 < inside.sum() < COUNT - 500
    assert (found == inside).all()


def test_points_in_view_are_given_as_long_as_they_are_few(page):
    begin(page)
    assert page.evaluate("map.inView(200)") is None
    page.evaluate("map.lookAt({ x: 30000, y: 30000, zoom: 10 })")
    found = page.evaluate("map.inView(200)")
    across, up = 65_535 * WIDTH / (WIDTH - 2 * MARGIN) / 20, 65_535 * HEIGHT / (HEIGHT - 2 * MARGIN) / 20
    seen = (np.abs(PLACES - 30_000) < (across, up)).all(1)
    assert sorted(found) == np.flatnonzero(seen).tolist()


def test_a_lost_graphics_card_leaves_the_map_to_the_processor(page):
    begin(page, "webgl")
    page.evaluate(
        "document.querySelector('canvas').getContext('webgl').getExtension('WEBGL_lose_context').loseContext()"
    )
    page.wait_for_function("map.painter === 'pixels'")
    assert (pixels(page) != WHITE).any()


def test_without_webgl_on_a_card_the_processor_draws(page):
    begin_any = BEGIN.replace("kind });", "});")
    page.evaluate(begin_any, [PLACES.ravel().tolist(), ""])
    assert page.evaluate("map.painter") == "pixels"  # Chromium has no card here


def test_no_way_to_draw_is_said(page):
    page.evaluate("HTMLCanvasElement.prototype.getContext = () => null")
    assert page.evaluate("createMap(document.getElementById('stage'), { extent: [1, 1] }).painter") == ""
