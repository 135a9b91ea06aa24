"""One walk through the page in Firefox, from a dropped picture to a case that was found on the map."""

import base64
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings

from .firefox import Firefox, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
BINARY = shutil.which("firefox-esr") or shutil.which("firefox")
WIDE, PHONE = (1400, 900), (390, 844)
DROP = """
const [name, content] = arguments;
const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
const dataTransfer = new DataTransfer();
dataTransfer.items.add(new File([bytes], name, { type: "image/png" }));
for (const kind of ["dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer }));
"""
# How many colours the canvas of the map shows, after all that was asked for is painted.
COLOURS = """
document.querySelector(".mm-map").map.redraw();
return new Promise((done) => requestAnimationFrame(() => {
    const canvas = document.querySelector(".mm-map canvas");
    const { width, height } = canvas;
    const copy = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    done(new Set(new Uint32Array(copy.getImageData(0, 0, width, height).data.buffer)).size);
}));
"""
LASSO = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.03)]  # shares of width and height


@pytest.fixture(scope="module")
def browser() -> str:
    """Where Firefox is; stands for Chromium in this file, also where the page is served."""
    if BINARY is None:
        pytest.skip("no Firefox is installed")
    return BINARY


@pytest.fixture
def page(browser: str, tmp_path: Path) -> Iterator[Firefox]:
    """A Firefox of its own: a page that is left behind still complains of what was cut off."""
    firefox = Firefox(browser, tmp_path)
    yield firefox
    firefox.close()


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str]) -> str:
    return serve(Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)}))


def draw_around_all(page: Firefox) -> None:
    page.click(".mm-map-tools button", "Lasso")
    left, top, width, height = page.run("""
        const stage = document.querySelector(".mm-map");
        stage.scrollIntoView({ block: "center", behavior: "instant" });
        const box = stage.getBoundingClientRect();
        return [box.left, box.top, box.width, box.height];
    """)
    page.drag([(left + x * width, top + y * height) for x, y in LASSO])


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_picture_is_answered_and_the_map_is_walked(page: Firefox, address: str, size: tuple[int, int]):
    page.visit(address, *size)
    page.find(".mm-research")
    picture: Path = ASSETS / "examples" / "fundus.png"
    page.run(DROP, picture.name, base64.b64encode(picture.read_bytes()).decode())
    page.find("#classify-modality .mm-headline", "Colour fundus")
    page.find("#classify-findings button.mm-bar", "%")
    page.find("#classify-figure .mm-heat")
    page.wait("return document.querySelectorAll('#classify-cases .mm-case').length === 8")
    page.run(
        "document.querySelector('#classify-cases').scrollIntoView()"
    )  # pictures come when they are in view
    page.wait("return document.querySelector('#classify-cases img').naturalWidth > 50")

    page.click("[role=tab]", "Explore")
    page.find(".mm-sentence", "All 420 cases")
    page.find(".mm-star b", "your image")
    assert page.run(COLOURS) > 7  # a colour a modality, and the background
    draw_around_all(page)
    page.find(".mm-sentence", "inside an outline, 420 of 420")
    page.click(".mm-map-tools button", "Clear")
    page.click(".mm-legend button", "CT")
    page.find(".mm-map-count", "60 of 420 selected")
    page.find(".mm-walk-count", "60 cases")
    page.find(".mm-cell img")

    page.click(".mm-cell")
    page.find("#similar-query", ", case phantom_ct/")
    page.wait("return document.querySelectorAll('#similar-results .mm-case').length === 12")
    assert page.run("return document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.run("return window.innerWidth") == size[0]
    assert page.wrong(address) == []


def test_what_goes_wrong_on_a_page_is_seen(page: Firefox, address: str):
    page.visit(address, *WIDE)
    page.run("""
        console.error("said to the console");
        setTimeout(() => { throw new Error("thrown by a script"); });
        return fetch("http://127.0.0.1:18999/elsewhere").catch(() => {}); // where nobody listens
    """)
    expected = {"said to the console", "Error: thrown by a script", "http://127.0.0.1:18999/elsewhere"}
    until(lambda: set(page.wrong(address)) == expected, f"not seen: {expected}")
