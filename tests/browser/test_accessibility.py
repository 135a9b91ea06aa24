"""axe on every page, light and dark: no serious or critical fault in the explorer's own parts."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FloatRect, Page, expect

from .visit import visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
SETTINGS = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})
TABS = ("Classify", "Similar cases", "Explore", "Batch", "Your classifier", "About")


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str]) -> str:
    return serve(SETTINGS).rstrip("/")


def faults(page: Page) -> list[str]:
    """Returns rule and element of each serious or critical fault that is ours."""
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    return [
        f"{rule['id']}: {node['html'][:160]}"
        for rule in found.response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if is_ours(node)
    ]


def faults_at_rest(page: Page) -> list[str]:
    """Returns the faults that stay: what still waits for an answer is dimmed, for moments."""
    found: list[str] = []
    for _ in range(6):
        expect(page.locator(".pending:visible")).to_have_count(0)
        if not (found := faults(page)):
            break
        page.wait_for_timeout(500)
    return found


def is_ours(node: dict) -> bool:
    """Every part of ours has a class of its own; the rest is Gradio's and offers no handle."""
    return "mm-" in " ".join(map(str, node["target"])) + node["html"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_fault(
    browser: Browser, address: str, scheme: Literal["light", "dark"]
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(60_000)
    page.goto(f"{address}/?__theme={scheme}")
    page.locator("#classify-examples button").first.click()
    expect(page.locator("#classify-findings button").first).to_be_visible()
    found = {}
    for name in TABS:
        page.get_by_role("tab", name=name, exact=True).click()
        if name == "Your classifier":
            _label(page)
        elif name == "Batch":
            page.set_input_files("#batch-files input[type=file]", ASSETS / "examples" / "ct.png")
            expect(page.locator("#batch-table tbody tr")).to_have_count(1)
        elif name == "Similar cases":
            page.locator("#similar-results [data-mark=good]").first.click()
            expect(page.locator("#similar-marked")).to_contain_text(re.compile("Marked"))
        found[name] = faults_at_rest(page)
    page.close()
    assert found == {name: [] for name in TABS}


@pytest.mark.parametrize(("scheme", "language"), [("light", "de"), ("dark", "en")])
def test_no_state_of_an_answer_has_a_serious_fault(
    browser: Browser, address: str, scheme: Literal["light", "dark"], language: str, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(60_000)
    visit(page, f"{address}/{'' if language == 'en' else language + '/'}?__theme={scheme}")
    found = {}

    def opened(name: str, *paths: Path) -> None:
        page.set_input_files("#classify-file input[type=file]", list(paths))
        expect(page.locator(STATES[name]).first).to_be_visible()
        found[name] = faults_at_rest(page)

    opened("unknown", _saved(tmp_path / "noise.png", np.random.default_rng(0).integers(0, 256, (90, 90, 3))))
    opened("answer", ASSETS / "examples" / "oct.png")
    page.locator("#classify-findings summary").first.click()
    page.locator("#classify-cases [data-pick]").first.click()
    expect(page.locator("[role=dialog] .mm-figure, [role=dialog] img").first).to_be_visible()
    found["dialog"] = faults_at_rest(page)
    page.keyboard.press("Escape")
    page.locator("#classify input[type=radio], .mm-switch input, input[type=radio]:visible").nth(1).check()
    expect(page.locator(".mm-contrast h3")).to_have_count(2)
    found["contrast"] = faults_at_rest(page)
    (tmp_path / "cut.png").write_bytes((ASSETS / "examples" / "ct.png").read_bytes()[:3000])
    opened("damaged", tmp_path / "cut.png")
    opened("study", ASSETS / "examples" / "ct.png", tmp_path / "cut.png")
    page.close()
    assert found == {name: [] for name in found}


STATES = {
    "unknown": ".mm-unknown",
    "answer": ".mm-second .mm-spread",
    "damaged": "#classify-notice .mm-error",
    "study": ".mm-strip em",
}


def _saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_chosen_and_what_can_be_stands_out(
    browser: Browser, address: str, scheme: Literal["light", "dark"]
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    visit(page, f"{address}/?__theme={scheme}")
    page.get_by_role("tab", name="Explore", exact=True).click()
    expect(page.locator("input[type=radio]:visible").first).to_be_visible()
    tab = page.locator("[role=tab][aria-selected=true]").first.evaluate(CONTRAST, "color")
    ring = page.locator("input[type=radio]:not(:checked):visible").first.evaluate(CONTRAST, "borderTopColor")
    page.close()
    assert tab >= 4.5
    assert ring >= 3


# Of a colour of an element and of what lies behind it, as WCAG counts it.
CONTRAST = """(element, name) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    const seen = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = (colour) => seen(colour).slice(0, 3).map((each) => each / 255)
        .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
        .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = (each) => getComputedStyle(each).backgroundColor;
    let behind = element.parentElement;
    while (behind.parentElement && seen(ground(behind))[3] < 255) behind = behind.parentElement;
    const [one, other] = [getComputedStyle(element)[name], ground(behind)].map(light);
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}"""
FOCUSED = {
    "Classify": (".mm-look", ".mm-look-tools button[aria-pressed=true]", ".mm-look-tools [data-do]"),
    "Explore": (
        *(".mm-map", ".mm-map-tools button[aria-pressed=true]", ".mm-map-tools [aria-pressed=false]"),
        *(".mm-switch button[aria-pressed=true]", ".mm-legend button"),
    ),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_where_the_focus_is_can_be_seen(browser: Browser, address: str, scheme: Literal["light", "dark"]):
    page = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(60_000)
    page.goto(f"{address}/?__theme={scheme}")
    page.locator("#classify-examples button").first.click()
    expect(page.locator(".mm-second")).to_be_visible()
    page.keyboard.press("Tab")  # from now on the focus is moved by keys
    unseen = {}
    for name, parts in FOCUSED.items():
        page.get_by_role("tab", name=name, exact=True).click()
        page.keyboard.press("Tab")
        for part in parts:
            drawn, wanted = _drawn_by_focus(page, part)
            if drawn < wanted:
                unseen[part] = (drawn, wanted)
    page.close()
    assert unseen == {}


def _drawn_by_focus(page: Page, part: str) -> tuple[int, int]:
    """Returns how many pixels are others with the focus, and how many a ring of 1 px has, less a fifth."""
    element = page.locator(f"{part} >> visible=true").first
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    assert box is not None
    clip: FloatRect = {
        "x": max(0.0, box["x"] - 6),
        "y": max(0.0, box["y"] - 6),
        "width": box["width"] + 12,
        "height": min(box["height"] + 12, 900 - max(0.0, box["y"] - 6)),
    }

    def grey() -> np.ndarray:
        image = Image.open(io.BytesIO(page.screenshot(clip=clip)))
        return np.asarray(image.convert("L"), np.int16)

    page.evaluate("() => document.querySelector('.mm-languages a').focus({ preventScroll: true })")
    without = grey()
    element.evaluate("element => element.focus({ preventScroll: true })")
    expect(element).to_be_focused()
    changed = int((np.abs(grey() - without) > 25).sum())
    return changed, int(0.8 * 2 * (box["width"] + min(box["height"], 300) - 10))


def _label(page: Page) -> None:
    page.locator("#own-label input").fill("a")
    page.keyboard.press("Enter")
    page.set_input_files("#own-files input[type=file]", ASSETS / "examples" / "ct.png")
    expect(page.locator("#own-shelf li")).to_have_count(1)
