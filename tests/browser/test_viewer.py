"""Drives the viewer in Chromium: windows, slices, several files, a region, and what the model saw of it."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, Request, Route, expect

from .visit import visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
SETTINGS = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})
EXAMPLES = ASSETS / "examples"


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str]) -> str:
    return serve(SETTINGS)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 1100})
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    visit(page, address)
    yield page
    page.close()
    assert errors == []


def ct_slice(level: int, number: int = 1, series: str = "1.2.3") -> bytes:
    """A slice of one Hounsfield unit, with a brighter square in its upper left quarter."""
    data_set = pydicom.Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = CTImageStorage, generate_uid()
    data_set.Modality, data_set.PatientName = "CT", "Doe^Jane"
    data_set.SeriesInstanceUID, data_set.InstanceNumber = series, number
    data_set.RescaleIntercept, data_set.RescaleSlope = -1024, 1
    data_set.WindowCenter, data_set.WindowWidth = 40, 400
    data_set.ensure_file_meta()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values = np.full((128, 128), 1024 + level, np.uint16)
    values[:64, :64] += 100
    data_set.set_pixel_data(values, "MONOCHROME2", 12)
    buffer = io.BytesIO()
    data_set.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def upload(page: Page, *paths: Path) -> None:
    page.set_input_files("#classify-file input[type=file]", list(paths))


def grey_at(page: Page, x: float, y: float) -> int:
    """Returns the grey level at a place of the picture, in shares of its sides."""
    read = """([x, y]) => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
        const stage = document.querySelector(".mm-look"), canvas = stage.querySelector("canvas");
        const { picture } = stage.viewer, { fullWidth, fullHeight } = picture.picture;
        const place = picture.toStage([x * fullWidth, y * fullHeight]);
        const [left, top] = place.map((value) => value * canvas.width / canvas.clientWidth);
        done(canvas.getContext("2d").getImageData(left, top, 1, 1).data[0]);
    })))"""
    return page.evaluate(read, [x, y])


def saw(page: Page):
    return page.locator(".mm-saw p")


def test_a_ct_is_windowed_in_the_browser_and_the_model_follows_when_asked(page, tmp_path):
    path = tmp_path / "slice.dcm"
    path.write_bytes(ct_slice(0))
    upload(page, path)
    expect(saw(page)).to_contain_text("as opened, the whole picture")
    expect(page.locator(".mm-corner")).to_contain_text("C 40 W 400 HU")
    assert abs(grey_at(page, 0.75, 0.75) - 255 * (0 - 39.5 + 199.5) / 399) <= 1
    page.get_by_label("Window", exact=True).select_option("lung")
    assert abs(grey_at(page, 0.75, 0.75) - 255 * (600 + 750) / 1500) <= 1
    expect(saw(page)).to_contain_text("another view")
    page.locator(".mm-look").press("i")
    assert abs(grey_at(page, 0.75, 0.75) - (255 - 255 * (600 + 750) / 1500)) <= 1
    page.locator(".mm-look").press("i")
    page.get_by_role("button", name="Analyse this view").click()
    expect(saw(page)).to_have_text("The model saw: centre -600, width 1,500, the whole picture. ")
    expect(page.locator("#classify-notice")).to_contain_text("you chose (centre -600, width 1500)")
    page.locator(".mm-look").press("0")
    assert abs(grey_at(page, 0.75, 0.75) - 255 * (0 - 39.5 + 199.5) / 399) <= 1


def test_a_scan_that_follows_a_photograph_is_windowed_and_nothing_is_said_of_a_photographs_window(
    page, tmp_path
):
    upload(page, EXAMPLES / "fundus.png")
    expect(saw(page)).to_have_text("The model saw: the whole picture. ")
    expect(page.locator("[data-mode=window]")).to_be_hidden()
    path = tmp_path / "slice.dcm"
    path.write_bytes(ct_slice(0))
    upload(page, path)
    expect(page.get_by_role("button", name="Window", exact=True)).to_have_attribute("aria-pressed", "true")
    upload(page, EXAMPLES / "fundus.png")
    expect(saw(page)).to_have_text("The model saw: the whole picture. ")


@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (390, "dark")])
def test_nothing_lies_over_the_picture_and_what_is_said_of_it_does_not_move_it(
    browser, address, tmp_path, width, theme
):
    page = browser.new_page(viewport={"width": width, "height": 1100})
    page.set_default_timeout(60_000)
    visit(page, f"{address}?__theme={theme}")
    path = tmp_path / "slice.dcm"
    path.write_bytes(ct_slice(0))
    upload(page, path)
    corner, stage = page.locator(".mm-corner"), page.locator(".mm-look")
    expect(corner).to_contain_text("128 × 128")
    expect(stage.locator("p:visible")).to_have_count(0)
    stage.scroll_into_view_if_needed()
    read = """(stage) => {
        const { left, right, top, bottom } = stage.getBoundingClientRect();
        const facts = [...document.querySelectorAll(".mm-corner, .mm-value")];
        const places = [left + 1, right - 1].flatMap((x) => [top + 1, bottom - 1].map((y) => [x, y]));
        return {
            size: [right - left, bottom - top],
            apart: facts.every((each) => each.getBoundingClientRect().top >= bottom),
            corners: places.map(([x, y]) => document.elementFromPoint(x, y).localName),
        };
    }"""
    seen = stage.evaluate(read)
    assert seen["apart"]
    assert seen["corners"] == ["canvas"] * 4  # a side marker may stand in any of them
    stage.hover()
    expect(page.locator(".mm-value")).to_have_text("0 HU")
    small = corner.text_content()
    for _ in range(8):
        stage.press("+")
    expect(corner).not_to_have_text(small)
    assert stage.evaluate(read) == seen
    page.close()


def test_dragging_changes_window_and_level_and_the_wheel_zooms(page, tmp_path):
    path = tmp_path / "slice.dcm"
    path.write_bytes(ct_slice(0))
    upload(page, path)
    expect(page.locator(".mm-corner")).to_contain_text("C 40 W 400 HU")
    box = page.locator(".mm-look").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 50, y + 60, steps=5)
    page.mouse.up()
    window = page.evaluate("document.querySelector('.mm-look').viewer.view.window")
    assert window["width"] > 450
    assert window["centre"] > 100
    for amount in window["width"], window["centre"]:  # in steps that can be said
        assert amount == pytest.approx(round(amount, 1), abs=1e-9)
    page.mouse.wheel(0, -300)
    page.wait_for_function("document.querySelector('.mm-look').viewer.picture.view.zoom > 1.5")
    page.locator(".mm-look").press("Shift+ArrowLeft")
    assert page.evaluate("document.querySelector('.mm-look').viewer.view.window.width") < window["width"]


def test_a_study_in_a_zip_is_leafed_through_in_order_by_keys_wheel_and_slider(page, tmp_path):
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, number in (("c", 1), ("a", 2), ("b", 3)):
            archive.writestr(f"study/{name}.dcm", ct_slice(100 * number - 250, number))
        archive.writestr("study/eye.png", (EXAMPLES / "fundus.png").read_bytes())
        archive.writestr("study/report.txt", "no image")
    upload(page, path)
    strip = page.locator(".mm-strip button")
    expect(strip).to_have_count(2)
    expect(strip.first.locator("img")).to_be_visible()
    expect(page.locator("#classify-notice")).to_contain_text("One file is no image")
    expect(page.locator(".mm-slices output")).to_have_text("2 of 3")  # a series opens in its middle
    stage = page.locator(".mm-look")
    stage.press("ArrowUp")
    expect(page.locator(".mm-slices output")).to_have_text("1 of 3")
    dark = grey_at(page, 0.75, 0.75)
    stage.press("End")
    expect(page.locator(".mm-slices output")).to_have_text("3 of 3")
    page.wait_for_timeout(300)
    assert grey_at(page, 0.75, 0.75) > dark
    stage.hover()
    page.mouse.wheel(0, -100)
    expect(page.locator(".mm-slices output")).to_have_text("2 of 3")
    stage.press("ArrowRight")
    expect(strip.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Colour fundus")
    strip.nth(0).click()
    expect(saw(page)).to_contain_text("2 of 3")


def test_a_part_of_a_cases_picture_is_searched_with_from_the_map(page):
    page.get_by_role("tab", name="Explore", exact=True).click()
    page.locator(".mm-legend button", has_text="Skin").click()
    expect(page.locator(".mm-walk-count")).to_have_text("60 cases")
    page.locator(".mm-cell").nth(1).click()
    expect(page.locator("#similar-query")).to_contain_text(", case phantom_dermatology/")
    page.get_by_role("button", name="Search with a part of this picture").click()
    stage = page.locator(".mm-look")
    expect(stage).to_have_attribute("data-mode", "region")
    expect(page.locator("#classify-notice")).to_contain_text("Drag a region on it")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Skin")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box
    x, y, side = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, min(box["width"], box["height"])
    page.mouse.move(x - side / 4, y - side / 4)
    page.mouse.down()
    page.mouse.move(x + side / 6, y + side / 6, steps=5)
    page.mouse.up()
    page.locator(".mm-analyse").click()
    expect(page.locator("#classify-notice")).to_contain_text("Only the region that you drew")
    page.get_by_role("tab", name="Similar cases", exact=True).click()
    expect(page.locator("#similar-query")).to_contain_text("Your image")
    expect(page.locator("#similar-results .mm-case")).to_have_count(12)
    expect(page.locator("#similar-part")).to_be_hidden()


def test_a_region_is_drawn_by_mouse_or_keys_and_analysed_instead_of_the_whole(page):
    upload(page, EXAMPLES / "cxr.png")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Chest X-ray")
    stage = page.locator(".mm-look")
    stage.press("r")
    box = stage.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 80, y - 90)
    page.mouse.down()
    page.mouse.move(x + 80, y + 60, steps=4)
    page.mouse.up()
    expect(page.locator(".mm-region")).to_be_visible()
    stage.press("Enter")
    expect(saw(page)).to_contain_text("region")
    expect(page.locator("#classify-notice")).to_contain_text("Only the region that you drew")
    ratio = page.locator("#classify-figure .mm-base[src]").evaluate(
        "async image => { await image.decode(); return image.naturalWidth / image.naturalHeight; }"
    )
    assert abs(ratio - 160 / 150) < 0.05
    stage.press("Escape")
    expect(page.locator(".mm-region")).to_be_hidden()
    stage.press("Shift+ArrowRight")
    before = page.evaluate("document.querySelector('.mm-look').viewer.view.region")
    stage.press("Shift+ArrowRight")
    stage.press("Alt+Shift+ArrowUp")
    after = page.evaluate("document.querySelector('.mm-look').viewer.view.region")
    assert after["left"] > before["left"]
    assert after["height"] < before["height"]


def test_text_in_the_picture_is_outlined_and_blackened_on_demand(page, tmp_path):
    image = Image.open(EXAMPLES / "cxr.png").convert("RGB").resize((600, 600))
    ImageDraw.Draw(image).text((10, 10), "DOE JANE 1961", fill="white", font=ImageFont.load_default(22))
    image.save(tmp_path / "named.png")
    upload(page, tmp_path / "named.png")
    expect(page.locator(".mm-text")).to_contain_text("may name the patient")
    expect(page.locator(".mm-marks i").first).to_be_visible()
    page.get_by_role("button", name="Blacken it").click()
    expect(saw(page)).to_contain_text("parts blackened", timeout=90_000)
    expect(page.locator(".mm-text")).to_be_hidden()
    expect(page.locator("#classify-notice")).to_contain_text("blackened")
    assert grey_at(page, 40 / 600, 22 / 600) == 0


def test_what_was_not_found_is_blackened_by_hand_and_the_model_sees_it_black(page):
    upload(page, EXAMPLES / "cxr.png")
    expect(saw(page)).to_have_text("The model saw: the whole picture. ")
    stage = page.locator(".mm-look")
    stage.press("b")  # without a region one is to be drawn
    expect(page.get_by_role("button", name="Region", exact=True)).to_have_attribute("aria-pressed", "true")
    stage.press("Shift+ArrowRight")  # the middle of the picture
    assert grey_at(page, 0.5, 0.5) > 0
    page.get_by_role("button", name="Blacken", exact=True).click()
    expect(page.locator(".mm-region")).to_be_hidden()
    assert grey_at(page, 0.5, 0.5) == 0
    page.get_by_role("button", name="Analyse this view").click()
    expect(saw(page)).to_contain_text("parts blackened")
    expect(page.locator("#classify-notice")).to_contain_text("One part of the picture was blackened")


def test_a_picture_is_for_its_own_visitor_and_leaves_nothing_in_the_browser(page, browser, address):
    upload(page, EXAMPLES / "oct.png")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("OCT")
    visit = page.evaluate("document.querySelector('.mm-look').viewer.view.visit")
    assert len(visit) > 40
    assert page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})").count(visit) == 0
    assert visit not in page.url
    other = browser.new_page()
    other.goto(address)
    upload(other, EXAMPLES / "fundus.png")
    expect(other.locator("#classify-modality .mm-headline")).to_contain_text("Colour fundus")
    assert other.evaluate("document.querySelector('.mm-look').viewer.view.visit") != visit
    other.close()


def test_of_files_that_are_pressed_in_a_row_the_last_is_answered(page):
    upload(page, EXAMPLES / "ct.png", EXAMPLES / "fundus.png", EXAMPLES / "oct.png")
    headline = page.locator("#classify-modality .mm-headline")
    expect(headline).to_contain_text("CT")
    expect(page.locator(".mm-second")).to_be_visible()
    held: list[Route] = []
    busy = True

    def hold(route: Route) -> None:
        if busy:
            held.append(route)
        else:
            route.continue_()

    page.route("**/queue/join*", hold)
    with page.expect_request("**/queue/join*"):
        page.locator(".mm-strip button").nth(1).click()
    page.locator(".mm-strip button").nth(2).click()
    busy = False
    for route in held:
        route.continue_()
    expect(headline).to_contain_text("OCT")
    expect(page.locator("#classify-map-check")).to_contain_text("hottest tenth blurred")
    expect(page.locator(".toast-body")).to_have_count(0)
    expect(page.locator(".mm-strip button").nth(2)).to_have_attribute("aria-pressed", "true")


def test_what_is_tried_of_a_picture_is_not_shown_of_the_next(page):
    upload(page, EXAMPLES / "ct.png", EXAMPLES / "oct.png")
    headline, strip = page.locator("#classify-modality .mm-headline"), page.locator(".mm-strip button")
    tried = (page.locator("#classify-map-check"), page.locator("#classify-second-look"))

    def settled(modality: str) -> list[str]:
        expect(headline).to_contain_text(modality)
        expect(tried[0]).to_contain_text("hottest tenth blurred")
        expect(tried[1].locator(".mm-spread").first).to_be_visible()
        return [each.inner_text() for each in tried]

    of_ct = settled("CT")
    strip.nth(1).click()
    of_oct = settled("OCT")
    assert of_ct[1] != of_oct[1]
    names = page.evaluate("window.gradio_config.dependencies.map((each) => [each.id, each.api_name])")
    checks = {number for number, name in names if str(name).startswith("check_")}

    def is_check(request: Request) -> bool:
        return "/queue/join" in request.url and (request.post_data_json or {}).get("fn_index") in checks

    held: list[Route] = []
    busy = True

    def hold(route: Route) -> None:
        if busy and is_check(route.request):
            held.append(route)
        else:
            route.continue_()

    page.route("**/queue/join*", hold)
    with page.expect_request(is_check):
        strip.nth(0).click()
    strip.nth(1).click()
    expect(headline).to_contain_text("OCT")
    expect(page.locator("#classify-figure .mm-heat")).to_be_visible()
    busy = False
    for route in held:
        route.continue_()
    for each, calm in zip(tried, of_oct, strict=True):
        expect(each).to_have_text(calm, use_inner_text=True)
    expect(page.locator(".toast-body")).to_have_count(0)
