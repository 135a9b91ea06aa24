"""Drives the real page in Chromium: upload, findings, overlay, neighbours, lasso, and what can go wrong."""

import base64
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, Request, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
expect.set_options(timeout=20_000)  # a busy machine is slow, not wrong
SETTINGS = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})
WIDE, PHONE = (1400, 900), (390, 844)


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str]) -> str:
    return serve(SETTINGS)


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """A page that asks no other host for anything and raises no error."""
    width, height = getattr(request, "param", WIDE)
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(20_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    def only_ours(request: Request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            errors.append(request.url)

    page.on("request", only_ours)
    page.goto(address)
    expect(page.locator(".mm-research")).to_be_visible()
    yield page
    page.close()
    assert errors == []


@pytest.fixture(scope="module")
def ultrasound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real image of the test split where there is one, else the phantom of the examples."""
    data = os.environ.get("MERMED_DATA")
    table = Path(data) / "busi.parquet" if data else None
    if table is None or not table.is_file():
        return ASSETS / "examples" / "ultrasound.png"
    frame = pd.read_parquet(table)
    image = frame[frame["split"] == "test"].iloc[0]["image"]["bytes"]
    path = tmp_path_factory.mktemp("real") / "image.png"
    Image.open(io.BytesIO(image)).save(path)
    return path


def upload(page: Page, path: Path, field: str = "#classify-file") -> None:
    page.set_input_files(f"{field} input[type=file]", path)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def lasso(page: Page) -> None:
    """Draws around nearly all of the map."""
    expect(page.locator(".mm-map .main-svg").first).to_be_visible()
    page.locator('.modebar-btn[data-val="lasso"]').click()
    box = page.locator(".mm-map .nsewdrag").first.bounding_box()
    assert box
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.02)]
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=6)
    page.mouse.up()


def test_an_upload_gives_modality_findings_overlay_and_neighbours(page, ultrasound):
    upload(page, ultrasound)
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Ultrasound")
    bars = page.locator("#classify-findings button.mm-bar")
    expect(bars.first).to_contain_text("%")
    expect(page.locator("#classify-findings")).to_contain_text("AUROC")
    heat = page.locator("#classify-figure .mm-heat")
    expect(heat).to_be_visible()
    expect(page.locator("#classify-cases .mm-case")).to_have_count(8)
    assert page.locator("#classify-cases img").first.evaluate("image => image.naturalWidth") > 50

    page.locator(".mm-opacity").fill("20")
    expect(heat).to_have_css("opacity", "0.2")
    second = bars.nth(1)
    name = second.locator("span").inner_text()
    second.click()
    expect(page.locator(".mm-controls p")).to_contain_text(f"heat map for {name}")
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(heat).to_have_css("opacity", "0.2")


def test_a_lasso_gives_images_a_table_and_a_csv(page):
    open_tab(page, "Explore")
    lasso(page)
    expect(page.locator("#explore-heading")).to_contain_text("420 cases selected")
    expect(page.locator("#explore-cases .mm-case").first).to_be_visible()
    expect(page.locator("#explore-table")).to_contain_text("phantom_ct")
    with page.expect_download() as download:
        page.locator("#explore-download").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("case,modality,label")
    assert len(lines) == 421


def test_the_map_shows_a_thumbnail_a_click_selects_and_the_upload_is_a_star(page):
    upload(page, ASSETS / "examples" / "fundus.png")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Colour fundus")
    open_tab(page, "Explore")
    expect(page.locator(".mm-map .legendtext", has_text="your image")).to_be_visible()
    assert page.locator('.modebar-btn[data-title*="hare"], .modebar-btn[data-title*="loud"]').count() == 0
    point = page.locator(".mm-map .scatterlayer .trace .point").nth(10)
    point.hover(force=True)
    expect(page.locator(".mm-tip img")).to_be_visible()
    point.click(force=True)
    expect(page.locator("#explore-heading")).to_contain_text("1 case selected")
    page.get_by_label("Label", exact=True).check()
    expect(page.locator(".mm-map .legendtext", has_text="Synthetic nodule")).to_be_visible()


def test_a_case_leads_to_cases_like_it_and_filters_hold(page):
    page.locator("#classify-examples button").first.click()
    card = page.locator("#classify-cases .mm-case").first
    card.click()
    expect(page.locator("#similar-query")).to_contain_text(", case ")
    results = page.locator("#similar-results .mm-case")
    expect(results).to_have_count(12)
    page.get_by_label("Modality", exact=True).locator("visible=true").last.click()
    page.get_by_role("option", name="OCT").click()
    expect(results.first).to_contain_text("OCT")
    expect(page.locator("#similar-results")).not_to_contain_text("phantom_ct")


def test_a_file_dropped_on_the_search_opens_on_every_page_and_a_refused_one_is_said_there(page, tmp_path):
    open_tab(page, "Similar cases")
    upload(page, ASSETS / "examples" / "oct.png", "#similar-file")
    expect(page.locator("#similar-query")).to_contain_text("Your image")
    results = page.locator("#similar-results .mm-case")
    expect(results).to_have_count(12)
    wrong = tmp_path / "report.png"
    wrong.write_bytes(b"%PDF-1.7 a report")
    upload(page, wrong, "#similar-file")
    expect(page.locator("#similar-notice .mm-error")).to_contain_text("PDF")
    expect(results).to_have_count(12)
    open_tab(page, "Classify")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("OCT")
    expect(page.locator("#classify-figure .mm-heat")).to_be_visible()


def test_what_is_no_image_gets_a_sentence_and_loses_nothing(page, tmp_path):
    page.locator("#classify-examples button").first.click()
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("CT")
    wrong = tmp_path / "report.png"
    wrong.write_bytes(b"%PDF-1.7 a report")
    upload(page, wrong)
    expect(page.locator("#classify-notice .mm-error")).to_contain_text("PDF")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("CT")
    upload(page, ASSETS / "examples" / "oct.png")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("OCT")
    expect(page.locator("#classify-notice .mm-error")).to_have_count(0)


def test_a_photo_is_not_an_image_it_knows(page):
    data = pytest.importorskip("skimage.data")
    cat = Path(data.__file__).parent / "chelsea.png"
    upload(page, cat)
    expect(page.locator(".mm-unknown")).to_contain_text("Not an image the model recognises")
    expect(page.locator("#classify-findings button")).to_have_count(0)
    expect(page.locator("#classify-figure .mm-heat")).to_have_count(0)


def test_an_image_can_be_pasted(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    picture = base64.b64encode((ASSETS / "examples" / "oct.png").read_bytes()).decode()
    copy = """async (picture) => {
        const blob = await (await fetch(`data:image/png;base64,${picture}`)).blob();
        await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    }"""
    page.evaluate(copy, picture)
    page.get_by_text("Paste or use the camera").click()
    page.get_by_text("Paste from Clipboard").click()
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("OCT")


def test_the_camera_can_be_used(page):
    page.context.grant_permissions(["camera"])
    page.get_by_text("Paste or use the camera").click()
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('video')?.videoWidth > 0")
    page.get_by_label("capture photo").click()
    expect(page.locator(".mm-unknown")).to_be_visible()
    expect(page.locator("#classify-figure .mm-base")).to_be_visible()


def test_a_file_with_frames_gets_a_slider(page, tmp_path):
    frames = [
        Image.open(ASSETS / "examples" / f"{name}.png").convert("RGB") for name in ("ct", "oct", "fundus")
    ]
    path = tmp_path / "frames.tiff"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    upload(page, path)
    expect(page.locator("#classify-notice")).to_contain_text("Page 1 of 3")
    slider = page.get_by_role("slider", name="Frame").or_(page.locator('input[type="range"][max="3"]'))
    slider.first.focus()
    slider.first.press("End")
    expect(page.locator("#classify-notice")).to_contain_text("Page 3 of 3")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Colour fundus")


@pytest.mark.parametrize("page", [WIDE, PHONE], indirect=True, ids=["wide", "phone"])
def test_no_page_is_wider_than_the_window(page):
    page.locator("#classify-examples button").first.click()
    expect(page.locator("#classify-figure .mm-heat")).to_be_visible()
    for name in ("Classify", "Similar cases", "Explore", "About"):
        open_tab(page, name)
        expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
